/**
 * The grammar of a reactor's YAML: checked at load, published for editors, and the source of the reference. Defaults stand here and
 * nowhere else. What a schema cannot say well (one of several keys, a key that makes no sense beside another) the compiler says.
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { durationPattern } from "../duration.ts";
import { severities } from "../event.ts";
import { namePattern } from "../ids.ts";
import { ratePattern } from "../rate.ts";
import { timeoutOutcomes } from "../rules/types.ts";
import { reactorTestSchema } from "../reactor-test/schema.ts";
import { targetsSchema } from "../target.ts";

const name = { type: "string", pattern: namePattern, description: "a name of lower-case letters, digits, - and _" } as const;

const typeGlob = {
  type: "string",
  pattern: "^[a-z0-9_*?{},.-]+$",
  maxLength: 200,
  description: "an event type or a glob such as file.*",
} as const;

const on = {
  anyOf: [typeGlob, { type: "array", items: typeGlob, minItems: 1, maxItems: 100 }],
  description: "an event type, a glob such as file.*, or a list of them",
} as const;

const cel = { type: "string", title: "a CEL expression", minLength: 1, maxLength: 10_000 } as const;
const celCondition = { ...cel, title: "a CEL condition" } as const;
const condition = { ...celCondition, description: "a CEL condition over event, agent, vars and route" } as const;
const duration = { type: "string", title: "a duration such as 30s", pattern: durationPattern } as const;

const key = { ...cel, description: "a CEL expression such as event.data.address" } as const;
const by = {
  anyOf: [key, { type: "array", items: key, maxItems: 20 }],
  description: "a CEL expression or a list of them: each combination of their values is counted for itself",
} as const;

const as = {
  type: "string",
  title: "a name of letters, digits and _",
  pattern: "^[a-z][a-zA-Z0-9_]{0,62}$",
  description: "the name of this step's event: matched.NAME in later steps and in values; default: step1, step2, ...",
} as const;

const steps = {
  type: "array",
  minItems: 2,
  maxItems: 20,
  items: {
    type: "object",
    properties: { on: { ...on, description: "event types; default: the reactor's `on`" }, when: condition, as },
    additionalProperties: false,
    description: "a step: { on, when, as }",
  },
} as const;

const correlate = {
  type: "object",
  properties: {
    count: { type: "integer", minimum: 1, maximum: 10_000, description: "fire when so many events came within the time" },
    all: { ...steps, description: "fire when an event came for each of these, in any order, within the time" },
    any: { ...steps, description: "fire on an event for any of these" },
    sequence: { ...steps, description: "fire when events came for these, in this order, within the time; later steps see matched.NAME" },
    none: {
      type: "object",
      properties: {
        on: { ...on, description: "event types; default: the reactor's `on`" },
        when: { ...celCondition, description: "a CEL condition; matched.first is the event that began the wait" },
      },
      additionalProperties: false,
      description: "after an event of the reactor's `on`, fire when no event came for this within the time",
    },
    within: { ...duration, description: "the time, such as 1m; with every condition but `any`" },
    by,
    distinct: { ...cel, description: "with `count`: a CEL expression; events of one value count once" },
    consume: { type: "boolean", default: true, description: "false: events that fired may take part in further firings" },
  },
  additionalProperties: false,
  description: "several events that together fire: one of count, all, any, sequence, none",
} as const;

const overflows = ["drop", "delay", "merge"] as const;
const flow = {
  type: "object",
  properties: {
    once: { ...duration, description: "fire once, then not again for this time, such as 10m" },
    debounce: { ...duration, description: "fire when nothing more has come for this time, such as 30s" },
    collect: { ...duration, description: "gather what comes in this time, such as 1m, and fire once with all of it" },
    rate: {
      type: "string",
      title: "so many in a time, such as 10/1h",
      pattern: ratePattern,
      description: "fire at most so often in a time, such as 10/1h",
    },
    by: { ...by, description: "CEL expressions whose values are told apart; default: those of the correlation" },
    overflow: {
      enum: overflows,
      description: "with once and rate, what is over: drop it (the default), delay it, or merge it into one later firing",
    },
  },
  additionalProperties: false,
  description: "how often it fires: one of once, debounce, collect, rate",
} as const;

/** For one that is given by its name alone. */
export const inhibitionDefaults = { equal: ["event.agent"], for: "10m" } as const;
const equal = {
  type: "array",
  items: key,
  maxItems: 20,
  default: inhibitionDefaults.equal,
  description: "CEL expressions that must have the same values on both events",
} as const;
const inhibitedFor = {
  ...duration,
  default: inhibitionDefaults.for,
  description: "how long after a firing; with `raise`: while it is raised",
} as const;
const inhibitedBy = {
  title: "a list of names, or { reactors, equal, for }",
  type: ["array", "object"],
  items: {
    type: ["string", "object"],
    pattern: namePattern,
    properties: { reactor: { ...name, description: "the name of a reactor" }, equal, for: inhibitedFor },
    required: ["reactor"],
    additionalProperties: false,
    description: "the name of a reactor, or { reactor, equal, for }",
  },
  properties: {
    reactors: {
      type: "array",
      items: { ...name, description: "the name of a reactor" },
      minItems: 1,
      maxItems: 100,
      description: "their names",
    },
    equal,
    for: inhibitedFor,
  },
  required: ["reactors"],
  additionalProperties: false,
  maxItems: 100,
  description: "reactors that keep this one from firing while they are at work: a list, or { reactors, equal, for }",
} as const;

