/** Requests that the master makes. */
import type { JSONSchema } from "json-schema-to-ts";
import { type ActionSpec, timeout } from "./spec.ts";

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] as const;

const args = {
  type: "object",
  properties: {
    url: {
      type: "string",
      title: "an http or https address",
      pattern: "^https?://[^\\s/?#]+",
      maxLength: 8_192,
      description: "where it goes",
    },
    method: { enum: methods, default: "GET", description: "with GET and HEAD nothing counts as changed" },
    headers: {
      type: "object",
      additionalProperties: { type: "string", maxLength: 8_192 },
      maxProperties: 100,
      default: {},
      description: "a secret belongs here, from `vars`",
    },
    body: { type: "string", maxLength: 65_536, description: "what is sent, as it is" },
    json: { description: "what is sent, as JSON; instead of `body`" },
    timeout: timeout("30s", "from the beginning to the end of the answer"),
    expect: {
      type: "array",
      items: { type: "integer", minimum: 100, maximum: 599 },
      default: [],
      maxItems: 100,
      description: "the states that mean success; none: 200 to 299",
    },
    body_bytes_max: { type: "integer", minimum: 0, maximum: 131_072, default: 32_768, description: "of the answer; the rest is left out" },
  },
  required: ["url"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const result = {
  type: "object",
  properties: {
    status: { type: "integer" },
    headers: { type: "object", additionalProperties: { type: "string" }, description: "without cookies" },
    body: { type: "string" },
    body_note: { type: "string", description: "present when the answer was cut" },
    duration_ms: { type: "number" },
  },
  required: ["status", "headers", "body", "duration_ms"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export const httpActions = {
  "http.request": {
    runsOn: "master",
    summary: "Ask or tell a service over HTTP, from the master. A redirect is not followed.",
    args,
    result,
  },
} as const satisfies Record<string, ActionSpec>;
