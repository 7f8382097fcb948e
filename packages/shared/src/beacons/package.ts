/** The `package` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { durationMs } from "../duration.ts";
import { type BeaconSpec, common, type Contradiction, duration, interval } from "./spec.ts";

const upgradesMs = { min: 60_000, max: 30 * 24 * 3_600_000 };

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "package" },
    manager: { enum: ["auto", "dpkg", "rpm"], default: "auto", description: "who keeps the packages; auto: dpkg where it does, else rpm" },
    root: { type: "string", pattern: "^/", maxLength: 4096, default: "/", description: "the directory that the system lies in" },
    summary: {
      type: "boolean",
      default: false,
      description: "one `package.changed` for all that a look finds, instead of an event for each package",
    },
    upgrades: { type: "boolean", default: true, description: "ask apt or dnf which upgrades are pending; nothing is fetched for that" },
    upgrades_every: { ...duration, default: "6h", description: "how often that is asked; 1m to 30d" },
    interval: interval("30s"),
  },
  required: ["name", "type"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type PackageBeacon = FromSchema<typeof options>;

const named = {
  name: { type: "string" },
  architecture: { type: "string" },
  version: { type: "string", description: "the one that is there now; of a removed package the one that was" },
} as const;
const one = { type: "object", properties: named, required: ["name", "architecture", "version"], additionalProperties: false } as const;
const upgraded = {
  type: "object",
  properties: {
    ...named,
    before: { type: "string", description: "the version that it had" },
    security: { type: "boolean", description: "it was pending as a security upgrade; missing: it was not known to be pending" },
  },
  required: ["name", "architecture", "version", "before"],
  additionalProperties: false,
} as const;
const changed = {
  type: "object",
  properties: {
    installed: { type: "array", items: one },
    removed: { type: "array", items: one },
    upgraded: { type: "array", items: upgraded },
    left_out: { type: "integer", description: "how many more there are than the lists hold" },
  },
  required: ["installed", "removed", "upgraded", "left_out"],
  additionalProperties: false,
} as const;

const pending = {
  type: "object",
  properties: {
    ...named,
    candidate: { type: "string", description: "the version that it can be upgraded to" },
    security: { type: "boolean" },
  },
  required: ["name", "architecture", "version", "candidate", "security"],
  additionalProperties: false,
} as const;
const upgradable = {
  type: "object",
  properties: {
    pending: { type: "integer", description: "upgrades that are pending, all together" },
    security: { type: "integer", description: "security upgrades among them" },
    packages: { type: "array", items: pending, description: "those that were not told before" },
    left_out: { type: "integer", description: "how many more there are than the list holds" },
  },
  required: ["pending", "security", "packages", "left_out"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export type PackageOne = FromSchema<typeof one>;
export type PackageUpgraded = FromSchema<typeof upgraded>;
export type PackageChanged = FromSchema<typeof changed>;
export type PackagePending = FromSchema<typeof pending>;
export type PackageUpgradable = FromSchema<typeof upgradable>;

const openssl = { name: "openssl", architecture: "amd64", version: "3.0.15-1~deb12u1" };
const candidate = { ...openssl, version: "3.0.14-1~deb12u2", candidate: openssl.version, security: true };
const nmap = { name: "nmap", architecture: "amd64", version: "7.93+dfsg1-1" };

export const packageBeacon = {
  summary: "Packages that were installed, removed or upgraded, and upgrades that are pending.",
  options,
  events: {
    "package.installed": {
      description: "A package is there that was not.",
      severity: "normal",
      data: one,
      example: { subject: "nmap", data: nmap },
    },
    "package.removed": {
      description: "A package is gone.",
      severity: "normal",
      data: one,
      example: { subject: "nmap", data: nmap },
    },
    "package.upgraded": {
      description: "A package has another version, newer or older.",
      severity: "normal",
      data: upgraded,
      example: { subject: "openssl", data: { ...openssl, before: candidate.version, security: true } },
    },
    "package.changed": {
      description: "Packages have changed: all that one look found, with `summary: true`.",
      severity: "normal",
      data: changed,
      example: { data: { installed: [nmap], removed: [], upgraded: [{ ...openssl, before: candidate.version }], left_out: 0 } },
    },
    "package.upgradable": {
      description: "Upgrades are pending that were not told yet.",
      severity: "normal",
      data: upgradable,
      example: { data: { pending: 12, security: 3, packages: [candidate], left_out: 0 } },
    },
    "package.current": {
      description: "Upgrades were pending; none is any more.",
      severity: "normal",
      data: { type: "object", properties: {}, additionalProperties: false },
      example: { data: {} },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

function contradiction({ upgrades_every: every }: PackageBeacon): Contradiction | undefined {
  const ms = durationMs(every);
  if (ms >= upgradesMs.min && ms <= upgradesMs.max) return undefined;
  return { path: ["upgrades_every"], message: `upgrades are asked for every 1m to 30d, got "${every}"` };
}
