/**
 * `script.run`: a script of the master's file root, checked against its digest, written to a file that only the agent's user can get at, run,
 * and removed again, whatever comes of it.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { type Action, type ActionContext, type Ending, refused, would } from "./action.ts";
import { pathTrouble } from "./in-parent.ts";
import { runBounded } from "@needfire/shared/host/run-bounded";

export const action: Action<"script.run"> = { run, scope: () => "host" };

async function run(args: ActionArgs<"script.run">, context: ActionContext): Promise<Ending<ActionResult<"script.run">>> {
  const { source, digest, size } = args;
  if (digest === undefined || size === undefined) return refused("the master did not say what is in its source");
  try {
    const script = await context.content({ digest, size });
    if (script.toString("latin1", 0, 2) !== "#!") return refused(`${source} does not begin with #! and its interpreter`);
    if (context.dryRun) return would(`run ${source} (${digest.slice(0, 12)}) with ${JSON.stringify(args.args)} in ${args.cwd}`);
    return await runFrom(context.scratch, { script, digest }, args, context.signal);
  } catch (error) {
    return pathTrouble(source, error);
  }
}

async function runFrom(
  scratch: string,
  { script, digest }: { script: Buffer; digest: string },
  args: ActionArgs<"script.run">,
  signal: AbortSignal,
): Promise<Ending<ActionResult<"script.run">>> {
  mkdirSync(scratch, { recursive: true, mode: 0o700 });
  const file = join(scratch, randomBytes(12).toString("hex"));
  try {
    // Closed again before it is started: a file that is open for writing cannot be.
    writeFileSync(file, script, { mode: 0o700, flag: "wx" });
    const { result, ...ending } = await runBounded([file, ...args.args], args, signal);
    return result === undefined ? ending : { ...ending, result: { digest, ...result } };
  } finally {
    rmSync(file, { force: true });
  }
}
