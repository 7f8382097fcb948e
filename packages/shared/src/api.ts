/**
 * The master's HTTP API: what every route takes and gives, as JSON Schemas from which the server checks, the types derive and the
 * reference is generated. Times are RFC 3339 texts here; inside the program they are ms since the epoch.
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { eventActions } from "./actions/event.ts";
import { severities } from "./event.ts";
import { modes, reasons, timeoutOutcomes } from "./rules/types.ts";
import { purposes } from "./task/types.ts";

const string = { type: "string" } as const;
const time = { type: "string", description: "RFC 3339, UTC, microseconds" } as const;
const integer = { type: "integer" } as const;
const anyObject = { type: "object", additionalProperties: true } as const;
const stringMap = { type: "object", additionalProperties: { type: "string" } } as const;

function object<const P extends Record<string, JSONSchema>, const R extends (keyof P & string)[]>(properties: P, required: R) {
  return { type: "object", properties, required, additionalProperties: false } as const;
}

export const problemView = object({ file: string, line: integer, column: integer, message: string }, ["file", "line", "column", "message"]);

export const errorView = object({ error: object({ code: string, message: string }, ["code", "message"]) }, ["error"]);

export const statusView = object(
  {
    version: string,
    pid: integer,
    started: time,
    address: string,
    fingerprint: string,
    join_string: string,
    enrolment: string,
    agents_known: integer,
    agents_connected: integer,
    agents_lost: integer,
    agents_stopped: integer,
    commands_given: { ...integer, description: "commands that are with hosts that are connected, and have not ended" },
    commands_waiting: { ...integer, description: "commands that wait for their turn at such hosts" },
    events: integer,
    tasks: integer,
    reactors: integer,
    beacons: integer,
    files: integer,
    problems: { type: "array", items: problemView },
  },
  [
    "version",
    "pid",
    "started",
    "address",
    "fingerprint",
    "join_string",
    "enrolment",
    "agents_known",
    "agents_connected",
    "agents_lost",
    "agents_stopped",
    "commands_given",
    "commands_waiting",
    "events",
    "tasks",
    "reactors",
    "beacons",
    "files",
    "problems",
  ],
);
export type StatusView = FromSchema<typeof statusView>;

export const keyStates = ["pending", "accepted", "rejected", "revoked"] as const;
export type KeyState = (typeof keyStates)[number];
export const keyView = object(
  {
    id: string,
    fingerprint: string,
    state: { enum: keyStates },
    labels: stringMap,
    first_seen: time,
    changed: time,
    /** How it came to its state: `token`, `hello`, or who decided, and from where. */
    by: string,
  },
  ["id", "fingerprint", "state", "labels", "first_seen", "changed", "by"],
);
export type KeyView = FromSchema<typeof keyView>;
export const keysView = object({ fingerprint: string, join_string: string, enrolment: string, keys: { type: "array", items: keyView } }, [
  "fingerprint",
  "join_string",
  "enrolment",
  "keys",
]);
export type KeysView = FromSchema<typeof keysView>;

/** Of every change: as the caller says, since the socket's rights decide who may. */
export const by = {
  type: "string",
  title: "who, and from where",
  pattern: "\\S",
  maxLength: 100,
  default: "api",
  description: "who, and from where, for the record",
} as const;
export const byRequest = object({ by }, []);

export const tokenRequest = object(
  {
    by,
    uses: { type: "integer", minimum: 1, maximum: 100_000, default: 1 },
    /** How long it can be used. */
    ttl_ms: { type: "integer", minimum: 1_000, default: 86_400_000 },
    labels: { ...stringMap, default: {} },
  },
  [],
);
export const tokenView = object({ join_string: string, fingerprint: string, uses: integer, expires: time, labels: stringMap }, [
  "join_string",
  "fingerprint",
  "uses",
  "expires",
  "labels",
]);
export type TokenView = FromSchema<typeof tokenView>;

export const presences = ["present", "lost", "stopped"] as const;
export type Presence = (typeof presences)[number];
export const agentView = object(
  {
    id: string,
    fingerprint: string,
    connected: { type: "boolean" },
    presence: {
      enum: presences,
      description: "present (or away for so short a time that it may come back), lost, stopped; none: it was never there",
    },
    presence_since: time,
    last_seen: time,
    labels: stringMap,
    facts: anyObject,
    maintenance: object({ until: time, why: string, by: string }, ["until", "why", "by"]),
    beacons: { type: "array", items: object({ name: string, type: string }, ["name", "type"]) },
    files: { type: "array", items: string },
  },
  ["id", "fingerprint", "connected", "labels", "facts", "beacons", "files"],
);
export type AgentApiView = FromSchema<typeof agentView>;

