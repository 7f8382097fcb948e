/** The `file` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { absolutePath, type BeaconSpec, common, type Contradiction, duration } from "./spec.ts";

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "file" },
    paths: {
      type: "array",
      items: { ...absolutePath, description: "an absolute path or glob" },
      default: [],
      maxItems: 10_000,
      description: "files, directories (with all below them) and globs; they need not exist yet",
    },
    exclude: {
      type: "array",
      items: { ...absolutePath, description: "an absolute path or glob" },
      default: [],
      maxItems: 10_000,
    },
    managed: {
      type: "boolean",
      default: false,
      description: "watch every managed file of this host as well, and judge it by the content it should have",
    },
    secret: { type: "boolean", default: false, description: "never put a diff into an event" },
    settle: {
      ...duration,
      default: "50ms",
      description: "how long a file must be quiet before it is judged: a burst of writes is one event",
    },
    diff_bytes_max: {
      type: "integer",
      minimum: 0,
      maximum: 262_144,
      default: 65_536,
      description: "text files up to this size carry a unified diff",
    },
    audit: {
      type: "boolean",
      default: false,
      description: "have the kernel audit these paths while they are watched (auditctl), so that events say who did it",
    },
    poll: { ...duration, default: "2s", description: "how often to look when the kernel's inotify limit leaves no other way" },
  },
  required: ["name", "type"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type FileBeacon = FromSchema<typeof options>;

const fileState = {
  type: ["object", "null"],
  properties: {
    type: { enum: ["file", "directory", "symlink", "other"] },
    digest: { type: ["string", "null"], description: "SHA-256, in hexadecimal; null when the content could not be read" },
    size: { type: "integer", description: "bytes" },
    mode: { type: "string", description: "octal, such as 0644" },
    owner: { type: "string" },
    group: { type: "string" },
    target: { type: "string", description: "of a symbolic link" },
  },
  required: ["type", "digest", "size", "mode", "owner", "group"],
  additionalProperties: false,
} as const;

const fileEvent = {
  type: "object",
  properties: {
    path: { type: "string" },
    changes: { type: "array", items: { enum: ["created", "removed", "content", "mode", "owner", "type"] } },
    before: fileState,
    after: fileState,
    diff: { type: "string", description: "unified, from before (for a managed file: from what it should be) to after" },
    diff_note: { type: "string", description: "why there is no diff" },
    since: {
      type: "number",
      description: "it happened while the beacon did not watch (the agent was down): not before this time, ms since the epoch",
    },
    by: {
      type: "object",
      description: "who did it, where the audit log says so",
      properties: {
        user: { type: "string", description: "whose rights the process had" },
        login_user: { type: "string", description: "who had logged in, whatever they became since; missing: nobody, as with a daemon" },
        executable: { type: "string" },
        pid: { type: "integer" },
      },
      required: ["user", "pid"],
      additionalProperties: false,
    },
  },
  required: ["path", "changes", "before", "after"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type FileEventData = FromSchema<typeof fileEvent>;
export type FileState = NonNullable<FileEventData["before"]>;

const trouble = {
  type: "object",
  properties: { message: { type: "string" }, path: { type: "string" } },
  required: ["message"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const before = { type: "file", digest: "3f".repeat(32), size: 120, mode: "0644", owner: "root", group: "root" } as const;
const after = { ...before, digest: "a4".repeat(32), size: 138 };
const path = "/etc/ssh/sshd_config";

const diff = "--- /etc/ssh/sshd_config\n+++ /etc/ssh/sshd_config\n@@ -1 +1 @@\n-PermitRootLogin no\n+PermitRootLogin yes\n";
const by = { user: "root", login_user: "alice", executable: "/usr/bin/vim.basic", pid: 4_711 };
const changed: FileEventData = { path, changes: ["content"], before, after, diff, by };
const created: FileEventData = { path, changes: ["created"], before: null, after, diff_note: "the file was not there before" };
const removed: FileEventData = { path, changes: ["removed"], before, after: null, diff_note: "the file is gone" };

export const file = {
  summary: "Files and directories: created, changed, removed; and managed files that are not as they should be.",
  options,
  events: {
    "file.created": {
      description: "A watched file, directory or link came into being.",
      severity: "normal",
      data: fileEvent,
      example: { subject: path, data: created },
    },
    "file.changed": {
      description: "A watched file was changed: its content, mode, owner or type.",
      severity: "normal",
      data: fileEvent,
      example: { subject: path, data: changed },
    },
    "file.removed": {
      description: "A watched file, directory or link is gone.",
      severity: "normal",
      data: fileEvent,
      example: { subject: path, data: removed },
    },
    "file.drifted": {
      description: "A managed file is not as it should be. `before` is what it should be.",
      severity: "normal",
      data: fileEvent,
      example: { subject: path, data: changed },
    },
    "file.unreadable": {
      description: "A watched path cannot be read or listed. Told once, until it can be read again.",
      severity: "normal",
      data: trouble,
      example: { subject: path, data: { message: "EACCES: permission denied", path } },
    },
    "beacon.overflow": {
      description: "The kernel could not tell every change, or takes no more watches; the beacon has looked for itself.",
      severity: "high",
      data: trouble,
      example: { subject: "etc", data: { message: "the kernel's limit of inotify watches is reached: the rest is polled" } },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

function contradiction({ managed, paths }: FileBeacon): Contradiction | undefined {
  if (managed || paths.length > 0) return undefined;
  return { path: [], message: 'nothing to watch: give "paths", or "managed: true"' };
}