const calendars = {
  type: "array",
  minItems: 1,
  maxItems: 20,
  items: {
    type: "object",
    properties: {
      cron: {
        type: "string",
        title: "a cron expression",
        maxLength: 200,
        description: "when a window begins: minute hour day month weekday, such as 0 2 * * *",
      },
      for: { ...duration, description: "how long it lasts, such as 2h" },
      zone: { type: "string", maxLength: 100, default: "UTC", description: "the time zone, such as Europe/Berlin" },
    },
    required: ["cron", "for"],
    additionalProperties: false,
    description: "a window: { cron, for, zone }",
  },
} as const;

const vars = {
  type: "object",
  maxProperties: 100,
  propertyNames: { pattern: "^[a-zA-Z][a-zA-Z0-9_]{0,62}$", description: "a name of letters, digits and _" },
  additionalProperties: {
    type: ["string", "number", "boolean", "null", "array", "object"],
    properties: {
      value: { description: "the value itself, of any kind" },
      file: {
        type: "string",
        minLength: 1,
        maxLength: 4_096,
        description: "a YAML or JSON file, relative to this one; with secret: a file whose text it is",
      },
      env: { type: "string", pattern: "^[A-Za-z_][A-Za-z0-9_]*$", description: "the name of a variable in the master's environment" },
      default: { description: "with `env`: the value when it is not set" },
      secret: { type: "boolean", default: false, description: "with `file` and `env`: never shown; for values of do only" },
    },
    additionalProperties: false,
    description: "a value, or one of { value }, { file }, { env, default }",
  },
  description: "values for vars.NAME in CEL",
} as const;

const actionArguments = { type: ["object", "null"] } as const;
const actionList = {
  type: "array",
  minItems: 1,
  maxItems: 50,
  items: { type: "object", minProperties: 1, maxProperties: 1, additionalProperties: actionArguments },
  description: "a list of actions, each as `- action.name: { argument: value }`",
} as const;

const awaited = {
  title: "an event type, or { on, when }",
  type: ["string", "object"],
  pattern: typeGlob.pattern,
  maxLength: 200,
  properties: {
    on,
    when: { ...celCondition, description: "a CEL condition; matched.trigger is the event that made the reactor fire" },
  },
  required: ["on"],
  additionalProperties: false,
} as const;

const retry = {
  type: "object",
  properties: {
    attempts: { type: "integer", minimum: 1, maximum: 20, default: 3, description: "how often in all" },
    backoff: { ...duration, default: "5s", description: "the wait before the second attempt" },
    factor: { type: "number", minimum: 1, maximum: 100, default: 2, description: "each further wait is so many times as long" },
    jitter: {
      type: "string",
      title: "a part such as 20%",
      pattern: "^(100|[1-9]?[0-9])%$",
      default: "20%",
      description: "each wait is longer or shorter by chance, by this part of it at most",
    },
    max: { ...duration, default: "5m", description: "the longest wait, before jitter" },
  },
  additionalProperties: false,
  description: "how often it is tried; without it once",
} as const;

const verify = {
  type: "object",
  properties: {
    event: { ...awaited, description: "an event of the host that must come within the time" },
    no_event: { ...awaited, description: "an event of the host that must not come for the time" },
    after: { ...duration, description: "how long to wait before; default: not at all" },
    within: { ...duration, description: "the time: with an action it is asked again until then; default for an action: once" },
  },
  additionalProperties: actionArguments,
  description: "what confirms that it held, beside the checks of its actions: an action that must succeed, or `event`, or `no_event`",
} as const;

