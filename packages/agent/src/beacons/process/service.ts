/**
 * The `service` beacon: services that are down, up again, flapping. Which way it looks depends on who runs the host's services.
 */
import { findInit } from "../../init.ts";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { startPolledInit } from "./service-polled.ts";
import { startSystemd } from "./service-systemd.ts";

/** `root`: another than the host's own, for tests. */
export function start(definition: DefinitionOf<"service">, context: BeaconContext, root = ""): RunningBeacon {
  const init = definition.init === "auto" ? findInit(root) : definition.init;
  if (init === "systemd") return startSystemd(definition, context, `${root}/run/dbus/system_bus_socket`);
  return startPolledInit(definition, context, { init, root });
}
