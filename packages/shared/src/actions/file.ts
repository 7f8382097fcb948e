/** Actions on files. */
import type { JSONSchema } from "json-schema-to-ts";
import { digestPattern } from "../ids.ts";
import { accountPattern } from "../managed-file.ts";
import { pattern } from "../pattern.ts";
import { type ActionSpec, path, sourced } from "./spec.ts";

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

const account = { type: "string", title: "a name or a number in quotes", pattern: accountPattern } as const;
const metadata = {
  mode: { type: "string", title: 'a mode in quotes, such as "0644"', pattern: "^0?[0-7]{3,4}$", description: 'such as "0644"' },
  owner: { ...account, description: "a user" },
  group: { ...account, description: "a group" },
} as const;

const fileWriteArgs = {
  type: "object",
  title: "either content or source",
  properties: {
    path,
    content: { type: "string", maxLength: 65_536, description: "what is to be in it" },
    ...sourced,
    mode: { ...metadata.mode, description: 'such as "0644"; default: as it is, and 0644 for a new file' },
    owner: { ...metadata.owner, description: "a user; default: as it is, and the agent's own for a new file" },
    group: { ...metadata.group, description: "a group; default: likewise" },
  },
  required: ["path"],
  oneOf: [
    { required: ["content"], properties: { content: {} } },
    { required: ["source"], properties: { source: {} } },
  ],
  additionalProperties: false,
} as const satisfies JSONSchema;

const fileModeArgs = {
  type: "object",
  title: "a path and at least one of mode, owner and group",
  properties: { path, ...metadata },
  required: ["path"],
  anyOf: [
    { required: ["mode"], properties: { mode: {} } },
    { required: ["owner"], properties: { owner: {} } },
    { required: ["group"], properties: { group: {} } },
  ],
  additionalProperties: false,
} as const satisfies JSONSchema;
const fileModeResult = {
  type: "object",
  properties: { path: { type: "string" }, mode: { type: "string" }, owner: { type: "string" }, group: { type: "string" } },
  required: ["path", "mode", "owner", "group"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const line = { type: "string", title: "text of one line", pattern: "^[^\\n\\r\\u0000]*$", maxLength: 8192 } as const;
const fileLineArgs = {
  type: "object",
  title: "a line, or one to look for; match and replaces not both",
  properties: {
    path,
    line: { ...line, description: "the line that is to be there, or not" },
    match: {
      ...pattern,
      description:
        "a regular expression (RE2: no looking ahead, no references back): the one line that it is found in becomes `line`; with state absent, all such lines go",
    },
    replaces: { ...line, description: "the same by the whole text of a line" },
    state: { enum: ["present", "absent"], default: "present", description: "whether the line is to be there" },
    create: { type: "boolean", default: false, description: "make the file when it is not there" },
  },
  required: ["path"],
  anyOf: [
    { required: ["line"], properties: { line: {} } },
    { required: ["match"], properties: { match: {} } },
    { required: ["replaces"], properties: { replaces: {} } },
  ],
  not: { required: ["match", "replaces"], properties: { match: {}, replaces: {} } },
  additionalProperties: false,
} as const satisfies JSONSchema;
const fileLineResult = {
  type: "object",
  properties: {
    path: { type: "string" },
    lines_changed: { type: "integer", description: "added, replaced or removed" },
    digest: { type: "string", pattern: digestPattern, description: "of the file now" },
  },
  required: ["path", "lines_changed", "digest"],
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
  "file.write": {
    runsOn: "agent",
    summary: "Write a file: content, mode, owner and group. Writes beside the target, syncs, renames. Not for managed files.",
    args: fileWriteArgs,
    judged: { path: "paths" },
    sourced: true,
    result: fileRestoreResult,
  },
  "file.mode": {
    runsOn: "agent",
    summary: "Give a file or a directory its mode, owner or group. Never follows a link, never changes a file that has a second name.",
    args: fileModeArgs,
    judged: { path: "paths" },
    result: fileModeResult,
  },
  "file.line": {
    runsOn: "agent",
    summary: "Have a line in a file, replace one, or have it gone; everything else stays as it is. In one step, as file.write.",
    args: fileLineArgs,
    judged: { path: "paths" },
    result: fileLineResult,
  },
} as const satisfies Record<string, ActionSpec>;
