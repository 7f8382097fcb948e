/** Actions on packages: of apt, dnf, yum and zypper. */
import type { JSONSchema } from "json-schema-to-ts";
import { type ActionSpec, timeout } from "./spec.ts";

/** Never an option, a path, a glob or an expression: apt takes `name-` for a removal, and `name.*` for a pattern. */
const name = "[A-Za-z0-9]([A-Za-z0-9_.+-]*[A-Za-z0-9_+])?(:[a-z0-9-]*[a-z0-9])?";
const names = (pattern: string, description: string) =>
  ({
    type: "array",
    items: { type: "string", title: "the name of a package", pattern, maxLength: 400 },
    minItems: 1,
    maxItems: 200,
    description,
  }) as const;

const common = {
  refresh: { type: "boolean", default: true, description: "fetch what the repositories have anew, before something is done" },
  lock_timeout: timeout("5m", "how long to wait for somebody else who installs packages at this moment"),
  timeout: timeout(
    "30m",
    "how long it may take; it is not interrupted before, also when it is cancelled, since a package would be left half installed",
  ),
} as const;

const result = {
  type: "object",
  properties: {
    tool: { enum: ["apt", "dnf", "yum", "zypper"] },
    packages: {
      type: "array",
      description: "every package that is different now, the dependencies included; some of them, when there are very many",
      items: {
        type: "object",
        properties: {
          name: { type: "string" },
          before: { type: "string", description: "its version; absent: it was not installed" },
          after: { type: "string", description: "its version; absent: it is not installed" },
        },
        required: ["name"],
        additionalProperties: false,
      },
    },
    count: { type: "integer", description: "how many are different" },
  },
  required: ["tool", "packages", "count"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const installArgs = {
  type: "object",
  properties: {
    packages: names(
      `^${name}(=[A-Za-z0-9][A-Za-z0-9.+~:^_-]*)?$`,
      "`name` (any version will do) or `name=version`; of apt also `name:architecture`",
    ),
    downgrade: { type: "boolean", default: false, description: "of apt: also to an older version than there is" },
    recommends: { type: "boolean", default: false, description: "of apt and zypper: also what the packages recommend" },
    ...common,
  },
  required: ["packages"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const upgradeArgs = {
  type: "object",
  properties: {
    packages: names(`^${name}$`, "only these; without it all that are installed"),
    security: { type: "boolean", default: false, description: "only what the distribution publishes as security updates" },
    ...common,
  },
  additionalProperties: false,
} as const satisfies JSONSchema;

const removeArgs = {
  type: "object",
  properties: {
    packages: names(`^${name}$`, "which"),
    purge: { type: "boolean", default: false, description: "of apt: their configuration files, too" },
    dependents: { type: "boolean", default: false, description: "also what needs them; without it that is a reason to refuse" },
    lock_timeout: common.lock_timeout,
    timeout: common.timeout,
  },
  required: ["packages"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export const packageActions = {
  "package.install": {
    runsOn: "agent",
    summary:
      "Install packages. What is installed (in that version, when one is given) is left alone. With apt nothing is ever removed for it.",
    args: installArgs,
    judged: { packages: "packages" },
    result,
  },
  "package.upgrade": {
    runsOn: "agent",
    summary: "Bring installed packages to their newest version. With apt nothing is ever removed for it.",
    args: upgradeArgs,
    judged: { packages: "packages" },
    result,
  },
  "package.remove": {
    runsOn: "agent",
    summary: "Remove packages. One that is not installed is fine.",
    args: removeArgs,
    judged: { packages: "packages" },
    result,
  },
} as const satisfies Record<string, ActionSpec>;
