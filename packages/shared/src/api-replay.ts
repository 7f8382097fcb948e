/**
 * `POST /v1/replay`: what it takes, and the lines that it streams (one JSON object each, told apart by `kind`). A part of the API of `api.ts`.
 */
import type { FromSchema } from "json-schema-to-ts";
import { severities } from "./event.ts";

const string = { type: "string" } as const;
const integer = { type: "integer" } as const;
const time = { type: "string", description: "RFC 3339, UTC, microseconds" } as const;

/** Of all texts together, as JSON. */
export const replayBytesMax = 64 * 1024 * 1024;
const filesMax = 20_000;
/** Firings that are streamed; the others are counted. */
const firingsMaxDefault = 10_000;

export const replayRequest = {
  type: "object",
  properties: {
    files: {
      type: "array",
      minItems: 1,
      maxItems: filesMax,
      items: {
        type: "object",
        properties: { file: string, text: string },
        required: ["file", "text"],
        additionalProperties: false,
      },
      description: "reactor files: their names, for messages, and their texts",
    },
    sources: {
      type: "object",
      additionalProperties: string,
      default: {},
      description: "texts of the files that `vars` of the reactors name, by path",
    },
    since: { type: "string", maxLength: 100, description: "how far back: 7d, or a time" },
    until: { type: "string", maxLength: 100, description: "up to when: 1d (ago), or a time; now without it" },
    diff: { type: "boolean", default: false, description: "set the tasks that did fire beside it" },
    firings_max: {
      type: "integer",
      minimum: 0,
      maximum: 1_000_000,
      default: firingsMaxDefault,
      description: "beyond it firings are only counted",
    },
  },
  required: ["files", "since"],
  additionalProperties: false,
} as const;
export type ReplayRequest = FromSchema<typeof replayRequest>;

export const replayProgress = {
  type: "object",
  properties: {
    kind: { const: "progress" },
    events: { type: "integer", description: "read by now" },
    of: { type: "integer", description: "at most: what the parts of the journal hold that are read" },
    heard: { type: "integer", description: "events that a condition may hold for" },
    firings: integer,
    events_per_s: integer,
    at: { ...time, description: "how far it is in recorded time" },
  },
  required: ["kind", "events", "of", "heard", "firings", "events_per_s"],
  additionalProperties: false,
} as const;
export type ReplayProgress = FromSchema<typeof replayProgress>;

export const replayFiring = {
  type: "object",
  properties: {
    kind: { const: "firing" },
    reactor: string,
    as: { enum: ["fired", "planned", "shadow"], description: "by the reactor's mode" },
    at: time,
    event: { type: "string", description: "the event that completed it" },
    agent: string,
    hosts: { type: "array", items: string, description: "of several that go together, each with an event of its own" },
    subject: string,
    branch: { enum: ["do", "on_clear"] },
    count: { type: "integer", description: "events that went in" },
    priority: { enum: severities },
    do: {
      type: "array",
      items: {
        type: "object",
        properties: { action: string, args: { type: "object", additionalProperties: true } },
        required: ["action", "args"],
        additionalProperties: false,
      },
    },
    problem: { type: "string", description: "why what to do could not be worked out" },
    task: { type: "string", description: "with diff: the task that did fire" },
  },
  required: ["kind", "reactor", "as", "at", "event"],
  additionalProperties: false,
} as const;
export type ReplayFiring = FromSchema<typeof replayFiring>;

export const replayGone = {
  type: "object",
  properties: {
    kind: { const: "gone", description: "a task of then that would not be made now" },
    reactor: string,
    event: string,
    task: string,
    created: time,
  },
  required: ["kind", "reactor", "event", "task", "created"],
  additionalProperties: false,
} as const;
export type ReplayGone = FromSchema<typeof replayGone>;

export const replaySummary = {
  type: "object",
  properties: {
    kind: { const: "summary" },
    events: integer,
    heard: integer,
    firings: integer,
    untold: { type: "integer", description: "firings beyond firings_max" },
    events_per_s: integer,
    ms: integer,
    diff: {
      type: "object",
      properties: {
        same: { type: "integer", description: "fired then and now" },
        new: { type: "integer", description: "only now" },
        gone: { type: "integer", description: "only then" },
        complete: { type: "boolean", description: "false: there were more tasks than are compared" },
      },
      required: ["same", "new", "gone", "complete"],
      additionalProperties: false,
    },
    reactors: {
      type: "array",
      items: {
        type: "object",
        properties: {
          reactor: string,
          mode: { enum: ["live", "plan", "shadow", "off"] },
          reasons: { type: "object", additionalProperties: integer, description: "how often each decision was made" },
        },
        required: ["reactor", "mode", "reasons"],
        additionalProperties: false,
      },
    },
    world: { type: "string", description: "what was taken as it is now" },
  },
  required: ["kind", "events", "heard", "firings", "untold", "events_per_s", "ms", "reactors", "world"],
  additionalProperties: false,
} as const;
export type ReplaySummary = FromSchema<typeof replaySummary>;

const replayFailed = {
  type: "object",
  properties: { kind: { const: "failed" }, message: string },
  required: ["kind", "message"],
  additionalProperties: false,
} as const;

/** A line of the stream: some progress and firings, then a summary, or why there is none. */
export const replayLine = { anyOf: [replayProgress, replayFiring, replayGone, replaySummary, replayFailed] } as const;
export type ReplayLine = FromSchema<typeof replayLine>;
