/**
 * `host.reboot`: asks the init to restart the host, and ends when the agent is back in another boot: the next life gives the result. What is
 * asked for is on the disk before, so an execution that is delivered again restarts nothing (P3).
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { durationMs, formatDuration } from "@needfire/shared/duration";
import { errorText } from "@needfire/shared/errors";
import { connectBus } from "../dbus/bus.ts";
import { findInit } from "../init.ts";
import type { RestartNote } from "../restarts.ts";
import { type Action, type ActionContext, type Ending, failed, refused, type Self, would } from "./action.ts";
import { type Host, askProgram, thisHost } from "./on-host.ts";

type Result = ActionResult<"host.reboot">;

const askMsMax = 30_000;
/** Node's timers go no further. */
const waitMsMax = 2 ** 31 - 1;

export const action: Action<"host.reboot"> = { run: (args, context) => reboot(args, context), scope: () => "host" };

/** `host`: another than this one, for tests. */
export async function reboot(
  { timeout }: ActionArgs<"host.reboot">,
  { dryRun, signal, execution, priority, self }: ActionContext,
  host: Host = thisHost,
): Promise<Ending<Result>> {
  const { restarts, clock } = self;
  let init: string;
  try {
    init = findInit(host.root);
  } catch (error) {
    return failed(errorText(error));
  }
  if (restarts.note !== undefined) return refused(`a restart of the host is under way already (${restarts.note.execution})`);
  if (dryRun) return would("restart the host");
  const asked = clock.now();
  const note: RestartNote = { execution, priority, boot: restarts.boot, asked, until: asked + durationMs(timeout) };
  await restarts.keep(note);
  const ask = init === "systemd" ? askSystemd : askShutdown;
  try {
    await ask(host, signal);
  } catch (error) {
    // What stops the agent may be the restart itself.
    if (!signal.aborted) return { ...failed(`the init does not restart the host: ${errorText(error)}`), ...forgetting(self) };
  }
  return untilRestarted(note, { self, signal });
}

/** Whether this boot is another one yet; to be asked again by the agent's next life. */
export async function untilRestarted(
  { boot, asked, until }: RestartNote,
  { self, signal }: { self: Pick<Self, "restarts" | "clock">; signal: AbortSignal },
): Promise<Ending<Result>> {
  const { restarts, clock } = self;
  if (restarts.boot !== boot) {
    const result = { boot, booted: restarts.boot, took_ms: Math.max(0, Math.round(clock.now() - asked)) };
    return { outcome: "succeeded", changed: true, result, ...forgetting(self) };
  }
  try {
    await delay(Math.min(Math.max(until - clock.now(), 0), waitMsMax), undefined, { signal });
  } catch {
    const message = `${String(signal.reason)}; the host was asked to restart`;
    return { outcome: "failed", changed: true, message, goesOn: true, ...forgetting(self) };
  }
  const message = `the host was asked to restart, and did not within ${formatDuration(until - asked)}`;
  return { outcome: "failed", changed: true, message, ...forgetting(self) };
}

function forgetting({ restarts }: Pick<Self, "restarts">) {
  return { afterwards: () => Promise.resolve(restarts.forget()) };
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
