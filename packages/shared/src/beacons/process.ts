/** The `process` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { pattern, patternProblem } from "../pattern.ts";
import { type BeaconSpec, common, type Contradiction, duration, interval } from "./spec.ts";
import { thresholdContradiction, thresholdData, thresholdKeys } from "./threshold.ts";

function threshold<const D extends string>(description: D) {
  return {
    type: "object",
    properties: {
      above: { type: "number", minimum: 0 },
      clear_below: { type: "number", minimum: 0, description: "must not be over `above`; default: the same" },
    },
    required: ["above"],
    additionalProperties: false,
    description,
  } as const;
}

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "process" },
    names: {
      type: "array",
      items: { type: "string", minLength: 1, maxLength: 255, description: "a name or glob" },
      minItems: 1,
      maxItems: 100,
      description: "what the kernel calls the process (as `ps -o comm`), one of these",
    },
    command: {
      ...pattern,
      description:
        "is found in the command line: its arguments with a space between each, the first 4096 characters (a regular expression of RE2)",
    },
    pid_file: { type: "string", pattern: "^/", maxLength: 4_096, description: "the process whose number stands in this file" },
    users: {
      type: "array",
      items: { type: "string", minLength: 1, maxLength: 255 },
      minItems: 1,
      maxItems: 100,
      description: "who it runs as, one of these: names or numbers",
    },
    min: { type: "integer", minimum: 0, maximum: 1_000_000, default: 1, description: "so many processes there must be; 0: none need be" },
    max: { type: "integer", minimum: 0, maximum: 1_000_000, description: "more there must not be; 0, with `min: 0`: none" },
    cpu_percent: threshold("processor time of all of them together, in per cent of one core"),
    memory_bytes: threshold("resident memory of all of them together; what they share counts for each"),
    zombies: threshold("so many of them that have ended and whose parent takes no notice"),
    restarts: { type: "boolean", default: false, description: "tell when the oldest of them has been replaced by a new one" },
    for: {
      ...duration,
      default: "10s",
      description: "how long something must be wrong (or right again) before it is told; not for restarts",
    },
    interval: interval("10s"),
  },
  required: ["name", "type"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type ProcessBeacon = FromSchema<typeof options>;

const processes = {
  type: "array",
  description: "some of them: for `.high` those that take most, else the oldest",
  items: {
    type: "object",
    properties: {
      pid: { type: "integer" },
      name: { type: "string" },
      user: { type: "string" },
      parent: { type: "integer" },
      cpu_percent: { type: "number", description: "of one core, since the look before" },
      memory_bytes: { type: "integer", description: "resident" },
    },
    required: ["pid", "name", "user", "parent"],
    additionalProperties: false,
  },
} as const;

const countData = {
  type: "object",
  properties: {
    count: { type: "integer" },
    min: { type: "integer" },
    max: { type: "integer" },
    lasted_ms: { type: "number", description: "how long it has been so" },
    processes,
  },
  required: ["count", "min", "lasted_ms", "processes"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const levelData = {
  type: "object",
  properties: {
    what: { enum: ["cpu_percent", "memory_bytes", "zombies"] },
    value: { type: "number" },
    count: { type: "integer", description: "of processes that are chosen" },
    processes,
    ...thresholdData,
  },
  required: ["what", "value", "count", "processes", ...thresholdKeys],
  additionalProperties: false,
} as const satisfies JSONSchema;

const restartData = {
  type: "object",
  properties: {
    pid: { type: "integer" },
    pid_before: { type: "integer" },
    count: { type: "integer" },
    processes,
  },
  required: ["pid", "pid_before", "count", "processes"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const one = { pid: 812, name: "mysqld", user: "mysql", parent: 1 };
const none = { count: 0, min: 1, lasted_ms: 10_020, processes: [] };
const level = { what: "memory_bytes", value: 9_120_000_000, count: 1, above: 8e9, clear_below: 7e9, lasted_ms: 10_004 };
const memoryHigh = { ...level, processes: [{ ...one, memory_bytes: 9_120_000_000 }] };

export const process = {
  summary: "Processes: missing, too few or too many, processor time and memory, restarts, zombies.",
  options,
  events: {
    "process.missing": {
      description: "There is none. Told once, until there are as many as there should be.",
      severity: "high",
      data: countData,
      example: { subject: "mysqld", data: none },
    },
    "process.few": {
      description: "There are fewer than `min`, but some.",
      severity: "high",
      data: countData,
      example: { subject: "workers", data: { ...none, count: 2, min: 4, processes: [one] } },
    },
    "process.many": {
      description: "There are more than `max`.",
      severity: "high",
      data: countData,
      example: { subject: "telnetd", data: { ...none, count: 1, min: 0, max: 0, processes: [{ ...one, name: "telnetd" }] } },
    },
    "process.present": {
      description: "There are as many as there should be again.",
      severity: "normal",
      data: countData,
      example: { subject: "mysqld", data: { ...none, count: 1, processes: [one] } },
    },
    "process.high": {
      description: "Together they have taken more processor time or memory than the threshold. Told once, until `process.normal`.",
      severity: "normal",
      data: levelData,
      example: { subject: "mysqld", data: memoryHigh },
    },
    "process.zombie": {
      description: "There are more zombies than the threshold. Told once, until `process.normal`.",
      severity: "normal",
      data: levelData,
      example: { subject: "workers", data: { ...level, what: "zombies", value: 31, above: 10, clear_below: 5, processes: [one] } },
    },
    "process.normal": {
      description: "What was told as high, or zombies, is under its threshold again.",
      severity: "normal",
      data: levelData,
      example: { subject: "mysqld", data: { ...memoryHigh, value: 2_120_000_000, processes: [{ ...one, memory_bytes: 2_120_000_000 }] } },
    },
    "process.restarted": {
      description: "The oldest of them is another one, which was started since the last look (also while the agent was down).",
      severity: "normal",
      data: restartData,
      example: { subject: "mysqld", data: { pid: 4_711, pid_before: 812, count: 1, processes: [{ ...one, pid: 4_711 }] } },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

const thresholds = ["cpu_percent", "memory_bytes", "zombies"] as const;

function contradiction(definition: ProcessBeacon): Contradiction | undefined {
  const { names, command, pid_file: pidFile, users, min, max } = definition;
  if (names === undefined && command === undefined && pidFile === undefined && users === undefined)
    return { path: [], message: 'which processes? give "names", "command", "pid_file" or "users"' };
  if (max !== undefined && max < min)
    return { path: ["max"], message: `max (${max}) is under min (${min})${max === 0 ? ': for none at all, say "min: 0", too' : ""}` };
  for (const name of thresholds) {
    const found = definition[name];
    const problem = found === undefined ? undefined : thresholdContradiction(found as { above: number; clear_below?: number });
    if (problem !== undefined) return { ...problem, path: [name, ...problem.path] };
  }
  const problem = command === undefined ? undefined : patternProblem(command);
  return problem === undefined ? undefined : { path: ["command"], message: problem };
}
