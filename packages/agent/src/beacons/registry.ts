/** Every beacon type and what starts it: loaded when the first of its type is started, since most hosts use few of them. */
import type { BeaconDefinition } from "@needfire/shared/beacon";
import type { BeaconType } from "@needfire/shared/beacons/types";
import type { BeaconContext, RunningBeacon, StartBeacon } from "./beacon.ts";

const beacons: { [T in BeaconType]: () => Promise<{ start: StartBeacon<T> }> } = {
  certificate: () => import("./check/certificate.ts"),
  connection: () => import("./connection/connection.ts"),
  container: () => import("./check/container.ts"),
  cpu: () => import("./resource/cpu.ts"),
  disk: () => import("./resource/disk.ts"),
  dns: () => import("./check/dns.ts"),
  exec: () => import("./check/exec.ts"),
  file: () => import("./file/file.ts"),
  http: () => import("./check/http.ts"),
  kernel: () => import("./log/kernel.ts"),
  load: () => import("./resource/load.ts"),
  log: () => import("./log/log.ts"),
  login: () => import("./log/login.ts"),
  memory: () => import("./resource/memory.ts"),
  mount: () => import("./inventory/mount.ts"),
  network: () => import("./resource/network.ts"),
  package: () => import("./inventory/package.ts"),
  pressure: () => import("./resource/pressure.ts"),
  process: () => import("./process/process.ts"),
  schedule: () => import("./check/schedule.ts"),
  service: () => import("./process/service.ts"),
  swap: () => import("./resource/swap.ts"),
  sysctl: () => import("./inventory/sysctl.ts"),
  tcp: () => import("./check/tcp.ts"),
  user: () => import("./inventory/user.ts"),
};

export async function startBeacon(definition: BeaconDefinition, context: BeaconContext): Promise<RunningBeacon> {
  const { start } = await beacons[definition.type]();
  // The table pairs each definition with its start; a lookup by a union loses that.
  return (start as (definition: BeaconDefinition, context: BeaconContext) => RunningBeacon)(definition, context);
}
