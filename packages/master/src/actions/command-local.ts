/** `command.local`: runs a program on the master's host, if the master's configuration allows its command line. There is no shell. */
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { runBounded } from "@needfire/shared/host/run-bounded";
import { notAllowed } from "@needfire/shared/policy";
import { type OwnContext, type OwnEnding, would } from "./action.ts";

export async function run(
  args: ActionArgs<"command.local">,
  { allowed, signal, dryRun }: OwnContext,
): Promise<OwnEnding<ActionResult<"command.local">>> {
  const { argv, env } = args;
  const reason = notAllowed({ action: "command.local", argv, env: Object.keys(env) }, allowed);
  if (reason !== undefined) return { outcome: "refused", changed: false, message: reason };
  return dryRun ? would(`run ${JSON.stringify(argv)} in ${args.cwd}`) : runBounded(argv, args, signal);
}
