/**
 * What an action is to the executor: checked arguments and a context in, an ending out. Expected failure is a value; what is thrown is
 * a surprise.
 */
import type { Logger } from "pino";
import type { ActionArgs, ActionName, ActionResult, actions as specs } from "@needfire/shared/action";
import type { Clock } from "@needfire/shared/clock";
import type { Severity } from "@needfire/shared/event";
import type { Announced } from "../command-content.ts";
import type { ManagedFiles } from "../managed-files.ts";
import type { Remedies, RemedyScope } from "../remedies.ts";
import type { Restarts } from "../restarts.ts";

export interface ActionContext {
  execution: string;
  priority: Severity;
  managed: ManagedFiles;
  /** Begun for this execution already, by the executor. */
  remedies: Remedies;
  /** Change nothing, and say what would be done: in `message`, with `changed` for whether it would change something. */
  dryRun: boolean;
  /** Content of the master's file root, checked against its digest. Throws `PEER_GONE`, `NOT_FOUND`, `BLOB_MISMATCH`. */
  content(announced: Announced): Promise<Buffer>;
  /** A directory for files that live as long as one action; 0700, and emptied at every start. */
  scratch: string;
  /** Why the policy keeps this action from a path, given by its true name; undefined: it does not. The arguments were judged before. */
  refusesPath(path: string): string | undefined;
  /** The agent stops, or the command is cancelled: end soon, and say `failed`. The signal's reason is a text that says which. */
  signal: AbortSignal;
  /** The agent itself. */
  self: Self;
  log: Logger;
}

/** What actions may know and ask of the agent. */
export interface Self {
  /** host:port of the master, as configured. */
  masterAddress: string;
  /** Gathers the facts anew; the master is told now, or when it is back. */
  reportFacts(): Record<string, unknown>;
  /** The restart of the host that is under way, over the agent's own. */
  restarts: Restarts;
  clock: Clock;
}

/** `refused`: it may not be done here at all. `changed`: something on the host is different now, or would be (`dryRun`). */
export interface Ending<R> {
  outcome: "succeeded" | "failed" | "refused";
  changed: boolean;
  message?: string;
  result?: R;
  /** The agent stops, and the command goes on: its result is the next life's to give. */
  goesOn?: true;
  /** Once the result is on disk: what may end this very process. Does not throw. */
  afterwards?: () => Promise<void>;
}

export type AgentActionName = { [N in ActionName]: (typeof specs)[N]["runsOn"] extends "agent" ? N : never }[ActionName];

/** What an action's file exports, under the name `action`. Those of a family have arguments and a result in common. */
export type Action<N extends AgentActionName> = ActionOf<ActionArgs<N>, ActionResult<N>>;

export interface ActionOf<A, R> {
  run(args: A, context: ActionContext): Promise<Ending<R>>;
  /** What the beacons must not judge while it runs. Undefined: it changes nothing. */
  scope(args: A): RemedyScope | undefined;
}

export function refused(message: string): { outcome: "refused"; changed: false; message: string } {
  return { outcome: "refused", changed: false, message };
}

export function failed(message: string): { outcome: "failed"; changed: false; message: string } {
  return { outcome: "failed", changed: false, message };
}

/** The end of a dry run that found something to do: `would("start nginx")`. */
export function would(doing: string): { outcome: "succeeded"; changed: true; message: string } {
  return { outcome: "succeeded", changed: true, message: `would ${doing}` };
}