const undo = {
  type: "object",
  properties: {
    after: { ...duration, description: "so long after the task has left the rung, however it did" },
    on_failure: { type: "boolean", default: false, description: "true: also when the rung failed, before the next one is tried" },
    steps: { ...actionList, description: "actions that take back what the steps did" },
  },
  required: ["steps"],
  additionalProperties: false,
  description: "takes back what the rung did, once",
} as const;

const ladder = {
  type: "array",
  minItems: 1,
  maxItems: 50,
  items: {
    type: "object",
    minProperties: 1,
    properties: {
      steps: { ...actionList, description: "a rung of a ladder: its actions" },
      timeout: { ...duration, description: "for the steps of one attempt together; default: none but that of each action" },
      retry,
      verify,
      undo,
    },
    additionalProperties: actionArguments,
    description: "an action as `- action.name: { argument: value }`, or a rung as `- steps: [...]`",
  },
  description:
    "a list of actions; or a ladder, a list of rungs of which each is tried until it is verified: { steps, timeout, retry, verify, undo }",
} as const;

const approve = {
  type: "object",
  properties: {
    if: {
      ...celCondition,
      description:
        "when it is needed: a CEL condition that knows what values of do know, and `targets`, the ids of the hosts; default: always",
    },
    from: {
      type: "array",
      items: { type: "string", minLength: 1, maxLength: 100, description: "the name of a user, as `needfire` sends it" },
      minItems: 1,
      maxItems: 100,
      uniqueItems: true,
      description: "those who may say yes or no; the word of one is enough",
    },
    timeout: { ...duration, default: "30m", description: "how long it waits for them" },
    on_timeout: {
      enum: timeoutOutcomes,
      default: "escalate",
      description: "when nobody answered by then: escalate, cancel, or proceed as if it had been approved",
    },
    message: { type: "string", minLength: 1, maxLength: 2_000, description: "what they are asked; may hold `${{ }}`" },
  },
  required: ["from"],
  additionalProperties: false,
  description: "nothing is sent before somebody has said yes",
} as const;

/** Of `manual`. */
export const breakerDefaults = { repeats: 3, within: "1h", keys: 3 } as const;
const breaker = {
  title: "manual, off, or { repeats, within, keys }",
  type: ["string", "object"],
  pattern: "^(manual|off)$",
  properties: {
    repeats: {
      type: "integer",
      minimum: 1,
      maximum: 100,
      default: breakerDefaults.repeats,
      description: "so many tasks for a key that did not hold",
    },
    within: { ...duration, default: breakerDefaults.within, description: "in this time; then the key trips with the next firing" },
    keys: {
      type: "integer",
      minimum: 1,
      maximum: 1_000,
      default: breakerDefaults.keys,
      description: "when so many keys have tripped the reactor does",
    },
  },
  additionalProperties: false,
  default: "manual",
  description: "when the remedy is not tried any more, until a person resets it; off: it always is",
} as const;

const taskSettings = {
  type: "object",
  properties: {
    key: { ...by, description: "CEL expressions: while a task of these values is open, further firings join it" },
    priority: { enum: severities, description: "instead of the reactor's" },
    expires: {
      ...duration,
      description:
        "a task that nothing was begun of so long after it might have begun is given up; default: the master's `execution_expires`, and a wait for a lock has no end",
    },
  },
  additionalProperties: false,
  description: "of the tasks that it makes",
} as const;

const hostCount = {
  title: "a number of hosts such as 10, or a part such as 10%",
  type: ["integer", "string"],
  minimum: 1,
  maximum: 10_000,
  pattern: "^(100|[1-9][0-9]?)%$",
} as const;

const limits = {
  type: "object",
  properties: {
    per_agent: {
      type: "string",
      title: "so many in a time, such as 3/1h",
      pattern: ratePattern,
      description: "at most so many tasks for one agent in a time; further firings make none, and a rollout leaves the agent out",
    },
    breaker,
    concurrent: { ...hostCount, description: "so many hosts at once at most; default: all" },
    ramp: {
      type: "array",
      minItems: 1,
      maxItems: 20,
      items: { ...hostCount, description: "a number of hosts, or a part of them" },
      description: "waves: first up to so many hosts, then up to so many, then the rest; each begins when the one before has ended",
    },
    stop_after_failures: { ...hostCount, description: "when it failed on so many hosts, nothing more begins" },
  },
  additionalProperties: false,
  description:
    "what keeps it from making things worse; with `targets`, `combine` or `collect`: how fast it goes to its hosts, and when it stops",
} as const;

