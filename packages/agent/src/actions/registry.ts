/** Every action that an agent performs, and what each may change meanwhile. */
import type { ActionArgs, ActionName, actions as specs } from "@needfire/shared/action";
import type { RemedyScope } from "../remedies.ts";
import type { Action, ActionContext, Ending } from "./action.ts";
import { commandRun } from "./command-run.ts";
import { fileCheck } from "./file-check.ts";
import { fileRemove } from "./file-remove.ts";
import { fileRestore } from "./file-restore.ts";

type AgentAction = { [N in ActionName]: (typeof specs)[N]["runsOn"] extends "agent" ? N : never }[ActionName];

const actions = {
  "file.restore": fileRestore,
  "file.check": fileCheck,
  "file.remove": fileRemove,
  "command.run": commandRun,
} satisfies { [N in AgentAction]: Action<N> };

const scopes: { [N in AgentAction]: (args: ActionArgs<N>) => RemedyScope | undefined } = {
  "file.restore": ({ path }) => ({ path }),
  "file.check": () => undefined,
  "file.remove": ({ path }) => ({ path }),
  "command.run": () => "host",
};

/** Runs an action whose arguments were checked against its schema. */
export function runAction(
  name: ActionName,
  args: Record<string, unknown>,
  context: ActionContext,
): Promise<Ending<Record<string, unknown>>> {
  // The table pairs each name with its arguments; a lookup by a union loses that.
  const action = (actions as Partial<Record<ActionName, unknown>>)[name] as Action<ActionName> | undefined;
  if (action === undefined) return Promise.resolve({ outcome: "refused", changed: false, message: `${name} does not run on an agent` });
  return action(args as never, context);
}

/** What the beacons must not judge while it runs. Undefined: it changes nothing. */
export function remedyScope(name: ActionName, args: Record<string, unknown>): RemedyScope | undefined {
  const scope = (scopes as Partial<Record<ActionName, unknown>>)[name] as ((args: never) => RemedyScope | undefined) | undefined;
  return scope?.(args as never);
}
