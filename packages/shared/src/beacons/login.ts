/** The `login` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { absolutePath, type BeaconSpec, common, interval, texts } from "./spec.ts";

const globs = { ...texts(256), default: [] } as const;

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "login" },
    events: {
      type: "array",
      items: { enum: ["opened", "closed", "failed"] },
      minItems: 1,
      uniqueItems: true,
      default: ["opened", "closed", "failed"],
      description: "which of them are told",
    },
    users: { ...globs, description: "globs: only these users; none: all" },
    exclude_users: { ...globs, description: "globs: not these users" },
    exclude_services: {
      ...globs,
      default: ["cron", "crond", "atd", "systemd-user", "polkit-1", "runuser*"],
      description: "globs: not what these PAM services open for themselves",
    },
    wtmp: { ...absolutePath, default: "/var/log/wtmp", description: "records of sessions" },
    btmp: { ...absolutePath, default: "/var/log/btmp", description: "records of failed logins" },
    logs: {
      type: "array",
      items: absolutePath,
      maxItems: 20,
      default: ["/var/log/auth.log", "/var/log/secure"],
      description: "what syslog writes of sshd, su, sudo, login and PAM",
    },
    journald: {
      enum: ["auto", "always", "never"],
      default: "auto",
      description: "whether the journal is read for that; auto: where none of the logs is there",
    },
    journal_directory: { ...absolutePath, description: "another journal than the host's own: the directory of its files" },
    interval: interval("5s"),
  },
  required: ["name", "type"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const who = {
  user: { type: "string", description: "who is logged in then; as the host wrote it: failed ones may be any text" },
  address: { type: "string", description: "where from, over a network: an address or a name" },
  port: { type: "integer" },
  terminal: { type: "string" },
  service: { type: "string", description: "sshd, login, su, sudo, or another of PAM" },
  method: { type: "string", description: "password, publickey, ..." },
  by: { type: "string", description: "with su and sudo: who became this user" },
  pid: { type: "integer" },
  source: { enum: ["wtmp", "btmp", "log", "journal"], description: "where it was seen first" },
} as const;

const opened = { type: "object", properties: who, required: ["user", "source"], additionalProperties: false } as const satisfies JSONSchema;
const closed = {
  type: "object",
  properties: {
    ...who,
    lasted_ms: { type: "integer", description: "since it was opened, if that was seen" },
    reason: { enum: ["logout", "boot"], description: "boot: the host went down with it" },
  },
  required: ["user", "source", "reason"],
  additionalProperties: false,
} as const satisfies JSONSchema;
const failed = {
  type: "object",
  properties: {
    ...who,
    unknown_user: { type: "boolean", description: "the host has no such user; only sshd says so" },
    attempts: { type: "integer", description: "how many are told by this one event" },
    reason: { type: "string", description: "if it was not the password: not in sudoers, command not allowed" },
  },
  required: ["user", "source", "attempts"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type LoginData = FromSchema<typeof opened>;
export type LoginClosedData = FromSchema<typeof closed>;
export type LoginFailedData = FromSchema<typeof failed>;

const example: LoginData = {
  user: "alice",
  address: "203.0.113.9",
  port: 51_234,
  service: "sshd",
  method: "publickey",
  pid: 4_711,
  source: "log",
};
const exampleClosed: LoginClosedData = { ...example, lasted_ms: 1_203_000, reason: "logout" };
const exampleFailed: LoginFailedData = { ...example, user: "admin", method: "password", unknown_user: true, attempts: 1 };

export const login = {
  summary: "Sessions opened and closed, and failed logins: from wtmp and btmp, the logs of sshd, su, sudo and login, or the journal.",
  options,
  events: {
    "login.opened": {
      description: "Somebody logged in, or became another user.",
      severity: "normal",
      data: opened,
      example: { subject: "alice@203.0.113.9", data: example },
    },
    "login.closed": {
      description: "A session ended.",
      severity: "normal",
      data: closed,
      example: { subject: "alice@203.0.113.9", data: exampleClosed },
    },
    "login.failed": {
      description: "Somebody could not log in, or was not let become another user.",
      severity: "normal",
      data: failed,
      example: { subject: "admin@203.0.113.9", data: exampleFailed },
    },
  },
} as const satisfies BeaconSpec;
