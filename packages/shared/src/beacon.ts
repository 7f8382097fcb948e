/**
 * Beacons: what an agent watches. The types with their options, the events that each emits, and the loader of beacon YAML, which
 * both ends use: the master for the definitions that it hands out, the agent for its local ones.
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { durationMs, durationPattern } from "./duration.ts";
import { severities } from "./event.ts";
import { namePattern } from "./ids.ts";
import { parseRate, ratePattern } from "./rate.ts";
import { checker, didYouMean, problemsText } from "./schema.ts";
import { compileTarget, type TargetTest, targetsSchema } from "./target.ts";
import { checkDocument, parseYaml, type Problem, type YamlDocument } from "./yaml-file.ts";

/** What a rate is counted in: shorter would be told too often, longer too late. */
const rateWindowMs = { min: 100, max: 3_600_000 };

const duration = { type: "string", pattern: durationPattern } as const;

const common = {
  name: { type: "string", pattern: namePattern, description: "a name of lower-case letters, digits, - and _" },
  description: { type: "string", maxLength: 2_000 },
  targets: targetsSchema,
  severity: { enum: severities, default: "normal", description: "the severity of the beacon's events" },
  rate: {
    type: "string",
    pattern: ratePattern,
    default: "10000/10s",
    description: "events in a time, such as 1000/10s; more are left out and counted in `beacon.limited`. Critical ones always pass",
  },
} as const;

