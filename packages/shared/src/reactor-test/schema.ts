/**
 * The grammar of reactor tests: `tests` in a reactor, or in a file NAME.test.yaml beside it. Published for editors; defaults stand here.
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { durationPattern } from "../duration.ts";
import { severities } from "../event.ts";
import { agentIdPattern, eventTypePattern, namePattern } from "../ids.ts";
import { routerSchema } from "../router.ts";

const duration = { type: "string", title: "a duration such as 30s", pattern: durationPattern } as const;
// A title is what an error says was expected; a description is what an editor shows.
const reactor = { type: "string", title: "the name of a reactor", pattern: namePattern } as const;
const agent = {
  type: "string",
  title: "an agent's id",
  pattern: agentIdPattern,
  description: "an agent's id; default: that of the type's example, or web1",
} as const;
const actionList = {
  type: "array",
  maxItems: 50,
  items: { type: "object", minProperties: 1, maxProperties: 1, additionalProperties: { type: ["object", "null"] } },
} as const;

const event = {
  type: "object",
  properties: {
    type: {
      type: "string",
      title: "an event type such as file.changed",
      pattern: eventTypePattern,
      maxLength: 100,
      description: "such as file.changed",
    },
    agent,
    about: { ...agent, description: "of an event of the master: the host that it is about; default: the event's agent" },
    subject: { type: "string", maxLength: 4_096, description: "what it is about: a path, a unit" },
    severity: { enum: severities, description: "default: that of the type" },
    beacon: { type: "string", title: "the name of a beacon", pattern: namePattern, description: "the beacon that saw it" },
    data: { type: "object", description: "what is not given is filled from the example of the type" },
    whole: { type: "boolean", default: false, description: "true: nothing is filled in" },
  },
  required: ["type"],
  additionalProperties: false,
  description: "an event that comes at this time",
} as const;

const expectation = {
  type: "object",
  properties: {
    reactor: { ...reactor, description: "which reactor fires; default: the test's, or any" },
    agent: { ...agent, description: "the host that it is about" },
    subject: { type: "string", description: "of the event that made it fire" },
    priority: { enum: severities, description: "of the task" },
    owner: { type: "string", description: "of the task: the reactor's, or else the router's" },
    labels: { type: "object", additionalProperties: { type: "string" }, description: "of the task, from the router" },
    count: { type: "integer", minimum: 1, description: "how many events went in" },
    key: { type: "array", description: "the values of `by`" },
    branch: { enum: ["do", "on_clear"], description: "which list of actions" },
    planned: { type: "boolean", description: "true: shown only, since the reactor is in mode plan" },
    hosts: {
      type: "array",
      items: agent,
      maxItems: 1_000,
      description:
        "by name: of a reactor with `targets` those of the test's `agents` that fit, and `do` is what the first of them does; of several firings that go together theirs",
    },
    fails: { type: "string", description: "a part of the reason why its values could not be worked out" },
    do: {
      type: "array",
      maxItems: 50,
      items: { type: "object", minProperties: 1, additionalProperties: { type: ["object", "null", "array"] } },
      description:
        "its actions with their arguments worked out, or of a ladder its rungs as { steps, retry: { attempts }, verify, undo: { steps } }: of objects the given fields must be equal",
    },
    otherwise: { ...actionList, description: "what is done when the last rung failed; what speaks of `task` as it is written" },
    task: {
      type: "object",
      properties: { key: { type: "array", description: "the values of `task.key`" } },
      additionalProperties: false,
      description: "of the task",
    },
  },
  additionalProperties: false,
  description: "a firing; what is not given may be anything",
} as const;

const silence = {
  type: "object",
  properties: {
    reactor: { type: "string", minLength: 1, maxLength: 200, default: "*", description: "a glob on reactors' names" },
    agent: { type: "string", minLength: 1, maxLength: 200, default: "*", description: "a glob on agents' ids" },
    for: { ...duration, description: "how long" },
  },
  required: ["for"],
  additionalProperties: false,
  description: "a silence that begins at this time",
} as const;

const moment = {
  type: "object",
  properties: {
    at: { ...duration, description: "when, from the start of the test: 0s, 1m30s; not before the entry above" },
    event,
    repeat: {
      type: "object",
      properties: {
        times: { type: "integer", minimum: 1, maximum: 10_000, description: "how many in all" },
        every: { ...duration, default: "0s", description: "the time between two of them" },
      },
      required: ["times"],
      additionalProperties: false,
      description: "with `event`: the same event again",
    },
    silence,
    expect: {
      type: ["array", "string"],
      items: expectation,
      maxItems: 1_000,
      description: "all firings since the last `expect`; [] or nothing: none",
    },
  },
  required: ["at"],
  additionalProperties: false,
  description: "one of event, silence, expect, and when",
} as const;

const agents = {
  type: "object",
  additionalProperties: {
    type: "object",
    properties: {
      labels: { type: "object", additionalProperties: { type: "string" }, default: {}, description: "texts by name" },
      facts: { type: "object", default: {}, description: "what the agent reports of its host" },
    },
    additionalProperties: false,
    description: "a host: { labels, facts }",
  },
  default: {},
  description: "what is known of hosts, by id",
} as const;

export const reactorTestSchema = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 1, maxLength: 200, description: "what the reactor promises, as a sentence" },
    reactor: { ...reactor, description: "only firings of this reactor are looked at; default: all of the file's" },
    agents,
    vars: { type: "object", default: {}, description: "values for vars.NAME instead of the reactor's own" },
    router: { ...routerSchema, description: "instead of the router.yaml beside the reactors; { rules: [] }: none" },
    start: {
      type: "string",
      title: "a time such as 2026-01-05T12:00:00Z",
      pattern: "^\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2}(:\\d{2}(\\.\\d+)?)?(Z|[+-]\\d{2}:\\d{2}))?$",
      default: "2026-01-05T12:00:00Z",
      description: "the wall clock at 0s, for calendars",
    },
    timeline: { type: "array", minItems: 1, maxItems: 10_000, items: moment, description: "what happens, and what is expected, in order" },
  },
  required: ["name", "timeline"],
  additionalProperties: false,
  description: "a test: { name, timeline }",
} as const satisfies JSONSchema;

/** A file NAME.test.yaml. */
export const reactorTestFileSchema = {
  type: "object",
  properties: { tests: { type: "array", minItems: 1, maxItems: 1_000, items: reactorTestSchema, description: "the tests" } },
  required: ["tests"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export type ReactorTestSource = FromSchema<typeof reactorTestSchema>;
export type Expectation = FromSchema<typeof expectation>;
export type TestEventSource = FromSchema<typeof event>;
