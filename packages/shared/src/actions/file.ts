/** Actions on files. */
import type { JSONSchema } from "json-schema-to-ts";
import { digestPattern } from "../ids.ts";
import { type ActionSpec, path } from "./spec.ts";

const fileRestoreArgs = {
  type: "object",
  properties: { path },
  required: ["path"],
  additionalProperties: false,
} as const satisfies JSONSchema;
const fileRestoreResult = {
  type: "object",
  properties: {
    path: { type: "string" },
    digest: { type: "string", pattern: digestPattern },
    bytes: { type: "integer" },
  },
  required: ["path", "digest", "bytes"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const fileCheckResult = {
  type: "object",
  properties: { path: { type: "string" }, digest: { type: "string", pattern: digestPattern } },
  required: ["path", "digest"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const fileRemoveResult = {
  type: "object",
  properties: { path: { type: "string" } },
  required: ["path"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export const fileActions = {
  "file.restore": {
    runsOn: "agent",
    summary: "Put a managed file back: content, mode, owner and group. Writes beside the target, syncs, renames.",
    args: fileRestoreArgs,
    judged: { path: "paths" },
    result: fileRestoreResult,
    verify: "file.check",
  },
  "file.check": {
    runsOn: "agent",
    summary: "Succeeds when a managed file is as it should be; fails with what differs. Changes nothing.",
    args: fileRestoreArgs,
    judged: { path: "paths" },
    result: fileCheckResult,
  },
  "file.remove": {
    runsOn: "agent",
    summary: "Remove a file or a symbolic link (never a directory). A file that is not there is fine.",
    args: fileRestoreArgs,
    judged: { path: "paths" },
    result: fileRemoveResult,
  },
} as const satisfies Record<string, ActionSpec>;
