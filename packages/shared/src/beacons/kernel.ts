/** The `kernel` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { pattern, patternProblem } from "../pattern.ts";
import { type BeaconSpec, common, type Contradiction, interval } from "./spec.ts";

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "kernel" },
    oom: { type: "boolean", default: true, description: "tell processes that were killed for want of memory" },
    modules: { type: "boolean", default: true, description: "tell modules that are loaded and removed" },
    taint: { type: "boolean", default: true, description: "tell when the kernel becomes tainted by something more" },
    messages: {
      enum: ["none", "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"],
      default: "none",
      description: "tell the kernel's messages of this level and the more urgent ones",
    },
    ignore: { type: "array", items: pattern, maxItems: 100, default: [], description: "messages that have one of these are not told" },
    interval: interval("1s"),
  },
  required: ["name", "type"],
  additionalProperties: false,
} as const satisfies JSONSchema;
type KernelBeacon = FromSchema<typeof options>;

const oom = {
  type: "object",
  properties: {
    process: { type: "string", description: "its name, as the kernel has it: 15 characters at most" },
    pid: { type: "integer" },
    uid: { type: "integer" },
    scope: { enum: ["host", "cgroup"], description: "what was short of memory" },
    cgroup: { type: "string", description: "the process's; only kernels from 5.0 on say it" },
    limited_cgroup: { type: "string", description: "the cgroup whose limit was reached" },
    virtual_bytes: { type: "integer" },
    anonymous_bytes: { type: "integer" },
    file_bytes: { type: "integer" },
    shared_bytes: { type: "integer" },
    score_adjustment: { type: "integer" },
  },
  required: ["process", "pid", "scope"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type OomKilledData = FromSchema<typeof oom>;

const kernelModule = {
  type: "object",
  properties: {
    module: { type: "string" },
    size_bytes: { type: "integer" },
    flags: { type: "string", description: "how it taints the kernel, such as OE: out of tree, unsigned" },
  },
  required: ["module"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type KernelModuleData = FromSchema<typeof kernelModule>;

const tainted = {
  type: "object",
  properties: {
    value: { type: "integer" },
    before: { type: "integer" },
    added: { type: "array", items: { type: "string" }, description: "what taints it that did not before" },
  },
  required: ["value", "before", "added"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type KernelTaintedData = FromSchema<typeof tainted>;

const message = {
  type: "object",
  properties: {
    message: { type: "string" },
    level: { type: "integer", description: "0 (emerg) to 7 (debug)" },
    sequence: { type: "integer", description: "the kernel's number of the message, in this boot" },
  },
  required: ["message", "level", "sequence"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type KernelMessageData = FromSchema<typeof message>;

const missed = {
  type: "object",
  properties: {
    messages: { type: "integer", description: "how many the kernel had overwritten" },
    from: { type: "integer", description: "the number of the first" },
  },
  required: ["messages", "from"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type KernelMissedData = FromSchema<typeof missed>;

const exampleOom: OomKilledData = {
  process: "java",
  pid: 4_711,
  uid: 1_000,
  scope: "cgroup",
  cgroup: "/system.slice/app.service",
  limited_cgroup: "/system.slice/app.service",
  virtual_bytes: 8_589_934_592,
  anonymous_bytes: 2_147_483_648,
  file_bytes: 0,
  shared_bytes: 0,
  score_adjustment: 0,
};
const exampleModule: KernelModuleData = { module: "usb_storage", size_bytes: 81_920, flags: "" };
const exampleTaint: KernelTaintedData = { value: 4_096, before: 0, added: ["out-of-tree module"] };
const exampleMessage: KernelMessageData = { message: "EXT4-fs error (device sda1): bad block bitmap checksum", level: 3, sequence: 1_234 };
const exampleMissed: KernelMissedData = { messages: 120, from: 1_235 };

export const kernel = {
  summary: "What the kernel did: processes killed for want of memory, modules, taint, and its messages.",
  options,
  events: {
    "oom.killed": {
      description: "The kernel killed a process because there was no memory left, on the host or in a cgroup.",
      severity: "high",
      data: oom,
      example: { subject: "java", data: exampleOom },
    },
    "kernel.module_loaded": {
      description: "A module is in the kernel that was not.",
      severity: "normal",
      data: kernelModule,
      example: { subject: "usb_storage", data: exampleModule },
    },
    "kernel.module_removed": {
      description: "A module is not in the kernel any more.",
      severity: "normal",
      data: kernelModule,
      example: { subject: "usb_storage", data: { module: "usb_storage" } },
    },
    "kernel.tainted": {
      description: "Something more taints the kernel: a foreign module, a warning, a machine check.",
      severity: "normal",
      data: tainted,
      example: { data: exampleTaint },
    },
    "kernel.message": {
      description: "A message of the kernel, of the level that is asked for.",
      severity: "normal",
      data: message,
      example: { data: exampleMessage },
    },
    "kernel.missed": {
      description: "The kernel had overwritten messages before they were read.",
      severity: "normal",
      data: missed,
      example: { data: exampleMissed },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

function contradiction({ ignore, messages, oom: isOom, modules, taint }: KernelBeacon): Contradiction | undefined {
  if (messages === "none" && !isOom && !modules && !taint) return { path: [], message: "nothing to watch: everything is switched off" };
  for (const [at, expression] of ignore.entries()) {
    const problem = patternProblem(expression);
    if (problem !== undefined) return { path: ["ignore", at], message: problem };
  }
  return undefined;
}
