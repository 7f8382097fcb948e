/** Every action that an agent performs: loaded when it is first asked for, since most hosts run few of them. */
import type { AgentActionName, Action, ActionContext, Ending } from "./action.ts";
import type { RemedyScope } from "../remedies.ts";

const actions: { [N in AgentActionName]: () => Promise<{ action: Action<N> }> } = {
  "file.restore": () => import("./file-restore.ts"),
  "file.check": () => import("./file-check.ts"),
  "file.remove": () => import("./file-remove.ts"),
  "file.write": () => import("./file-write.ts"),
  "file.mode": () => import("./file-mode.ts"),
  "file.line": () => import("./file-line.ts"),
  "disk.clean": () => import("./disk-clean.ts"),
  "script.run": () => import("./script-run.ts"),
  "command.run": () => import("./command-run.ts"),
};

/** An action whose arguments were checked against its schema. */
export interface LoadedAction {
  scope: RemedyScope | undefined;
  run(context: ActionContext): Promise<Ending<Record<string, unknown>>>;
}

export async function loadAction(name: AgentActionName, args: Record<string, unknown>): Promise<LoadedAction> {
  const { action } = await (actions as Untyped)[name]();
  return { scope: action.scope(args as never), run: (context) => action.run(args as never, context) };
}

/** The table pairs each name with its arguments; a lookup by a name that is only known at run time loses that. */
type Untyped = Record<AgentActionName, () => Promise<{ action: UntypedAction }>>;
interface UntypedAction {
  run(args: never, context: ActionContext): Promise<Ending<Record<string, unknown>>>;
  scope(args: never): RemedyScope | undefined;
}

export function runsHere(name: string): name is AgentActionName {
  return Object.hasOwn(actions, name);
}
