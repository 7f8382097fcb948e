/** `command.local`: runs a program on the master's host, if the master's configuration allows its command line. There is no shell. */
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { runBounded } from "@needfire/shared/host/run-bounded";
import { notAllowed } from "@needfire/shared/policy";
import type { OwnContext, OwnEnding } from "./action.ts";

export async function run(
  args: ActionArgs<"command.local">,
  { allowed, signal }: OwnContext,
): Promise<OwnEnding<ActionResult<"command.local">>> {
  const { argv, env } = args;
  const reason = notAllowed({ action: "command.local", argv, env: Object.keys(env) }, allowed);
  return reason === undefined ? runBounded(argv, args, signal) : { outcome: "refused", changed: false, message: reason };
}
