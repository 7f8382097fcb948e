/**
 * The actions: named remedies, each with a schema for its arguments and its result. What they do is in the agent (`actions/`) or,
 * for those that run on the master, in its dispatch; this is what both ends and the author of a reactor agree on.
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { durationPattern } from "./duration.ts";
import { customTypePattern, severities } from "./event.ts";
import { digestPattern, executionIdPattern } from "./ids.ts";
import { type Checked, untypedChecker } from "./schema.ts";

const path = { type: "string", title: "an absolute path", pattern: "^/", maxLength: 4096, description: "an absolute path" } as const;

const fileRestoreArgs = {
  type: "object",
  properties: { path },
  required: ["path"],
  additionalProperties: false,
} as const satisfies JSONSchema;
const fileRestoreResult = {
  type: "object",
  properties: {
    path: { type: "string" },
    digest: { type: "string", pattern: digestPattern },
    bytes: { type: "integer" },
  },
  required: ["path", "digest", "bytes"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const fileCheckResult = {
  type: "object",
  properties: { path: { type: "string" }, digest: { type: "string", pattern: digestPattern } },
  required: ["path", "digest"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const fileRemoveResult = {
  type: "object",
  properties: { path: { type: "string" } },
  required: ["path"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const commandRunArgs = {
  type: "object",
  properties: {
    argv: {
      type: "array",
      items: { type: "string", maxLength: 131_072 },
      minItems: 1,
      maxItems: 1_000,
      description: "the program and its arguments, each passed on as it is",
    },
    shell: {
      type: "boolean",
      default: false,
      description:
        "true: argv[0] is a script for /bin/sh, the rest its positional parameters ($1, $2, ...); values never become part of the script",
    },
    cwd: { ...path, default: "/", description: "where it runs: an absolute path" },
    env: {
      type: "object",
      additionalProperties: { type: "string" },
      default: {},
      description: "added to the fixed environment (PATH, LANG=C.UTF-8, HOME); nothing is inherited from the agent",
    },
    stdin: { type: "string", default: "", maxLength: 65_536, description: "what the program can read" },
    timeout: {
      type: "string",
      title: "a duration such as 30s",
      pattern: durationPattern,
      default: "1m",
      description: "how long it may take; then SIGTERM, and SIGKILL 5 s later",
    },
    output_bytes_max: {
      type: "integer",
      minimum: 0,
      maximum: 131_072,
      default: 32_768,
      description: "of stdout and of stderr; the rest is counted and left out",
    },
    success_codes: {
      type: "array",
      items: { type: "integer", minimum: 0, maximum: 255 },
      default: [0],
      description: "exit codes that mean success",
    },
  },
  required: ["argv"],
  additionalProperties: false,
} as const satisfies JSONSchema;
const commandRunResult = {
  type: "object",
  properties: {
    exit_code: { type: ["integer", "null"] },
    signal: { type: ["string", "null"] },
    timed_out: { type: "boolean" },
    duration_ms: { type: "number" },
    stdout: { type: "string" },
    stderr: { type: "string" },
    output_note: { type: "string", description: "present when output was cut" },
    env: { type: "object", additionalProperties: { type: "string" }, description: "the environment that the program saw" },
  },
  required: ["exit_code", "signal", "timed_out", "duration_ms", "stdout", "stderr", "env"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const eventEmitArgs = {
  type: "object",
  properties: {
    type: {
      type: "string",
      pattern: customTypePattern,
      maxLength: 100,
      description: "an event type such as deploy.wanted, not one of the master's own (task.*, agent.*, ...)",
    },
    subject: { type: "string", maxLength: 4096, description: "what it is about" },
    severity: { enum: severities, default: "normal", description: "how much it matters" },
    data: { type: "object", default: {}, description: "whatever belongs to it" },
  },
  required: ["type"],
  additionalProperties: false,
} as const satisfies JSONSchema;
const eventEmitResult = {
  type: "object",
  properties: { type: { type: "string" } },
  required: ["type"],
  additionalProperties: false,
} as const satisfies JSONSchema;

/** `runsOn`: which side performs it. `verify`: the action that confirms, with the same arguments, that it held. */
export interface ActionSpec {
  readonly runsOn: "agent" | "master";
  readonly summary: string;
  readonly args: JSONSchema;
  readonly result: JSONSchema;
  readonly verify?: string;
}

export const actions = {
  "file.restore": {
    runsOn: "agent",
    summary: "Put a managed file back: content, mode, owner and group. Writes beside the target, syncs, renames.",
    args: fileRestoreArgs,
    result: fileRestoreResult,
    verify: "file.check",
  },
  "file.check": {
    runsOn: "agent",
    summary: "Succeeds when a managed file is as it should be; fails with what differs. Changes nothing.",
    args: fileRestoreArgs,
    result: fileCheckResult,
  },
  "file.remove": {
    runsOn: "agent",
    summary: "Remove a file or a symbolic link (never a directory). A file that is not there is fine.",
    args: fileRestoreArgs,
    result: fileRemoveResult,
  },
  "command.run": {
    runsOn: "agent",
    summary: "Run a program without a shell, with a time limit, a stated environment and capped output.",
    args: commandRunArgs,
    result: commandRunResult,
  },
  "event.emit": {
    runsOn: "master",
    summary: "Put an event into the journal, caused by the task.",
    args: eventEmitArgs,
    result: eventEmitResult,
  },
} as const satisfies Record<string, ActionSpec>;

export type ActionName = keyof typeof actions;
export type ActionArgs<N extends ActionName> = FromSchema<(typeof actions)[N]["args"]>;
export type ActionResult<N extends ActionName> = FromSchema<(typeof actions)[N]["result"]>;

/** Checkers for the arguments of every action, by name. */
export const argsCheckers = Object.fromEntries(Object.entries(actions).map(([name, spec]) => [name, untypedChecker(spec.args)])) as Record<
  ActionName,
  (value: unknown) => Checked<unknown>
>;

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
    changed: { type: "boolean" },
    message: { type: "string", maxLength: 8192 },
    result: { type: "object" },
    started: { type: "number" },
    ended: { type: "number" },
  },
  required: ["execution", "action", "outcome", "changed", "started", "ended"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type ExecutionReport = FromSchema<typeof executionReportSchema>;
