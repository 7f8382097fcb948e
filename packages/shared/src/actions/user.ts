/** Actions on accounts of the host. */
import type { JSONSchema } from "json-schema-to-ts";
import { type ActionSpec, user } from "./spec.ts";

const force = { type: "boolean", default: false, description: "also root, and the account that the agent runs as" } as const;

const state = {
  type: "object",
  properties: {
    locked: { type: "boolean", description: "its password is locked" },
    expires: { type: "string", description: "the date after which nobody can log in to it; absent: never" },
  },
  required: ["locked"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const result = {
  type: "object",
  properties: {
    user: { type: "string" },
    before: state,
    after: state,
    sessions_ended: { type: "integer", description: "processes of the user that were ended" },
  },
  required: ["user", "before", "after"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const lockArgs = {
  type: "object",
  properties: {
    user,
    expire: {
      type: "boolean",
      default: true,
      description: "let the account expire, too: a locked password alone does not keep out who has a key for SSH",
    },
    end_sessions: { type: "boolean", default: false, description: "end all processes of the user" },
    force,
  },
  required: ["user"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const unlockArgs = {
  type: "object",
  properties: {
    user,
    expires: {
      type: "string",
      pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
      description: "when the account expires from now on; without it, the expiry of `user.lock` is taken back and any other stays",
    },
    force,
  },
  required: ["user"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export const userActions = {
  "user.lock": {
    runsOn: "agent",
    summary: "Lock an account: its password, and with `expire` every other way in.",
    args: lockArgs,
    judged: { user: "users" },
    result,
  },
  "user.unlock": {
    runsOn: "agent",
    summary: "Take `user.lock` back. An account that never had a password does not get an empty one.",
    args: unlockArgs,
    judged: { user: "users" },
    result,
  },
} as const satisfies Record<string, ActionSpec>;
