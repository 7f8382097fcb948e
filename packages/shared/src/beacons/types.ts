/** Every beacon type. One file each, with its options and its events. */
import { certificate } from "./certificate.ts";
import { connection } from "./connection.ts";
import { container } from "./container.ts";
import { cpu } from "./cpu.ts";
import { disk } from "./disk.ts";
import { dns } from "./dns.ts";
import { exec } from "./exec.ts";
import { file } from "./file.ts";
import { http } from "./http.ts";
import { kernel } from "./kernel.ts";
import { load } from "./load.ts";
import { log } from "./log.ts";
import { login } from "./login.ts";
import { memory } from "./memory.ts";
import { mount } from "./mount.ts";
import { network } from "./network.ts";
import { packageBeacon } from "./package.ts";
import { pressure } from "./pressure.ts";
import { process } from "./process.ts";
import { schedule } from "./schedule.ts";
import { service } from "./service.ts";
import type { BeaconSpec } from "./spec.ts";
import { swap } from "./swap.ts";
import { sysctl } from "./sysctl.ts";
import { tcp } from "./tcp.ts";
import { user } from "./user.ts";

export const beaconTypes = {
  certificate,
  connection,
  container,
  cpu,
  disk,
  dns,
  exec,
  file,
  http,
  kernel,
  load,
  log,
  login,
  memory,
  mount,
  network,
  package: packageBeacon,
  pressure,
  process,
  schedule,
  service,
  swap,
  sysctl,
  tcp,
  user,
} as const satisfies Record<string, BeaconSpec>;

export type BeaconType = keyof typeof beaconTypes;
