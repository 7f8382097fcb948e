/** Who runs the host's services. */
import { existsSync } from "node:fs";
import type { ServiceEventData } from "@needfire/shared/beacons/service";

export type Init = ServiceEventData["init"];

/** Where each init leaves a trace once it runs; what comes first counts. */
const traces: readonly [Init, string][] = [
  ["systemd", "/run/systemd/system"],
  ["openrc", "/run/openrc/softlevel"],
  ["runit", "/run/runit"],
  ["runit", "/run/runit.stopit"],
  ["sysv", "/etc/init.d"],
];

/** `root`: another than the host's own, for tests. Throws when none is known here. */
export function findInit(root: string): Init {
  const found = traces.find(([, path]) => existsSync(`${root}${path}`));
  if (found === undefined) throw new Error("no init that Needfire knows runs here: systemd, OpenRC, runit, or scripts in /etc/init.d");
  return found[0];
}

export const unitSuffix = /\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$/;

/** `nginx` as systemctl takes it: nginx.service. */
export function unitName(text: string): string {
  return unitSuffix.test(text) ? text : `${text}.service`;
}
