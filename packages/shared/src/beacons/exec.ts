/** The `exec` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { durationMs } from "../duration.ts";
import { customTypePattern, severities } from "../event.ts";
import { type BeaconSpec, common, type Contradiction, duration, interval } from "./spec.ts";

/** In the order of the exit codes 0 to 3. */
export const checkStates = ["ok", "warning", "critical", "unknown"] as const;
export type CheckState = (typeof checkStates)[number];

const timeoutMsMax = 3_600_000;

const severity = { enum: severities } as const;
const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "exec" },
    argv: {
      type: "array",
      items: { type: "string", maxLength: 131_072, pattern: "^[^\\u0000]*$" },
      minItems: 1,
      maxItems: 1_000,
      description: "the program and its arguments; there is no shell",
    },
    env: {
      type: "object",
      additionalProperties: { type: ["string", "number", "boolean"] },
      default: {},
      description: "beside PATH, LANG and HOME: nothing is inherited",
    },
    cwd: { type: "string", pattern: "^/[^\\u0000]*$", maxLength: 4096, default: "/" },
    user: { type: "string", minLength: 1, maxLength: 256, description: "who runs it, by name or number; default: who runs the agent" },
    timeout: { ...duration, default: "30s", description: "how long it may take before it is ended with all that it started; 1h at most" },
    output: {
      enum: ["plugin", "json-lines"],
      default: "plugin",
      description:
        "plugin: the exit code is the state, as monitoring plugins have it; json-lines: each line that it prints is a JSON object and an event",
    },
    output_bytes_max: {
      type: "integer",
      minimum: 1_024,
      maximum: 1_048_576,
      default: 65_536,
      description: "of what it prints, how much is read",
    },
    attempts: {
      type: "integer",
      minimum: 1,
      maximum: 100,
      default: 1,
      description: "how many runs in a row must find something wrong before that is told; plugin only",
    },
    severities: {
      type: "object",
      properties: { ok: severity, warning: severity, critical: severity, unknown: severity },
      additionalProperties: false,
      default: {},
      description: "the severity of the events of a state, where it is not the beacon's; plugin only",
    },
    event: {
      type: "string",
      pattern: customTypePattern,
      maxLength: 100,
      default: "exec.reported",
      description: "the type of the events, such as backup.done; json-lines only",
    },
    subject: {
      type: "string",
      minLength: 1,
      maxLength: 100,
      description: "the key of a line whose value is the event's subject; json-lines only. Default: the beacon's name",
    },
    interval: interval("1m"),
  },
  required: ["name", "type", "argv"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type ExecBeacon = FromSchema<typeof options>;

const range = { type: "string", description: "a range, as the plugin says it: 10, 10:20, @5:10, ~:0" } as const;
const figure = {
  type: "object",
  properties: {
    value: { type: ["number", "null"], description: "null: the plugin could not measure it" },
    unit: { type: "string", description: "such as s, %, B, c (a counter); empty: a plain number" },
    warning: range,
    critical: range,
    min: { type: "number" },
    max: { type: "number" },
  },
  required: ["value", "unit"],
  additionalProperties: false,
} as const;

const data = {
  type: "object",
  properties: {
    state: { enum: checkStates },
    before: { enum: [...checkStates, null], description: "what was told before; null: nothing" },
    exit_code: { type: ["integer", "null"] },
    output: { type: "string", description: "the first line, or why there is none" },
    long_output: { type: "string", description: "the other lines" },
    performance: { type: "object", additionalProperties: figure, description: "the performance data by their labels" },
    attempts: { type: "integer", description: "runs in a row that found something wrong" },
    duration_ms: { type: "number", description: "how long the run took" },
  },
  required: ["state", "before", "exit_code", "output", "performance", "attempts", "duration_ms"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type CheckData = FromSchema<typeof data>;
export type PerformanceData = CheckData["performance"];

const critical: CheckData = {
  state: "critical",
  before: "warning",
  exit_code: 2,
  output: "DISK CRITICAL - free space: / 512 MiB (2%)",
  performance: { "/": { value: 24_576, unit: "MB", warning: "20480", critical: "24064", min: 0, max: 25_600 } },
  attempts: 3,
  duration_ms: 12.4,
};
const ok: CheckData = {
  ...{ ...critical, state: "ok", before: "critical", exit_code: 0, output: "DISK OK - free space: / 9216 MiB (36%)", attempts: 0 },
  performance: { "/": { ...critical.performance["/"]!, value: 16_384 } },
};
const warning: CheckData = {
  ...{ ...critical, state: "warning", before: "ok", exit_code: 1, output: "DISK WARNING - free space: / 4096 MiB (16%)" },
  performance: { "/": { ...critical.performance["/"]!, value: 21_504 } },
};
const unknown: CheckData = {
  ...{ ...critical, state: "unknown", before: "ok", exit_code: null, output: "took longer than 30s and was ended by SIGTERM" },
  ...{ performance: {}, duration_ms: 30_004.1 },
};

export const exec = {
  summary:
    "Any program, run from time to time: a monitoring plugin whose state is told when it changes, or one that prints events as JSON.",
  options,
  events: {
    "check.ok": {
      description: "The check is fine again. Never told before something else was.",
      severity: "normal",
      data,
      example: { subject: "root-disk", data: ok },
    },
    "check.warning": {
      description: "The check warns (exit code 1): `attempts` runs in a row found something wrong, or it was critical or unknown before.",
      severity: "normal",
      data,
      example: { subject: "root-disk", data: warning },
    },
    "check.critical": {
      description: "The check is critical (exit code 2).",
      severity: "normal",
      data,
      example: { subject: "root-disk", data: critical },
    },
    "check.unknown": {
      description: "The check does not know: another exit code, a signal, too long, or no such program.",
      severity: "normal",
      data,
      example: { subject: "root-disk", data: unknown },
    },
    "exec.reported": {
      description: "A line that the program printed, with `output: json-lines`. The definition may name another type for it.",
      severity: "normal",
      data: { type: "object", description: "the line, as it is" },
      example: { subject: "nightly-backup", data: { archive: "/srv/backup/2026-03-01.tar.zst", bytes: 81_203_441, files: 10_412 } },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

function contradiction({ timeout, output, attempts, severities: byState, event, subject }: ExecBeacon): Contradiction | undefined {
  if (durationMs(timeout) > timeoutMsMax || durationMs(timeout) <= 0)
    return { path: ["timeout"], message: `a timeout is more than 0 and 1h at most, got "${timeout}"` };
  if (output === "json-lines") {
    if (attempts > 1) return { path: ["attempts"], message: "what prints events has no state that could be tried again" };
    if (Object.keys(byState).length > 0) return { path: ["severities"], message: "what prints events has no state; give a severity" };
    return undefined;
  }
  if (subject !== undefined) return { path: ["subject"], message: 'a check\'s subject is its name; this goes with "output: json-lines"' };
  return event === "exec.reported"
    ? undefined
    : { path: ["event"], message: 'a check makes check.ok, .warning, .critical, .unknown; this goes with "output: json-lines"' };
}