/** What begins a maintenance, or gives it another end. */
export const maintenanceRequest = object(
  {
    for_ms: { type: "integer", minimum: 1_000, maximum: 31_622_400_000 },
    why: { type: "string", minLength: 1, maxLength: 1_000 },
    by,
  },
  ["for_ms", "why"],
);
export const agentsView = object({ agents: { type: "array", items: agentView } }, ["agents"]);

export const eventView = object(
  {
    position: integer,
    id: string,
    type: string,
    source: string,
    agent: string,
    subject: string,
    time,
    received: time,
    severity: { enum: severities },
    beacon: string,
    cause: string,
    data: anyObject,
  },
  ["position", "id", "type", "source", "agent", "time", "received", "severity", "data"],
);
export type EventView = FromSchema<typeof eventView>;
/**
 * What an answer is without: events of a part of the journal that cannot be read (`journal.partition_damaged`). `from`, `to`: the times of its
 * events; `events`: how many there are in it, whether they were asked for or not.
 */
const missingPart = object({ partition: integer, events: integer, from: time, to: time }, ["partition", "events", "from", "to"]);
export type MissingPart = FromSchema<typeof missingPart>;
const missing = { type: "array", items: missingPart } as const;
export const eventsView = object({ events: { type: "array", items: eventView }, missing }, ["events", "missing"]);
export type EventsView = FromSchema<typeof eventsView>;

const eventsFilter = {
  agent: { type: "string", maxLength: 200, description: "a glob" },
  type: { type: "string", maxLength: 200, description: "a glob" },
  since: { type: "string", maxLength: 50 },
  until: { type: "string", maxLength: 50 },
} as const;

/** Both `events list` and the stream take these. `since`, `until`: RFC 3339, or a duration such as 15m ago. `where`: CEL over `event`. */
export const eventsQuery = object(
  {
    ...eventsFilter,
    where: { type: "string", maxLength: 10_000 },
    limit: { type: "integer", minimum: 1, maximum: 10_000, default: 50 },
  },
  [],
);
export type EventsQuery = FromSchema<typeof eventsQuery>;

export const countKeys = ["type", "agent", "severity", "hour"] as const;
export type CountKey = (typeof countKeys)[number];

/** How many events there are, by one of their properties. Takes what `events list` takes but a condition: it is answered from tallies. */
export const countQuery = object(
  {
    by: { enum: countKeys, default: "type" },
    ...eventsFilter,
    limit: { type: "integer", minimum: 1, maximum: 10_000, default: 1_000 },
  },
  [],
);
/** `key`: a type, an agent, a severity, or the beginning of an hour. Most first, hours in their order. `total`: of all, shown or not. */
export const countView = object(
  {
    by: { enum: countKeys },
    total: integer,
    counts: { type: "array", items: object({ key: string, events: integer }, ["key", "events"]) },
    missing,
  },
  ["by", "total", "counts", "missing"],
);
export type CountView = FromSchema<typeof countView>;

/** An event of an operator's own takes what an event of a remedy takes. `by` becomes a part of its data. */
export const sendRequest = object({ ...eventActions["event.emit"].args.properties, by }, ["type"]);
export const sendView = object({ id: string }, ["id"]);

export const reactorView = object(
  {
    name: string,
    description: string,
    version: string,
    file: string,
    line: integer,
    on: { type: "array", items: string },
    when: string,
    mode: { enum: modes },
    set_aside: { type: "boolean", description: "true: judging it went on failing, and it is judged no more until it is changed" },
    priority: { enum: severities },
    owner: string,
    runbook: string,
    actions: { type: "array", items: string },
    firings: { ...integer, description: "what it fired, in mode shadow what it would have" },
    throttled: { ...integer, description: "what its flow left out" },
    unrecorded: { ...integer, description: "decisions that were not recorded: too many at once" },
    last_firing: time,
    decision_ms: { type: "number", description: "how long it takes to decide on an event, on average; one event in 64 is timed" },
  },
  ["name", "description", "version", "file", "line", "on", "mode", "priority", "actions", "firings", "throttled", "unrecorded"],
);
export type ReactorView = FromSchema<typeof reactorView>;
export const reactorsView = object({ reactors: { type: "array", items: reactorView }, problems: { type: "array", items: problemView } }, [
  "reactors",
  "problems",
]);

