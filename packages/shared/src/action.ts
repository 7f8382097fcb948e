/**
 * The actions: named remedies, each with a schema for its arguments and its result. What they do is in the agent (`actions/`) or,
 * for those that run on the master, in its dispatch; this is what both ends and the author of a reactor agree on.
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { commandActions } from "./actions/command.ts";
import { diskActions } from "./actions/disk.ts";
import { eventActions } from "./actions/event.ts";
import { fileActions } from "./actions/file.ts";
import { firewallActions } from "./actions/firewall.ts";
import { hostActions } from "./actions/host.ts";
import { httpActions } from "./actions/http.ts";
import { packageActions } from "./actions/package.ts";
import { processActions } from "./actions/process.ts";
import { serviceActions } from "./actions/service.ts";
import type { ActionSpec } from "./actions/spec.ts";
import { userActions } from "./actions/user.ts";
import { executionIdPattern } from "./ids.ts";
import { type OwnActionName, ownActionSide } from "./own-action-name.ts";
import { type Checked, untypedChecker } from "./schema.ts";

export const actions = {
  ...fileActions,
  ...diskActions,
  ...commandActions,
  ...serviceActions,
  ...packageActions,
  ...processActions,
  ...firewallActions,
  ...userActions,
  ...hostActions,
  ...httpActions,
  ...eventActions,
} as const satisfies Record<string, ActionSpec>;

export type ActionName = keyof typeof actions;
/** Each once, by name: for a name that is a type parameter, the compiler would else derive them from all schemas at a time. */
type DerivedArgs = { [N in ActionName]: FromSchema<(typeof actions)[N]["args"]> };
type DerivedResults = { [N in ActionName]: FromSchema<(typeof actions)[N]["result"]> };
export type ActionArgs<N extends ActionName> = DerivedArgs[N];
export type ActionResult<N extends ActionName> = DerivedResults[N];

/** Checkers for the arguments of every action, by name. */
export const argsCheckers = Object.fromEntries(Object.entries(actions).map(([name, spec]) => [name, untypedChecker(spec.args)])) as Record<
  ActionName,
  (value: unknown) => Checked<unknown>
>;

/** One of ours, or one of the user's own. */
export type AnyActionName = ActionName | OwnActionName;

/** Of one of the user's own only where it runs: the rest is in its file. */
const ownSpec = { summary: "", args: { type: "object" }, result: { type: "object" } } as const;
const ownSpecs = { agent: { runsOn: "agent", ...ownSpec }, master: { runsOn: "master", ...ownSpec } } as const satisfies Record<
  ActionSpec["runsOn"],
  ActionSpec
>;

export function specOf(name: AnyActionName): ActionSpec {
  return isActionName(name) ? actions[name] : ownSpecs[ownActionSide(name)];
}

export function isActionName(name: string): name is ActionName {
  return Object.hasOwn(actions, name);
}

/** How an execution ended. `interrupted`: the agent died midway (P3). `expired`: it did not run, or was not heard of, in time. */
export const outcomes = ["succeeded", "failed", "interrupted", "refused", "expired", "cancelled"] as const;
export type Outcome = (typeof outcomes)[number];

/** The data of `execution.finished`: what an agent reports of a command. Times in ms since the epoch. */
export const executionReportSchema = {
  type: "object",
  properties: {
    execution: { type: "string", pattern: executionIdPattern },
    action: { type: "string", maxLength: 100 },
    outcome: { enum: outcomes },
    changed: { type: "boolean", description: "something on the host is different now; in a dry run: would be" },
    dry_run: { type: "boolean", description: "nothing was done: the message says what would be" },
    message: { type: "string", maxLength: 8192 },
    result: { type: "object" },
    started: { type: "number" },
    ended: { type: "number" },
  },
  required: ["execution", "action", "outcome", "changed", "started", "ended"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type ExecutionReport = FromSchema<typeof executionReportSchema>;
