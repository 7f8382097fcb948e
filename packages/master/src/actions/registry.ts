/**
 * Every action that the master performs for a task, by its name: those that there are, loaded when they are first asked for, and the user's own, as the
 * master's folder of them has it.
 */
import { argsCheckers } from "@needfire/shared/action";
import { isOwnActionName } from "@needfire/shared/own-action-name";
import { runOwnAction } from "@needfire/shared/host/run-own-action";
import { notAllowed } from "@needfire/shared/policy";
import { problemsText } from "@needfire/shared/schema";
import type { UserActions } from "../user-actions.ts";
import type { OwnAction, OwnActionName, OwnContext, OwnEnding } from "./action.ts";

const actions: { [N in OwnActionName]: () => Promise<{ run: OwnAction<N> }> } = {
  "command.local": () => import("./command-local.ts"),
  "http.request": () => import("./http-request.ts"),
  "agent.maintenance": () => import("./agent-maintenance.ts"),
};

export type Prepared = { ok: true; run(context: OwnContext): Promise<OwnEnding<Record<string, unknown>>> } | { ok: false; reason: string };

/** An action with its arguments, which are checked here. */
export function prepareOwn(name: string, given: unknown, userActions: Pick<UserActions, "find">): Prepared {
  if (isOwnActionName(name)) return prepareUsers(name, given, userActions);
  if (!Object.hasOwn(actions, name)) return { ok: false, reason: `${name} does not run here` };
  const action = name as OwnActionName;
  const checked = argsCheckers[action](given);
  if (!checked.ok) return { ok: false, reason: `arguments: ${problemsText(checked.problems)}` };
  // The table pairs each name with its arguments; a lookup by a name that is only known at run time loses that.
  return { ok: true, run: async (context) => (await actions[action]()).run(checked.value as never, context) };
}

/** Its command line is judged as one of `command.local` is: the file may be in more hands than root's. */
function prepareUsers(name: Parameters<UserActions["find"]>[0], given: unknown, userActions: Pick<UserActions, "find">): Prepared {
  const found = userActions.find(name);
  if (!found.ok) return found;
  const { action } = found;
  const checked = action.checkArgs(structuredClone(given));
  if (!checked.ok) return { ok: false, reason: `arguments: ${problemsText(checked.problems)}` };
  const args = checked.value as Record<string, unknown>;
  return {
    ok: true,
    run: ({ allowed, dryRun, signal }) =>
      runOwnAction(action, { args, dryRun, signal, refuses: (argv) => notAllowed({ action: name, argv, env: [] }, allowed) }),
  };
}
