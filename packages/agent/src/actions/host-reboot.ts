/**
 * `host.reboot`: asks the init to restart the host, once the result is on the agent's disk: it is told to the master now or after the
 * restart, and an execution that is delivered again restarts nothing (P3). It does not wait for the return: another boot's agent does that.
 */
import { errorText } from "@needfire/shared/errors";
import { bootId } from "../beacons/process/process-table.ts";
import { connectBus } from "../dbus/bus.ts";
import { findInit } from "../init.ts";
import { type Action, type ActionContext, type Ending, failed, would } from "./action.ts";
import { type Host, askProgram, thisHost } from "./on-host.ts";

const askMsMax = 30_000;

export const action: Action<"host.reboot"> = { run: (_args, context) => reboot(context), scope: () => "host" };

/** `host`: another than this one, for tests. */
export async function reboot({ dryRun, signal, log }: ActionContext, host: Host = thisHost): Promise<Ending<{ boot: string }>> {
  let init: string;
  try {
    init = findInit(host.root);
  } catch (error) {
    return failed(errorText(error));
  }
  if (dryRun) return would("restart the host");
  const ask = init === "systemd" ? askSystemd : askShutdown;
  const afterwards = async () => {
    try {
      await ask(host, signal);
    } catch (error) {
      log.error({ error: errorText(error) }, "the init does not restart the host");
    }
  };
  return { outcome: "succeeded", changed: true, result: { boot: bootId() }, afterwards };
}

/** As `systemctl reboot` does: services are stopped in their order. */
async function askSystemd({ root }: Host, signal: AbortSignal): Promise<void> {
  const socket = `${root}/run/dbus/system_bus_socket`;
  const bus = await connectBus({ socket, signal, onSignal: () => undefined, onClose: () => undefined });
  try {
    await bus.call({
      ...{ destination: "org.freedesktop.systemd1", path: "/org/freedesktop/systemd1", interface: "org.freedesktop.systemd1.Manager" },
      ...{ member: "StartUnit", signature: "ss", body: ["reboot.target", "replace-irreversibly"] },
    });
  } finally {
    bus.close();
  }
}

async function askShutdown(host: Host, signal: AbortSignal): Promise<void> {
  const { problem } = await askProgram(["shutdown", "-r", "now"], { host, signal, timeoutMs: askMsMax });
  if (problem !== undefined) throw new Error(problem);
}
