/** Actions that need nothing but the journal. */
import type { JSONSchema } from "json-schema-to-ts";
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

export const eventActions = {
  "event.emit": {
    runsOn: "master",
    summary: "Put an event into the journal, caused by the task.",
    args: eventEmitArgs,
    result: eventEmitResult,
  },
} as const satisfies Record<string, ActionSpec>;
