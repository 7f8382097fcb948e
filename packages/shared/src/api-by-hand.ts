/**
 * What a person has done by hand: whom a target means, orders, retries and comments. A part of the API of `api.ts`.
 */
import type { FromSchema } from "json-schema-to-ts";
import { by, problemView } from "./api.ts";
import { severities } from "./event.ts";
import { targetsSchema } from "./target.ts";

const string = { type: "string" } as const;
const why = { type: "string", minLength: 1, maxLength: 1_000, description: "the reason, for the record" } as const;
const request = {
  type: "string",
  title: "a name of 8 to 64 letters, digits, _ and -",
  pattern: "^[A-Za-z0-9_-]{8,64}$",
  description: "the caller's own name for what it asks: asked again with the same one, nothing is done twice",
} as const;
const { default: _, ...targets } = targetsSchema;

/** Hosts that one order is for: what is meant for more is ordered in parts. */
export const orderAgentsMax = 1_000;

const reached = { type: "boolean", description: "it has a session now; without one the command waits for it" } as const;

const anyObject = { type: "object", additionalProperties: true } as const;
/** Actions of the user's own that the master knows, by which orders are checked, and what is wrong with files of them. */
export const actionsView = {
  type: "object",
  properties: {
    actions: {
      type: "array",
      items: {
        type: "object",
        properties: {
          ...{ action: string, runs_on: { enum: ["agent", "master"] }, summary: string, file: string, args: anyObject },
          result: { ...anyObject, description: "the JSON Schema of what it prints, where its file says so" },
        },
        required: ["action", "runs_on", "summary", "file", "args"],
        additionalProperties: false,
      },
    },
    problems: { type: "array", items: problemView },
  },
  required: ["actions", "problems"],
  additionalProperties: false,
} as const;
export type ActionsView = FromSchema<typeof actionsView>;

export const targetsRequest = {
  type: "object",
  properties: { targets },
  required: ["targets"],
  additionalProperties: false,
} as const;
export const targetsView = {
  type: "object",
  properties: {
    agents: {
      type: "array",
      items: {
        type: "object",
        properties: { id: string, connected: reached },
        required: ["id", "connected"],
        additionalProperties: false,
      },
    },
  },
  required: ["agents"],
  additionalProperties: false,
} as const;
export type TargetsView = FromSchema<typeof targetsView>;

export const orderRequest = {
  type: "object",
  properties: {
    request,
    targets,
    agents: {
      type: "array",
      items: { type: "string", maxLength: 63 },
      minItems: 1,
      maxItems: orderAgentsMax,
      description: "only these of those that the target means",
    },
    action: {
      type: "string",
      maxLength: 100,
      description: "ours, or one of the user's own; one of the master's is done there, for each host",
    },
    args: { type: "object", additionalProperties: true, default: {} },
    dry_run: { type: "boolean", default: false, description: "hosts say what they would do, and change nothing" },
    priority: { enum: severities, default: "normal" },
    timeout_ms: {
      type: "integer",
      minimum: 1_000,
      maximum: 604_800_000,
      default: 60_000,
      description: "how long each host has, the wait for one that is away included",
    },
    why,
    by,
  },
  required: ["request", "targets", "action"],
  additionalProperties: false,
} as const;
export type OrderRequest = FromSchema<typeof orderRequest>;
export const orderView = {
  type: "object",
  properties: {
    order: { type: "string", description: "the id of the event `task.ordered`" },
    tasks: {
      type: "array",
      items: {
        type: "object",
        properties: { id: string, agent: string, connected: reached },
        required: ["id", "agent", "connected"],
        additionalProperties: false,
      },
      description: "one a host",
    },
  },
  required: ["order", "tasks"],
  additionalProperties: false,
} as const;
export type OrderView = FromSchema<typeof orderView>;

export const retryRequest = {
  type: "object",
  properties: {
    ...{ request, why, by },
    dry_run: { type: "boolean", default: false, description: "the host says what the first rung would do, and changes nothing" },
  },
  required: ["request"],
  additionalProperties: false,
} as const;

const unresolved = {
  type: "boolean",
  default: false,
  description: "also on the hosts on which it never began, and those that were cancelled",
} as const;
export const rolloutRetryRequest = {
  type: "object",
  properties: { request, why, by, unresolved },
  required: ["request"],
  additionalProperties: false,
} as const;
export const rolloutRetryQuery = { type: "object", properties: { unresolved }, additionalProperties: false } as const;

export const commentRequest = {
  type: "object",
  properties: { text: { type: "string", minLength: 1, maxLength: 10_000 }, by },
  required: ["text"],
  additionalProperties: false,
} as const;
export const commentView = {
  type: "object",
  properties: { id: { type: "string", description: "of the event `task.comment`" } },
  required: ["id"],
  additionalProperties: false,
} as const;