export const reactorSchema = {
  type: "object",
  properties: {
    name: { ...name },
    description: { type: "string", maxLength: 2_000, default: "", description: "what it is for" },
    owner: { type: "string", maxLength: 200, description: "who answers for it" },
    runbook: { type: "string", maxLength: 2_000, description: "where people read on: an address or a text" },
    mode: {
      enum: ["live", "plan", "shadow", "off"],
      default: "live",
      description: "plan: tasks are made and shown, nothing is sent; shadow: decisions are recorded only",
    },
    priority: { enum: severities, default: "normal", description: "of its tasks; the router's, when that is higher" },
    follow: { enum: ["self"], description: "self: fire on the effects of its own remedy, too" },
    on,
    when: { ...condition, description: `${condition.description}; must hold for every event, whatever its part` },
    correlate,
    raise: {
      type: "object",
      properties: { on: { ...on, description: "event types; default: the reactor's `on`" }, when: condition, by },
      additionalProperties: false,
      description: "a problem with a life: `do` when it is raised, `on_clear` when it clears; for each agent and subject, or `by`",
    },
    clear: {
      type: "object",
      properties: { on: { ...on, description: "event types; default: the reactor's `on`" }, when: condition },
      additionalProperties: false,
      description: "with `raise`: what ends the problem",
    },
    for: { ...duration, description: "with `raise`: how long it must not have cleared before it counts, such as 30s; default: at once" },
    flow,
    inhibited_by: inhibitedBy,
    mute_during: { ...calendars, description: "windows of time in which it does not fire" },
    only_during: { ...calendars, description: "windows of time in which alone it fires" },
    vars,
    keys_max: {
      type: "integer",
      minimum: 1,
      maximum: 1_000_000,
      default: 10_000,
      description: "for so many keys state is kept; then the one that was not touched for longest is forgotten, and that is told",
    },
    targets: {
      ...targetsSchema,
      default: "agent",
      description:
        "the hosts that it is for: agent (where the event comes from), a glob on the agent's id, a list of globs, or a CEL expression over agent.labels, agent.facts, event and vars",
    },
    limits,
    combine: {
      ...duration,
      description:
        "so long a firing waits, such as 2s, for those of other hosts that would do the same: they become one rollout, with `limits` and one approval",
    },
    do: ladder,
    otherwise: {
      ...actionList,
      description: "what to do when the last rung has failed; its values know `task`: what was tried, and why it failed",
    },
    task: taskSettings,
    approve,
    lock: {
      ...by,
      description: "CEL expressions: of the tasks with these values, of whatever reactor, one is at work at a time; the others wait",
    },
    on_clear: { ...actionList, description: "with `raise`: what to do when the problem clears" },
    tests: {
      type: "array",
      maxItems: 1_000,
      items: reactorTestSchema,
      description: "timelines of events with what is to follow from them; or in a file NAME.test.yaml beside this one",
    },
  },
  required: ["name", "do"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export type ReactorSource = FromSchema<typeof reactorSchema>;
export type BreakerSource = "manual" | "off" | { repeats: number; within: string; keys: number };
export type ApproveSource = NonNullable<ReactorSource["approve"]>;
export type CorrelateSource = NonNullable<ReactorSource["correlate"]>;
/** Of an item of `do`. */
export interface RungSource {
  steps?: Record<string, unknown>[];
  timeout?: string;
  retry?: { attempts: number; backoff: string; factor: number; jitter: string; max: string };
  verify?: { event?: AwaitedSource; no_event?: AwaitedSource; after?: string; within?: string } & Record<string, unknown>;
  undo?: { after?: string; on_failure: boolean; steps: Record<string, unknown>[] };
}
export type AwaitedSource = string | { on: OneOrMore; when?: string };
export const rungKeys = ["steps", "timeout", "retry", "verify", "undo"] as const;
export type FlowSource = NonNullable<ReactorSource["flow"]>;
/** One text or several. */
export type OneOrMore = string | readonly string[];
export type InhibitorSource = string | { reactor: string; equal: readonly string[]; for: string };
export interface InhibitorsSource {
  reactors: readonly string[];
  equal: readonly string[];
  for: string;
}
