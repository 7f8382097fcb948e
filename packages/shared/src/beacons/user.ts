/** The `user` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { type BeaconSpec, common, type Contradiction, interval } from "./spec.ts";

export const userSubjects = ["accounts", "groups", "sudo", "keys"] as const;

const path = { type: "string", minLength: 1, maxLength: 4_096, pattern: "^[^\\u0000]+$" } as const;

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "user" },
    watch: {
      type: "array",
      items: { enum: userSubjects },
      minItems: 1,
      uniqueItems: true,
      default: [...userSubjects],
      description: "what is watched: accounts, groups, who may use sudo, keys that may log in by ssh",
    },
    exclude: {
      type: "array",
      items: { type: "string", minLength: 1, maxLength: 256 },
      maxItems: 1_000,
      default: [],
      description: "globs on the names of accounts and groups that are not watched",
    },
    sudoers: {
      type: "array",
      items: { ...path, pattern: "^/[^\\u0000]*$" },
      maxItems: 100,
      default: ["/etc/sudoers", "/etc/sudoers.d"],
      description: "files, and directories of files",
    },
    authorized_keys: {
      type: "array",
      items: path,
      maxItems: 20,
      default: [".ssh/authorized_keys", ".ssh/authorized_keys2"],
      description: "as AuthorizedKeysFile in sshd_config: %u is the account, %h its home, and what is no absolute path lies in that",
    },
    root: { ...path, pattern: "^/[^\\u0000]*$", default: "/", description: "the directory that the system lies in" },
    interval: interval("30s"),
  },
  required: ["name", "type"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type UserBeacon = FromSchema<typeof options>;

const account = {
  type: "object",
  properties: {
    name: { type: "string" },
    uid: { type: "integer" },
    gid: { type: "integer" },
    home: { type: "string" },
    shell: { type: "string" },
    comment: { type: "string" },
    locked: {
      type: "boolean",
      description: "nobody can log in by a password; missing: /etc/shadow could not be read, or has no line of it",
    },
    passwordless: { type: "boolean", description: "anybody can, without one" },
  },
  required: ["name", "uid", "gid", "home", "shell", "comment"],
  additionalProperties: false,
} as const;
const accountChanged = {
  type: "object",
  properties: {
    name: { type: "string" },
    changes: {
      type: "array",
      items: { enum: ["uid", "gid", "home", "shell", "comment", "locked", "passwordless", "password"] },
      description: "password: there is another one; it is never told, nor its hash",
    },
    before: account,
    after: account,
  },
  required: ["name", "changes", "before", "after"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const members = { type: "array", items: { type: "string" } } as const;
const group = {
  type: "object",
  properties: {
    name: { type: "string" },
    gid: { type: "integer" },
    members: { ...members, description: "but those whose first group it is" },
  },
  required: ["name", "gid", "members"],
  additionalProperties: false,
} as const;
const groupChanged = {
  type: "object",
  properties: {
    name: { type: "string" },
    changes: { type: "array", items: { enum: ["gid", "members"] } },
    gid: { type: "integer" },
    gid_before: { type: "integer" },
    joined: members,
    left: members,
  },
  required: ["name", "changes", "gid", "gid_before", "joined", "left"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const sudo = {
  type: "object",
  properties: {
    path: { type: "string" },
    added: { ...members, description: "lines, without comments" },
    removed: members,
    left_out: { type: "integer", description: "how many more lines there are" },
  },
  required: ["path", "added", "removed", "left_out"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const key = {
  type: "object",
  properties: {
    user: { type: "string" },
    path: { type: "string" },
    fingerprint: { type: "string", description: "as ssh-keygen -l shows it: SHA256:..." },
    key_type: { type: "string", description: "such as ssh-ed25519" },
    comment: { type: "string" },
    options: { type: "string", description: "what the key may be used for, such as from= and command=; empty: anything" },
  },
  required: ["user", "path", "fingerprint", "key_type", "comment", "options"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export type AccountData = FromSchema<typeof account>;
export type AccountChangedData = FromSchema<typeof accountChanged>;
export type GroupData = FromSchema<typeof group>;
export type GroupChangedData = FromSchema<typeof groupChanged>;
export type SudoChangedData = FromSchema<typeof sudo>;
export type AuthorizedKeyData = FromSchema<typeof key>;

const alice: AccountData = {
  ...{ name: "alice", uid: 1_001, gid: 1_001, home: "/home/alice", shell: "/bin/bash", comment: "Alice" },
  ...{ locked: false, passwordless: false },
};
const operators: GroupData = { name: "operators", gid: 2_000, members: ["alice", "bob"] };
const laptop: AuthorizedKeyData = {
  user: "alice",
  path: "/home/alice/.ssh/authorized_keys",
  fingerprint: "SHA256:uwhOoCVTS7b3wlX1popZs5k609OaD1vQurHU34cCWPk",
  key_type: "ssh-ed25519",
  comment: "alice@laptop",
  options: "",
};
const rule = { path: "/etc/sudoers.d/operators", added: ["%operators ALL=(root) NOPASSWD: /usr/bin/systemctl"], removed: [], left_out: 0 };

export const user = {
  summary: "Accounts, groups, who may use sudo, and which keys may log in: added, removed, changed.",
  options,
  events: {
    "user.added": { description: "There is a new account.", severity: "normal", data: account, example: { subject: "alice", data: alice } },
    "user.removed": { description: "An account is gone.", severity: "normal", data: account, example: { subject: "alice", data: alice } },
    "user.changed": {
      description: "An account is another than before; `changes` says in what.",
      severity: "normal",
      data: accountChanged,
      example: { subject: "alice", data: { name: "alice", changes: ["shell"], before: alice, after: { ...alice, shell: "/bin/zsh" } } },
    },
    "user.sudo_changed": {
      description: "What sudo allows was changed in a file.",
      severity: "normal",
      data: sudo,
      example: { subject: rule.path, data: rule },
    },
    "user.key_added": {
      description: "Another key may log in as this account, or one for something else than before.",
      severity: "normal",
      data: key,
      example: { subject: "alice", data: laptop },
    },
    "user.key_removed": {
      description: "A key may log in no more, or not for what it could before.",
      severity: "normal",
      data: key,
      example: { subject: "alice", data: laptop },
    },
    "group.added": {
      description: "There is a new group.",
      severity: "normal",
      data: group,
      example: { subject: "operators", data: operators },
    },
    "group.removed": {
      description: "A group is gone.",
      severity: "normal",
      data: group,
      example: { subject: "operators", data: operators },
    },
    "group.changed": {
      description: "A group has other members, or another number.",
      severity: "normal",
      data: groupChanged,
      example: {
        subject: "operators",
        data: { name: "operators", changes: ["members"], gid: 2_000, gid_before: 2_000, joined: ["bob"], left: [] },
      },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

function contradiction({ authorized_keys: files }: UserBeacon): Contradiction | undefined {
  const at = files.findIndex((file) => /%(?![uh%])/.test(file));
  return at === -1
    ? undefined
    : { path: ["authorized_keys", at], message: `of the tokens of sshd only %u, %h and %% are known: "${files[at]}"` };
}
