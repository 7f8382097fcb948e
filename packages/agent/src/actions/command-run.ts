/**
 * `command.run`: runs a program, and says how it ended and what it printed. Values never become shell text: without `shell` there is no
 * shell, and with it they are its positional parameters.
 */
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { type Action, type ActionContext, type Ending, would } from "./action.ts";
import { runBounded } from "@needfire/shared/host/run-bounded";

export const action: Action<"command.run"> = { run, scope: () => "host" };

async function run(args: ActionArgs<"command.run">, { signal, dryRun }: ActionContext): Promise<Ending<ActionResult<"command.run">>> {
  const argv = args.shell ? ["/bin/sh", "-c", args.argv[0] ?? "", "sh", ...args.argv.slice(1)] : args.argv;
  return dryRun ? would(`run ${JSON.stringify(argv)} in ${args.cwd}`) : runBounded(argv, args, signal);
}