const fileSchema = {
  type: "object",
  properties: {
    ...common,
    type: { const: "file" },
    paths: {
      type: "array",
      items: { type: "string", pattern: "^/", maxLength: 4096, description: "an absolute path or glob" },
      default: [],
      maxItems: 10_000,
      description: "files, directories (with all below them) and globs; they need not exist yet",
    },
    exclude: {
      type: "array",
      items: { type: "string", pattern: "^/", maxLength: 4096, description: "an absolute path or glob" },
      default: [],
      maxItems: 10_000,
    },
    managed: {
      type: "boolean",
      default: false,
      description: "watch every managed file of this host as well, and judge it by the content it should have",
    },
    secret: { type: "boolean", default: false, description: "never put a diff into an event" },
    settle: {
      ...duration,
      default: "50ms",
      description: "how long a file must be quiet before it is judged: a burst of writes is one event",
    },
    diff_bytes_max: {
      type: "integer",
      minimum: 0,
      maximum: 262_144,
      default: 65_536,
      description: "text files up to this size carry a unified diff",
    },
    poll: { ...duration, default: "2s", description: "how often to look when the kernel's inotify limit leaves no other way" },
  },
  required: ["name", "type"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type FileBeacon = FromSchema<typeof fileSchema>;

const cpuSchema = {
  type: "object",
  properties: {
    ...common,
    type: { const: "cpu" },
    above: { type: "number", minimum: 0, maximum: 100, description: "per cent of all cores" },
    clear_below: { type: "number", minimum: 0, maximum: 100, description: "must not be over `above`; default: the same" },
    for: { ...duration, default: "10s", description: "how long the load must stay over (or under) before it is said" },
    interval: { ...duration, default: "1s" },
  },
  required: ["name", "type", "above"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type CpuBeacon = FromSchema<typeof cpuSchema>;

const fileState = {
  type: ["object", "null"],
  properties: {
    type: { enum: ["file", "directory", "symlink", "other"] },
    digest: { type: ["string", "null"], description: "SHA-256, in hexadecimal; null when the content could not be read" },
    size: { type: "integer", description: "bytes" },
    mode: { type: "string", description: "octal, such as 0644" },
    owner: { type: "string" },
    group: { type: "string" },
    target: { type: "string", description: "of a symbolic link" },
  },
  required: ["type", "digest", "size", "mode", "owner", "group"],
  additionalProperties: false,
} as const;

const fileEvent = {
  type: "object",
  properties: {
    path: { type: "string" },
    changes: { type: "array", items: { enum: ["created", "removed", "content", "mode", "owner", "type"] } },
    before: fileState,
    after: fileState,
    diff: { type: "string", description: "unified, from before (for a managed file: from what it should be) to after" },
    diff_note: { type: "string", description: "why there is no diff" },
  },
  required: ["path", "changes", "before", "after"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type FileEventData = FromSchema<typeof fileEvent>;
export type FileState = NonNullable<FileEventData["before"]>;

const trouble = {
  type: "object",
  properties: { message: { type: "string" }, path: { type: "string" } },
  required: ["message"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const limited = {
  type: "object",
  properties: {
    dropped: { type: "integer", description: "events that were left out" },
    types: { type: "object", additionalProperties: { type: "integer" }, description: "how many of each type" },
    from: { type: "number", description: "time of the first that was left out: ms since the epoch" },
    to: { type: "number", description: "time of the last" },
    limit: { type: "string", description: "the beacon's `rate`" },
  },
  required: ["dropped", "types", "from", "to", "limit"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type LimitedEventData = FromSchema<typeof limited>;

const cpuEvent = {
  type: "object",
  properties: {
    percent: { type: "number", description: "load over the last interval, of all cores" },
    above: { type: "number" },
    clear_below: { type: "number" },
    lasted_ms: { type: "number", description: "how long the condition had held" },
    cores: { type: "integer" },
  },
  required: ["percent", "above", "clear_below", "lasted_ms", "cores"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type CpuEventData = FromSchema<typeof cpuEvent>;

/** Every beacon type: a schema for its options, and one for the data of each event type that it emits. */
export const beaconTypes = {
  file: {
    summary: "Files and directories: created, changed, removed; and managed files that are not as they should be.",
    options: fileSchema,
    events: {
      "file.created": fileEvent,
      "file.changed": fileEvent,
      "file.removed": fileEvent,
      "file.drifted": fileEvent,
      "file.unreadable": trouble,
      "beacon.overflow": trouble,
      "beacon.limited": limited,
    },
  },
  cpu: {
    summary: "Load over a threshold for a time, and when it is over: once each.",
    options: cpuSchema,
    events: { "cpu.high": cpuEvent, "cpu.normal": cpuEvent, "beacon.limited": limited },
  },
} as const satisfies Record<string, { summary: string; options: JSONSchema; events: Record<string, JSONSchema> }>;

export type BeaconType = keyof typeof beaconTypes;
export type BeaconDefinition = FileBeacon | CpuBeacon;

const checkers = { file: checker(fileSchema), cpu: checker(cpuSchema) };

/** A definition that was loaded on the master: what to send to whom. */
export interface LoadedBeacon {
  definition: BeaconDefinition;
  test: TargetTest;
  file: string;
}

/** Checks a definition that came over the wire or from the agent's own store. */
export function checkBeacon(value: unknown): { ok: true; definition: BeaconDefinition } | { ok: false; message: string } {
  const type = typeOf(value);
  if (type === undefined) return { ok: false, message: unknownType(value) };
  const checked = checkers[type](value);
  return checked.ok ? { ok: true, definition: checked.value } : { ok: false, message: problemsText(checked.problems) };
}

/** Loads the beacons of one file: a definition a document. All of them, or every problem: a file is taken as a whole. */
export function loadBeacons(file: string, text: string): { ok: true; beacons: LoadedBeacon[] } | { ok: false; problems: Problem[] } {
  const parsed = parseYaml(file, text);
  if (!parsed.ok) return parsed;
  const beacons: LoadedBeacon[] = [];
  const problems: Problem[] = [];
  for (const document of parsed.documents) {
    const loaded = loadBeacon(file, document);
    if (!loaded.ok) problems.push(...loaded.problems);
    else if (beacons.some(({ definition }) => definition.name === loaded.beacon.definition.name)) {
      problems.push(document.problemAt(["name"], `a second beacon of the name "${loaded.beacon.definition.name}" in this file`));
    } else beacons.push(loaded.beacon);
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, beacons };
}

function loadBeacon(file: string, document: YamlDocument): { ok: true; beacon: LoadedBeacon } | { ok: false; problems: Problem[] } {
  const type = typeOf(document.value);
  if (type === undefined) return { ok: false, problems: [document.problemAt(["type"], unknownType(document.value))] };
  const checked = checkDocument<BeaconDefinition>(document, checkers[type]);
  if (!checked.ok) return checked;
  const definition = checked.value;
  const target = compileTarget(definition.targets);
  if (!target.ok) return { ok: false, problems: [document.problemAt(["targets"], target.message, { offset: target.offset })] };
  const problem = contradiction(definition);
  if (problem !== undefined) return { ok: false, problems: [document.problemAt(problem.path, problem.message)] };
  return { ok: true, beacon: { definition, test: target.test, file } };
}

/** What a schema cannot say. */
function contradiction(definition: BeaconDefinition): { path: string[]; message: string } | undefined {
  const perMs = parseRate(definition.rate)?.perMs ?? 0;
  if (perMs < rateWindowMs.min || perMs > rateWindowMs.max)
    return { path: ["rate"], message: `a rate is per 100ms to 1h, got "${definition.rate}"` };
  if (definition.type === "cpu") {
    if (definition.clear_below !== undefined && definition.clear_below > definition.above) {
      return {
        path: ["clear_below"],
        message: `clear_below (${definition.clear_below}) is over above (${definition.above}): it would never stay raised`,
      };
    }
    if (durationMs(definition.interval) < 100) return { path: ["interval"], message: "an interval under 100ms costs more than it shows" };
    return undefined;
  }
  if (!definition.managed && definition.paths.length === 0) {
    return { path: [], message: 'nothing to watch: give "paths", or "managed: true"' };
  }
  return undefined;
}

function typeOf(value: unknown): BeaconType | undefined {
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined;
  return typeof type === "string" && Object.hasOwn(beaconTypes, type) ? (type as BeaconType) : undefined;
}

function unknownType(value: unknown): string {
  const known = Object.keys(beaconTypes);
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined;
  if (type === undefined) return `a beacon needs a "type": ${known.join(", ")}`;
  return `there is no beacon type ${JSON.stringify(type)}${didYouMean(String(type), known) || ` (known: ${known.join(", ")})`}`;
}
