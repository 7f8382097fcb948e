/** Every action that the master performs for a task: loaded when it is first asked for. */
import { type OwnAction, type OwnActionName, type OwnContext, type OwnEnding } from "./action.ts";

const actions: { [N in OwnActionName]: () => Promise<{ run: OwnAction<N> }> } = {
  "command.local": () => import("./command-local.ts"),
  "http.request": () => import("./http-request.ts"),
  "agent.maintenance": () => import("./agent-maintenance.ts"),
};

export async function runOwnAction(
  name: OwnActionName,
  args: Record<string, unknown>,
  context: OwnContext,
): Promise<OwnEnding<Record<string, unknown>>> {
  const { run } = await actions[name]();
  // The table pairs each name with its arguments; a lookup by a name that is only known at run time loses that.
  return run(args as never, context);
}

export function isOwnAction(name: string): name is OwnActionName {
  return Object.hasOwn(actions, name);
}
