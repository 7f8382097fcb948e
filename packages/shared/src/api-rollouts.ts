/** What the API takes and gives about rollouts. */
import type { FromSchema } from "json-schema-to-ts";
import { taskStates } from "./api.ts";
import { severities } from "./event.ts";
import { rolloutStates } from "./rollout.ts";
import { rolloutCounts } from "./event-types/rollouts.ts";

const string = { type: "string" } as const;
const integer = (description: string) => ({ type: "integer", description }) as const;
const time = { type: "string", description: "RFC 3339, UTC, microseconds" } as const;

const hostView = {
  type: "object",
  properties: {
    number: integer("its place, from 1"),
    wave: integer("from 1"),
    agent: string,
    event: { type: "string", description: "its own, of a rollout of firings that go together" },
    state: { enum: ["not-begun", ...taskStates], description: "of its task, when it has one" },
    reason: { type: "string", description: "why it ended as it did" },
    task: string,
  },
  required: ["number", "wave", "agent", "state"],
  additionalProperties: false,
} as const;

const failureView = {
  type: "object",
  properties: { agent: string, at: time, reason: string, output: { type: "string", description: "what the program printed last" } },
  required: ["agent", "at", "reason"],
  additionalProperties: false,
} as const;

export const rolloutView = {
  type: "object",
  properties: {
    id: string,
    reactor: string,
    reactor_version: string,
    branch: { enum: ["do", "on_clear"] },
    event: string,
    agent: { type: "string", description: "the host that the event is about" },
    subject: string,
    priority: { enum: severities },
    state: { enum: rolloutStates },
    reason: string,
    by: { type: "string", description: "who paused or cancelled it" },
    ordered_by: { type: "string", description: "who wanted another one tried again, and from where" },
    why: { type: "string", description: "what they said" },
    retry_of: { type: "string", description: "the rollout that is tried again, on the hosts on which it failed" },
    targets: { type: "string", description: "as they are written" },
    combined: { type: "boolean", description: "it is of firings of several hosts that go together" },
    count: integer("how many events went in"),
    events: { type: "array", items: string, description: "the newest 100 of them" },
    ...rolloutCounts,
    wave: integer("that it is in, from 1"),
    waves: { type: "array", items: { type: "integer" }, description: "up to how many hosts each goes" },
    concurrent: integer("so many hosts at once at most"),
    stop_after: integer("when it failed on so many hosts, nothing more begins"),
    left_out: integer("how many more hosts fit, and it does not go to"),
    left_out_hosts: {
      type: "array",
      items: {
        type: "object",
        properties: { agent: string, reason: string },
        required: ["agent", "reason"],
        additionalProperties: false,
      },
      description: "the first 20 of them: a silence covers them, or limits.per_agent is full",
    },
    asking: { type: "string", description: "the task that asks for somebody's word, as long as it does" },
    joined: integer("firings that joined it while it was open"),
    failures: { type: "array", items: failureView, description: "the first 20 hosts on which it failed, or never began" },
    created: time,
    updated: time,
    members: {
      type: "array",
      items: hostView,
      description: "its hosts, in the order in which they begin; only where one rollout is asked for",
    },
  },
  required: [
    "id",
    "reactor",
    "reactor_version",
    "branch",
    "event",
    "agent",
    "priority",
    "state",
    "targets",
    "combined",
    "count",
    "events",
    "hosts",
    "begun",
    "open",
    "resolved",
    "failed",
    "cancelled",
    "expired",
    "wave",
    "waves",
    "concurrent",
    "joined",
    "failures",
    "created",
    "updated",
  ],
  additionalProperties: false,
} as const;
export type RolloutView = FromSchema<typeof rolloutView>;

export const rolloutsView = {
  type: "object",
  properties: { rollouts: { type: "array", items: rolloutView } },
  required: ["rollouts"],
  additionalProperties: false,
} as const;

/** What trying it again would come to. */
export const rolloutRetryView = {
  type: "object",
  properties: {
    rollout: string,
    hosts: { type: "array", items: hostView, description: "those that it would go to, as they were in the old one" },
    left: integer("on so many more it never began, or was cancelled: `unresolved` takes these"),
    asks: { type: "boolean", description: "somebody's word would be asked for first" },
  },
  required: ["rollout", "hosts", "left", "asks"],
  additionalProperties: false,
} as const;
export type RolloutRetryView = FromSchema<typeof rolloutRetryView>;

export const rolloutsQuery = {
  type: "object",
  properties: {
    reactor: { type: "string", maxLength: 200, description: "a glob" },
    state: { enum: rolloutStates },
    limit: { type: "integer", minimum: 1, maximum: 10_000, default: 50 },
  },
  additionalProperties: false,
} as const;
