/** Actions that need nothing but the journal and the time: the task does them itself, within its step. */
import type { JSONSchema } from "json-schema-to-ts";
import { durationPattern } from "../duration.ts";
import { customTypePattern, severities } from "../event.ts";
import type { ActionSpec } from "./spec.ts";

const eventEmitArgs = {
  type: "object",
  properties: {
    type: {
      type: "string",
      pattern: customTypePattern,
      maxLength: 100,
      description: "an event type such as deploy.wanted, not one of the master's own (task.*, agent.*, ...)",
    },
    subject: { type: "string", maxLength: 4096, description: "what it is about" },
    severity: { enum: severities, default: "normal", description: "how much it matters" },
    data: { type: "object", default: {}, description: "whatever belongs to it" },
  },
  required: ["type"],
  additionalProperties: false,
} as const satisfies JSONSchema;
const eventEmitResult = {
  type: "object",
  properties: { type: { type: "string" } },
  required: ["type"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const taskCommentArgs = {
  type: "object",
  properties: { text: { type: "string", minLength: 1, maxLength: 8_192, description: "for whoever reads the task's history" } },
  required: ["text"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const waitArgs = {
  type: "object",
  properties: {
    for: {
      type: "string",
      title: "a duration such as 30s",
      pattern: durationPattern,
      description: "how long; a `timeout` of the rung counts it",
    },
  },
  required: ["for"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const nothing = { type: "object", properties: {}, additionalProperties: false } as const satisfies JSONSchema;

export const eventActions = {
  "event.emit": {
    runsOn: "master",
    summary: "Put an event into the journal, caused by the task.",
    args: eventEmitArgs,
    result: eventEmitResult,
    inStep: true,
  },
  "task.comment": {
    runsOn: "master",
    summary: "Write a comment into the task's history.",
    args: taskCommentArgs,
    result: nothing,
    inStep: true,
  },
  wait: {
    runsOn: "master",
    summary: "Let time pass before the next step. The time is kept over a restart of the master.",
    args: waitArgs,
    result: nothing,
    inStep: true,
  },
} as const satisfies Record<string, ActionSpec>;