/** `version`: the reactor's own; none: the file had no such reactor. `file_version`: SHA-256 of the file's text. */
export const reactorVersionView = object(
  { version: string, file: string, file_version: string, since: time, in_force: { type: "boolean" } },
  ["file", "file_version", "since", "in_force"],
);
export type ReactorVersionView = FromSchema<typeof reactorVersionView>;
export const reactorVersionsView = object({ reactor: string, versions: { type: "array", items: reactorVersionView } }, [
  "reactor",
  "versions",
]);
export type ReactorVersionsView = FromSchema<typeof reactorVersionsView>;

const someVersion = {
  type: "string",
  minLength: 4,
  maxLength: 64,
  description: "a version of the reactor or of its file, or the beginning of one",
} as const;
export const reactorQuery = object({ version: someVersion }, []);
/** `reactor`: as it is in force; none: it is not. `text`: of the whole file, in the version that was asked for. */
export const reactorShowView = object({ reactor: reactorView, version: reactorVersionView, text: string }, ["version", "text"]);
export type ReactorShowView = FromSchema<typeof reactorShowView>;

/** `from`: the version of the file that must be in force for it. `dry_run`: only tell what would be put back. */
export const rollbackRequest = object(
  {
    to: someVersion,
    from: { type: "string", maxLength: 64 },
    by,
    dry_run: { type: "boolean", default: false },
  },
  [],
);
export const rollbackView = object(
  {
    reactor: string,
    file: string,
    from: reactorVersionView,
    to: reactorVersionView,
    text_before: string,
    text_after: string,
    done: { type: "boolean" },
  },
  ["reactor", "file", "from", "to", "text_before", "text_after", "done"],
);
export type RollbackView = FromSchema<typeof rollbackView>;

/** `reactor`, `agent`: globs; one at least. `by`: who silences, as the caller says. */
export const silenceRequest = object(
  {
    reactor: { type: "string", minLength: 1, maxLength: 200 },
    agent: { type: "string", minLength: 1, maxLength: 200 },
    for_ms: { type: "integer", minimum: 1_000, maximum: 31_622_400_000 },
    why: { type: "string", minLength: 1, maxLength: 1_000 },
    by,
  },
  ["for_ms", "why"],
);
export const silenceView = object(
  {
    id: string,
    reactor: { type: "string", description: "a glob; none: all" },
    agent: { type: "string", description: "a glob; none: all" },
    since: time,
    until: time,
    why: string,
    by: string,
    held: { ...integer, description: "firings that it has held back" },
  },
  ["id", "since", "until", "why", "by", "held"],
);
export type SilenceView = FromSchema<typeof silenceView>;
export const silencesView = object({ silences: { type: "array", items: silenceView } }, ["silences"]);

/** `key`: none: the reactor as a whole has tripped. `held`: firings that made no task since. */
export const breakerView = object(
  {
    reactor: string,
    key: { type: "array", items: string, description: "its values, as texts" },
    since: time,
    why: string,
    tasks: { type: "array", items: string, description: "those that did not hold" },
    held: integer,
  },
  ["reactor", "since", "why", "tasks", "held"],
);
export type BreakerView = FromSchema<typeof breakerView>;
export const breakersView = object({ breakers: { type: "array", items: breakerView } }, ["breakers"]);
/** `key`: only of this key; default: the reactor as a whole, with all of its keys. */
export const breakerResetRequest = object(
  {
    key: { type: "array", items: { type: "string", maxLength: 10_000 }, maxItems: 20 },
    why: { type: "string", maxLength: 1_000 },
    by,
  },
  [],
);

