/**
 * What an action of the master's own is to its executor: checked arguments and a context in, an ending out. Expected failure is a value; what
 * is thrown is a surprise.
 */
import type { ActionArgs, ActionName, ActionResult, actions as specs } from "@needfire/shared/action";
import type { AllowedCommands } from "@needfire/shared/policy";
import type { Maintenance } from "../maintenance.ts";

export interface OwnContext {
  /** The host that the task is about; undefined: none. */
  host: string | undefined;
  task: string;
  /** The master stops, or the command is cancelled: end soon. The reason is a text that says which. */
  signal: AbortSignal;
  /** Change nothing, and say what would be done: in `message`, with `changed` for whether something would be different. */
  dryRun: boolean;
  allowed: AllowedCommands;
  maintenance: Pick<Maintenance, "begin" | "end" | "of">;
}

export interface OwnEnding<R> {
  outcome: "succeeded" | "failed" | "refused";
  changed: boolean;
  message?: string;
  result?: R;
}

/** The end of a dry run. */
export function would(doing: string, changed = true): { outcome: "succeeded"; changed: boolean; message: string } {
  return { outcome: "succeeded", changed, message: `would ${doing}` };
}

type InStep = { [N in ActionName]: (typeof specs)[N] extends { inStep: true } ? N : never }[ActionName];
/** What the executor performs: the others that run on the master are done by the task itself. */
export type OwnActionName = Exclude<{ [N in ActionName]: (typeof specs)[N]["runsOn"] extends "master" ? N : never }[ActionName], InStep>;

export type OwnAction<N extends OwnActionName> = (args: ActionArgs<N>, context: OwnContext) => Promise<OwnEnding<ActionResult<N>>>;
