/** The `sysctl` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { type BeaconSpec, common, type Contradiction, interval } from "./spec.ts";

/** As sysctl(8) has them: dots between the parts, and a slash for a dot within one; or the other way round. */
const keyPattern = "^[^\\s\\u0000./][^\\s\\u0000]*$";
const globs = {
  type: "array",
  items: { type: "string", pattern: "^[^\\s\\u0000./][^\\s\\u0000]*$", maxLength: 500 },
  maxItems: 1_000,
} as const;

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "sysctl" },
    settings: {
      type: "object",
      propertyNames: { pattern: keyPattern, maxLength: 500 },
      additionalProperties: { type: ["string", "number"] },
      maxProperties: 1_000,
      default: {},
      description: "keys and the values that they should have, such as net.ipv4.ip_forward: 0",
    },
    watch: { ...globs, default: [], description: "globs on keys of which every change is told, such as net.ipv4.conf.*.rp_filter" },
    exclude: {
      ...globs,
      default: [
        "kernel.random.*",
        "kernel.ns_last_pid",
        "kernel.pty.nr",
        "fs.*-nr",
        "fs.*-state",
        "fs.quota.*",
        "net.netfilter.nf_conntrack_count",
      ],
      description: "globs on keys that `watch` leaves out; by default those that count something",
    },
    interval: interval("30s"),
  },
  required: ["name", "type"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type SysctlBeacon = FromSchema<typeof options>;

const data = {
  type: "object",
  properties: {
    key: { type: "string", description: "with dots" },
    value: { type: "string", description: "blanks and tabs between its parts are one blank" },
    expected: { type: "string", description: "what it should be; missing: it is only watched" },
    before: { type: "string", description: "what it was when it was last looked at; missing: it never was" },
  },
  required: ["key", "value"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type SysctlData = FromSchema<typeof data>;

const key = "net.ipv4.ip_forward";

export const sysctl = {
  summary: "Settings of the kernel: not as they should be, or changed.",
  options,
  events: {
    "sysctl.changed": {
      description: "A setting is not what it should be (told at the first look, too), or a watched one was changed.",
      severity: "normal",
      data,
      example: { subject: key, data: { key, value: "1", expected: "0", before: "0" } },
    },
    "sysctl.restored": {
      description: "A setting is what it should be again.",
      severity: "normal",
      data,
      example: { subject: key, data: { key, value: "0", expected: "0", before: "1" } },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

function contradiction({ settings, watch }: SysctlBeacon): Contradiction | undefined {
  for (const key of Object.keys(settings)) {
    if (sysctlPath(key) === undefined) return { path: ["settings", key], message: `"${key}" is no key such as net.ipv4.ip_forward` };
    if (key.includes("*")) return { path: ["settings", key], message: "a setting is one key; globs go into watch" };
  }
  if (Object.keys(settings).length > 0 || watch.length > 0) return undefined;
  return { path: [], message: 'nothing to watch: give "settings", or "watch"' };
}

/** Below /proc/sys, with slashes. Undefined: it would lead somewhere else. */
export function sysctlPath(key: string): string | undefined {
  const separator = /[./]/.exec(key)?.[0];
  const path = separator === "/" ? key : swapped(key);
  return path.split("/").some((part) => part === "" || part === "." || part === "..") ? undefined : path;
}

/** With dots, from a path below /proc/sys. */
export function sysctlKey(path: string): string {
  return swapped(path);
}

function swapped(text: string): string {
  return text.replaceAll(/[./]/g, (separator) => (separator === "." ? "/" : "."));
}
