/** `process.renice`: how nice processes are. The kernel keeps that for each thread: all of them are set. */
import { readdirSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { type Action, type ActionContext, type Ending, failed, refused, would } from "./action.ts";
import { type Found, isStill, selectProcesses, text } from "./process-select.ts";

export const action: Action<"process.renice"> = { run, scope: () => ({ topic: "process" }) };

async function run(args: ActionArgs<"process.renice">, context: ActionContext): Promise<Ending<ActionResult<"process.renice">>> {
  const selected = await selectProcesses(args, context);
  if (!selected.ok) return selected.refused ? refused(selected.message) : failed(selected.message);
  const { reached, spared } = selected;
  if (reached.length === 0) return failed("no such process");
  const others = reached.filter((each) => threads(each).some((thread) => niceOf(thread) !== args.nice));
  const result = { reached: others, spared };
  if (others.length === 0) return { outcome: "succeeded", changed: false, result };
  if (context.dryRun) return would(`make ${text(others)} nice by ${args.nice}`);
  const forbidden = others.filter((each) => !renice(each, args.nice));
  const done = others.filter((each) => !forbidden.includes(each));
  if (forbidden.length === 0) return { outcome: "succeeded", changed: true, result };
  const message = `the agent may not renice ${text(forbidden)}`;
  return { outcome: "failed", changed: done.length > 0, message, result: { reached: done, spared } };
}

/** False: it is not allowed. A thread that ends meanwhile is fine. */
function renice(found: Found, nice: number): boolean {
  if (!isStill(found)) return true;
  for (const thread of threads(found)) {
    try {
      setPriority(thread, nice);
    } catch {
      if (niceOf(thread) !== undefined) return false;
    }
  }
  return true;
}

function threads({ pid }: Found): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return []; // it has ended
  }
}

function niceOf(thread: number): number | undefined {
  try {
    return getPriority(thread);
  } catch {
    return undefined;
  }
}
