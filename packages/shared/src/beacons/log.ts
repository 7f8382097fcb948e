/** The `log` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { customTypePattern, severities } from "../event.ts";
import { namePattern } from "../ids.ts";
import { pattern, patternProblem } from "../pattern.ts";
import { absolutePath, type BeaconSpec, common, type Contradiction, duration, interval, texts } from "./spec.ts";

/** A line of which more is matched and told would be a burden to everything behind. */
const lineBytesMax = 65_536;

const path = { ...absolutePath, description: "an absolute path or glob" } as const;
const eventType = {
  type: "string",
  pattern: customTypePattern,
  maxLength: 100,
  description: "the type of the events, such as nginx.error; their data is that of `log.matched`",
} as const;

const onePattern = {
  type: "object",
  properties: {
    name: { type: "string", pattern: namePattern, description: "told in the event" },
    match: pattern,
    exclude: { ...pattern, description: "a regular expression: what has this, too, is not what is looked for" },
    event: eventType,
    severity: { enum: severities, description: "default: the beacon's" },
  },
  required: ["match"],
  additionalProperties: false,
} as const;

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "log" },
    paths: {
      type: "array",
      items: path,
      maxItems: 1_000,
      default: [],
      description:
        "the files by the names that they are written under, directories (with all below them) and globs; they need not exist yet",
    },
    exclude: { type: "array", items: path, maxItems: 1_000, default: [] },
    journald: {
      type: "object",
      properties: {
        units: { ...texts(256), maxItems: 100, default: [] },
        identifiers: { ...texts(256), maxItems: 100, default: [] },
        matches: {
          type: "array",
          items: { type: "string", pattern: "^[A-Z_][A-Z0-9_]{0,63}=", maxLength: 1_000 },
          maxItems: 100,
          default: [],
          description:
            "fields of the journal, such as _COMM=sshd; as journalctl has it: one field twice means either, two fields mean both",
        },
        priority: {
          enum: ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"],
          default: "debug",
          description: "of this priority and the more urgent ones",
        },
        directory: { ...path, description: "another journal than the host's own: the directory of its files" },
      },
      additionalProperties: false,
      description: "the system's journal instead of files, read through journalctl",
    },
    patterns: {
      type: "array",
      items: onePattern,
      minItems: 1,
      maxItems: 100,
      description: "what is looked for; of several that a line has the first is told",
    },
    ignore: { type: "array", items: pattern, maxItems: 100, default: [], description: "lines that have one of these are passed over" },
    event: { ...eventType, default: "log.matched" },
    multiline: {
      type: "object",
      properties: {
        begins: {
          ...pattern,
          description: "a regular expression: a line that has this begins a new record, others belong to the one before",
        },
        lines_max: { type: "integer", minimum: 2, maximum: 1_000, default: 200, description: "a longer record is told in parts" },
        bytes_max: { type: "integer", minimum: 1_024, maximum: lineBytesMax, default: 32_768 },
        wait: { ...duration, default: "1s", description: "a record is complete when nothing was added for so long" },
      },
      required: ["begins"],
      additionalProperties: false,
    },
    line_bytes_max: {
      type: "integer",
      minimum: 256,
      maximum: lineBytesMax,
      default: 8_192,
      description: "of a longer line only the beginning is matched and told (`cut`)",
    },
    encoding: { enum: ["utf-8", "latin1"], default: "utf-8", description: "what is no UTF-8 becomes U+FFFD" },
    from: { enum: ["start", "end"], default: "end", description: "where files that are there already, or the journal, are begun with" },
    interval: interval("5s"),
  },
  required: ["name", "type", "patterns"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type LogBeacon = FromSchema<typeof options>;

const matched = {
  type: "object",
  properties: {
    source: { enum: ["file", "journal"] },
    path: { type: "string", description: "of the file, as it is named in the definition" },
    pattern: { type: "string", description: "the name of the pattern" },
    line: { type: "string", description: "of a record of several lines all of them" },
    lines: { type: "integer", description: "how many lines the record has" },
    cut: { type: "boolean", description: "the line was too long: this is its beginning" },
    fields: { type: "object", additionalProperties: { type: "string" }, description: "the named groups of the pattern" },
    unit: { type: "string", description: "of the journal" },
    identifier: { type: "string", description: "of the journal: the program" },
    pid: { type: "integer", description: "of the journal" },
    priority: { type: "integer", description: "of the journal: 0 (emerg) to 7 (debug)" },
  },
  required: ["source", "line", "lines", "cut", "fields"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type LogMatchedData = FromSchema<typeof matched>;

const lost = {
  type: "object",
  properties: {
    path: { type: "string" },
    reason: {
      enum: ["gone", "truncated", "unreadable", "cursor"],
      description:
        "gone: the file was taken away while nobody watched; truncated: its content was; unreadable: it could not be read to its end; cursor: the journal does not know the position any more",
    },
    offset: { type: "integer", description: "the byte up to which it was read" },
    message: { type: "string" },
  },
  required: ["reason", "message"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type LogLostData = FromSchema<typeof lost>;

const line = '2026/03/01 10:00:00 [error] 812#812: *1 upstream timed out, client: 203.0.113.9, server: shop, request: "GET / HTTP/1.1"';
const example: LogMatchedData = {
  source: "file",
  path: "/var/log/nginx/error.log",
  pattern: "upstream",
  line,
  lines: 1,
  cut: false,
  fields: { client: "203.0.113.9" },
};
const exampleLost: LogLostData = {
  path: "/var/log/nginx/error.log",
  reason: "gone",
  offset: 81_920,
  message: "the file was taken away while nobody watched: what was added to it after the position is not known",
};

export const log = {
  summary: "Lines of log files, or of the system's journal, that a pattern fits; over every rotation, none missed and none twice.",
  options,
  events: {
    "log.matched": {
      description: "A line, or a record of several lines, that a pattern of the beacon fits. The definition may name another type for it.",
      severity: "normal",
      data: matched,
      example: { subject: "/var/log/nginx/error.log", data: example },
    },
    "log.lost": {
      description: "Lines may have been missed.",
      severity: "normal",
      data: lost,
      example: { subject: "/var/log/nginx/error.log", data: exampleLost },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

function contradiction(definition: LogBeacon): Contradiction | undefined {
  const { paths, journald, multiline } = definition;
  if (paths.length === 0 && journald === undefined) return { path: [], message: 'nothing to read: give "paths", or "journald"' };
  if (paths.length > 0 && journald !== undefined)
    return { path: ["journald"], message: "files and the journal are two sources: make a beacon of each" };
  if (journald !== undefined && multiline !== undefined)
    return { path: ["multiline"], message: "an entry of the journal is a record already, with all its lines" };
  for (const { path: at, expression } of expressionsOf(definition)) {
    const problem = patternProblem(expression);
    if (problem !== undefined) return { path: at, message: problem };
  }
  return undefined;
}

function expressionsOf({ patterns, ignore, multiline }: LogBeacon): { path: (string | number)[]; expression: string }[] {
  return [
    ...patterns.flatMap(({ match, exclude }, at) => [
      { path: ["patterns", at, "match"], expression: match },
      ...(exclude === undefined ? [] : [{ path: ["patterns", at, "exclude"], expression: exclude }]),
    ]),
    ...ignore.map((expression, at) => ({ path: ["ignore", at], expression })),
    ...(multiline === undefined ? [] : [{ path: ["multiline", "begins"], expression: multiline.begins }]),
  ];
}