export const executionStates = [
  "queued",
  "sent",
  "accepted",
  "succeeded",
  "failed",
  "interrupted",
  "refused",
  "expired",
  "cancelled",
] as const;
export type ExecutionState = (typeof executionStates)[number];
export const executionView = object(
  {
    id: string,
    task: string,
    agent: string,
    action: string,
    args: anyObject,
    purpose: { enum: purposes },
    rung: { type: "integer", description: "of the ladder, from 1" },
    attempt: { type: "integer", description: "on that rung, from 1" },
    state: { enum: executionStates },
    created: time,
    waits_for: { type: "string", description: "for people: why it has not been given to its host" },
    sent: time,
    started: time,
    ended: time,
    changed: { type: "boolean" },
    message: string,
    result: anyObject,
  },
  ["id", "task", "agent", "action", "args", "purpose", "state", "created"],
);
export type ExecutionView = FromSchema<typeof executionView>;

/** Of tasks that are still being tried. */
export const openTaskStates = ["waiting", "running", "verifying", "retrying", "undoing"] as const;
/** Of those that came to nothing. */
export const failedTaskStates = ["escalated", "expired"] as const;
export const taskStates = [...openTaskStates, "resolved", "escalated", "expired", "cancelled", "planned"] as const;
const taskAction = object({ action: string, args: anyObject }, ["action", "args"]);
export const taskView = object(
  {
    id: string,
    reactor: string,
    reactor_version: string,
    event: string,
    agent: string,
    rollout: { type: "string", description: "it is for one of several hosts, or calls people for all of them" },
    subject: string,
    priority: { enum: severities },
    state: { enum: taskStates },
    reason: string,
    cancelled_by: string,
    ordered_by: { type: "string", description: "who wanted it by hand, and from where" },
    why: { type: "string", description: "what they said" },
    dry_run: { type: "boolean", description: "its host says what it would do, and changes nothing" },
    retry_of: { type: "string", description: "the task that is tried once more" },
    verified: { type: "boolean" },
    branch: { enum: ["do", "on_clear"] },
    owner: string,
    labels: { type: "object", additionalProperties: string, description: "from the router" },
    runbook: string,
    key: { type: "array", description: "the values of the reactor's `by`" },
    count: { type: "integer", description: "how many events went in" },
    steps: {
      type: "array",
      items: taskAction,
      description: "what its rung does, one after the other, with its arguments worked out; in state planned: what it would do first",
    },
    rung: { type: "integer", description: "of the ladder, from 1" },
    attempt: { type: "integer", description: "on that rung, from 1; 0: none was begun" },
    attempts: { type: "integer", description: "on all rungs" },
    joined: { type: "integer", description: "firings that joined it while it was open" },
    due: { ...time, description: "when time alone goes on with it" },
    waits_for: { type: "string", description: "for people: what it waits for" },
    approval: {
      ...object({ from: { type: "array", items: string }, until: time, on_timeout: { enum: timeoutOutcomes }, message: string }, [
        "from",
        "until",
        "on_timeout",
      ]),
      description: "in state waiting: whose word it waits for, and what becomes of it without",
    },
    approved: { ...object({ by: string, at: time, why: string }, ["by", "at"]), description: "who let it begin" },
    kept: { ...object({ by: string, at: time, why: string }, ["by", "at"]), description: "who wanted that what it did for a time stays" },
    rungs: {
      type: "array",
      items: object(
        {
          steps: { type: "array", items: taskAction },
          attempts: integer,
          timeout: string,
          verify: { type: "string", description: "for people" },
          undo: { type: "string", description: "for people" },
        },
        ["steps", "attempts"],
      ),
      description: "the ladder; one rung for a list of actions",
    },
    otherwise: { type: "array", items: string, description: "the actions of `otherwise`" },
    history: {
      type: "array",
      items: object({ rung: integer, attempt: integer, at: time, reason: string, output: string }, ["rung", "attempt", "at", "reason"]),
      description: "attempts that failed, the newest 20",
    },
    undo_due: {
      type: "array",
      items: object(
        {
          rung: integer,
          due: { ...time, description: "when; not there: it is under way" },
          by: {
            enum: ["host", "master"],
            description: "who begins it then: the host, which has it, or the master; not there: that is not settled",
          },
          unheard: { type: "boolean", description: "its rung is still tried: then only when the host has heard nothing more of it" },
          why: { type: "string", description: "why the host does not have it" },
          given_up_for: { type: "string", description: "the task that takes it back instead: the host is told to drop it" },
        },
        ["rung"],
      ),
      description: "what is still to be taken back",
    },
    taken_over: {
      type: "array",
      items: object({ rung: integer, by: string, at: time }, ["rung", "by", "at"]),
      description: "what later tasks with the same key take back instead",
    },
    took_over: { type: "array", items: string, description: "earlier tasks of which this one takes back what they did" },
    created: time,
    updated: time,
    executions: { type: "array", items: executionView },
  },
  [
    "id",
    "reactor",
    "reactor_version",
    "event",
    "agent",
    "priority",
    "state",
    "branch",
    "labels",
    "key",
    "count",
    "steps",
    "rung",
    "attempt",
    "attempts",
    "joined",
    "rungs",
    "otherwise",
    "history",
    "undo_due",
    "created",
    "updated",
    "executions",
  ],
);
export type TaskView = FromSchema<typeof taskView>;
/** What people said of a task, the oldest first. */
export const taskShowView = object(
  { ...taskView.properties, comments: { type: "array", items: object({ at: time, by: string, text: string }, ["at", "by", "text"]) } },
  [...taskView.required, "comments"],
);
export type TaskShowView = FromSchema<typeof taskShowView>;
export const tasksView = object({ tasks: { type: "array", items: taskView } }, ["tasks"]);
export const tasksQuery = object(
  {
    agent: { type: "string", maxLength: 200, description: "a glob" },
    reactor: { type: "string", maxLength: 200, description: "a glob" },
    state: { enum: taskStates },
    rollout: { type: "string", maxLength: 100, description: "the id of a rollout" },
    event: { type: "string", maxLength: 200, description: "only those of this event: of an order of a person's one a host" },
    limit: { type: "integer", minimum: 1, maximum: 10_000, default: 50 },
  },
  [],
);

