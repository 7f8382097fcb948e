/** Every beacon type and what starts it: loaded when the first of its type is started, since most hosts use few of them. */
import type { BeaconDefinition } from "@needfire/shared/beacon";
import type { BeaconType } from "@needfire/shared/beacons/types";
import type { BeaconContext, RunningBeacon, StartBeacon } from "./beacon.ts";

const beacons: { [T in BeaconType]: () => Promise<{ start: StartBeacon<T> }> } = {
  certificate: () => import("./certificate.ts"),
  connection: () => import("./connection.ts"),
  container: () => import("./container.ts"),
  cpu: () => import("./cpu.ts"),
  disk: () => import("./disk.ts"),
  dns: () => import("./dns.ts"),
  exec: () => import("./exec.ts"),
  file: () => import("./file.ts"),
  http: () => import("./http.ts"),
  kernel: () => import("./kernel.ts"),
  load: () => import("./load.ts"),
  log: () => import("./log.ts"),
  login: () => import("./login.ts"),
  memory: () => import("./memory.ts"),
  mount: () => import("./mount.ts"),
  network: () => import("./network.ts"),
  package: () => import("./package.ts"),
  pressure: () => import("./pressure.ts"),
  process: () => import("./process.ts"),
  schedule: () => import("./schedule.ts"),
  service: () => import("./service.ts"),
  swap: () => import("./swap.ts"),
  sysctl: () => import("./sysctl.ts"),
  tcp: () => import("./tcp.ts"),
  user: () => import("./user.ts"),
};

export async function startBeacon(definition: BeaconDefinition, context: BeaconContext): Promise<RunningBeacon> {
  const { start } = await beacons[definition.type]();
  // The table pairs each definition with its start; a lookup by a union loses that.
  return (start as (definition: BeaconDefinition, context: BeaconContext) => RunningBeacon)(definition, context);
}
