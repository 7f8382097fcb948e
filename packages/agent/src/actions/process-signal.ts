/** `process.signal`: sends a signal to processes, tells whom, and with `kill_after` sees to it that they end. */
import { setTimeout as wait } from "node:timers/promises";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { durationMs } from "@needfire/shared/duration";
import { systemCode } from "@needfire/shared/errors";
import { type Action, type ActionContext, type Ending, failed, refused, would } from "./action.ts";
import { type Found, isStill, selectProcesses, text } from "./process-select.ts";

/** Those after which a process that is gone is as it was meant to be. */
const ending = new Set(["TERM", "KILL", "INT", "QUIT"]);
const lookMs = 50;

export const action: Action<"process.signal"> = { run, scope: () => ({ topic: "process" }) };

async function run(args: ActionArgs<"process.signal">, context: ActionContext): Promise<Ending<ActionResult<"process.signal">>> {
  const selected = await selectProcesses(args, context);
  if (!selected.ok) return selected.refused ? refused(selected.message) : failed(selected.message);
  const { spared } = selected;
  if (selected.reached.length === 0)
    return ending.has(args.signal)
      ? { outcome: "succeeded", changed: false, message: "no such process", result: { reached: [], spared } }
      : failed("no such process");
  if (context.dryRun) return would(`send ${args.signal} to ${text(selected.reached)}`);
  const reached: Found[] = [];
  const forbidden: Found[] = [];
  for (const each of selected.reached) {
    const how = send(each, `SIG${args.signal}`);
    if (how === "sent") reached.push(each);
    if (how === "forbidden") forbidden.push(each);
  }
  const killed = args.kill_after === undefined ? undefined : await seeOut(reached, durationMs(args.kill_after), context.signal);
  const result = { reached, spared, ...(killed === undefined ? {} : { killed }) };
  const changed = reached.length > 0;
  if (forbidden.length > 0) return { outcome: "failed", changed, message: `the agent may not signal ${text(forbidden)}`, result };
  if (context.signal.aborted && args.kill_after !== undefined)
    return { outcome: "failed", changed, message: String(context.signal.reason), result };
  return { outcome: "succeeded", changed, result };
}

function send(found: Found, signal: `SIG${ActionArgs<"process.signal">["signal"]}`): "sent" | "gone" | "forbidden" {
  // Looked at once more right before: what took its number over meanwhile is not meant.
  if (!isStill(found)) return "gone";
  try {
    process.kill(found.pid, signal);
    return "sent";
  } catch (error) {
    return systemCode(error) === "EPERM" ? "forbidden" : "gone";
  }
}

/** Waits for their end; those that had to be killed. */
async function seeOut(found: readonly Found[], patienceMs: number, signal: AbortSignal): Promise<Found[]> {
  const until = performance.now() + patienceMs;
  let left = found.filter(isStill);
  while (left.length > 0 && performance.now() < until && !signal.aborted) {
    await wait(Math.min(lookMs, patienceMs));
    left = left.filter(isStill);
  }
  return signal.aborted ? [] : left.filter((each) => send(each, "SIGKILL") === "sent");
}

/** Ends every process of a user but those that are never touched; how many that were. For `user.lock`. */
export async function endAllOf(user: string, context: ActionContext): Promise<number | string> {
  const selected = await selectProcesses({ user, at_most: Number.MAX_SAFE_INTEGER }, context);
  if (!selected.ok) return selected.message;
  return selected.reached.filter((each) => send(each, "SIGKILL") === "sent").length;
}
