/**
 * The `service` beacon: services that are down, up again, flapping. This file finds out who runs the host's services.
 */
import { existsSync } from "node:fs";

import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { startPolledInit } from "./service-polled.ts";
import { startSystemd } from "./service-systemd.ts";
import type { Init } from "./service-watch.ts";

/** `root`: another than the host's own, for tests. */
export function start(definition: DefinitionOf<"service">, context: BeaconContext, root = ""): RunningBeacon {
  const init = definition.init === "auto" ? findInit(root) : definition.init;
  if (init === "systemd") return startSystemd(definition, context, `${root}/run/dbus/system_bus_socket`);
  return startPolledInit(definition, context, { init, root });
}

/** Where each init leaves a trace once it runs; what comes first counts. */
const traces: readonly [Init, string][] = [
  ["systemd", "/run/systemd/system"],
  ["openrc", "/run/openrc/softlevel"],
  ["runit", "/run/runit"],
  ["runit", "/run/runit.stopit"],
  ["sysv", "/etc/init.d"],
];

function findInit(root: string): Init {
  const found = traces.find(([, path]) => existsSync(`${root}${path}`));
  if (found === undefined) throw new Error("no init that this beacon knows runs here: systemd, OpenRC, runit, or scripts in /etc/init.d");
  return found[0];
}
