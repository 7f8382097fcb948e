/**
 * What an action is to the executor: checked arguments and a context in, an ending out. Expected failure is a value; what is thrown is
 * a surprise.
 */
import type { Logger } from "pino";
import type { ActionArgs, ActionName, ActionResult } from "@needfire/shared/action";
import type { ManagedFiles } from "../managed-files.ts";
import type { Remedies } from "../remedies.ts";

export interface ActionContext {
  managed: ManagedFiles;
  /** Begun for this execution already, by the executor. */
  remedies: Remedies;
  /** The agent stops, or the command is cancelled: end soon, and say `failed`. The signal's reason is a text that says which. */
  signal: AbortSignal;
  log: Logger;
}

/** `refused`: it may not be done here at all. `changed`: something on the host is different now. */
export interface Ending<R> {
  outcome: "succeeded" | "failed" | "refused";
  changed: boolean;
  message?: string;
  result?: R;
}

export type Action<N extends ActionName> = (args: ActionArgs<N>, context: ActionContext) => Promise<Ending<ActionResult<N>>>;

export function refused(message: string): { outcome: "refused"; changed: false; message: string } {
  return { outcome: "refused", changed: false, message };
}

export function failed(message: string): { outcome: "failed"; changed: false; message: string } {
  return { outcome: "failed", changed: false, message };
}