/**
 * `by`: who cancels, approves or denies, as the caller says. The socket's rights decide who may speak here at all; whoever may can speak for
 * anybody, so that `approve.from` of a reactor keeps from mistakes and not from malice.
 */
export const wordRequest = object({ why: { type: "string", maxLength: 1_000 }, by }, []);

/**
 * A causal chain, flat: `depth` says how far below the first cause a link stands; the links come in reading order, so that a chain is
 * printed by indenting. `asked`: the link that was asked for. `cut`: there were more effects than the limit.
 */
export const chainLink = object(
  {
    depth: integer,
    kind: { enum: ["event", "rollout", "task", "execution"] },
    id: string,
    time,
    title: string,
    detail: string,
    asked: { type: "boolean" },
  },
  ["depth", "kind", "id", "time", "title", "detail", "asked"],
);
export type ChainLink = FromSchema<typeof chainLink>;

export const decisionSources = ["recorded", "judged-again", "judged-by-now"] as const;

/** What a reactor made of an event (P5). */
export const decisionView = object(
  {
    reactor: string,
    decision: { enum: [...reasons, "not-asked"], description: "the reason; not-asked: the event did not concern it" },
    detail: string,
    version: { type: "string", description: "of the reactor that decided" },
    at: time,
    until: { ...time, description: "when the reason ends" },
    task: { type: "string", description: "that the event made, or went into; or its rollout" },
    source: {
      enum: decisionSources,
      description:
        "recorded: when the event came. judged-again: by the reactors of then, with what is `assumed`. judged-by-now: the same by the reactors of now, since those of then are not known",
    },
    assumed: { type: "array", items: string, description: "judged again, with this: it may have been otherwise then" },
    parts: {
      type: "array",
      description: "what the conditions came to, part by part",
      items: object({ source: string, value: { type: "string", description: "as JSON" }, error: string }, ["source"]),
    },
  },
  ["reactor", "decision", "detail", "source"],
);
export type DecisionView = FromSchema<typeof decisionView>;

export const chainView = object(
  {
    event: eventView,
    chain: { type: "array", items: chainLink },
    cut: { type: "boolean" },
    decisions: { type: "array", items: decisionView },
    missing,
  },
  ["event", "chain", "cut", "decisions", "missing"],
);
export type ChainView = FromSchema<typeof chainView>;

export const explainQuery = object({ reactor: { type: "string", maxLength: 200, description: "only this one" } }, []);
export const explainView = object({ event: eventView, decisions: { type: "array", items: decisionView } }, ["event", "decisions"]);
export type ExplainView = FromSchema<typeof explainView>;

export const reloadView = object({ problems: { type: "array", items: problemView } }, ["problems"]);
export type ReloadView = FromSchema<typeof reloadView>;
