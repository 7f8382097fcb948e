/** The `pressure` beacon: options and events. */
import type { JSONSchema } from "json-schema-to-ts";
import { type BeaconSpec, common, interval } from "./spec.ts";
import { thresholdContradiction, thresholdData, thresholdKeys, thresholdOptions } from "./threshold.ts";

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "pressure" },
    ...thresholdOptions({ unit: "per cent of the time", maximum: 100, lasts: "30s" }),
    resource: { enum: ["cpu", "memory", "io"], description: "what is waited for" },
    stalled: { enum: ["some", "full"], default: "some", description: "time in which some tasks wait, or in which all do" },
    average: { enum: ["10s", "60s", "300s"], default: "60s", description: "over which time the kernel has averaged" },
    interval: interval("5s"),
  },
  required: ["name", "type", "resource", "above"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const data = {
  type: "object",
  properties: {
    resource: { enum: ["cpu", "memory", "io"] },
    stalled: { enum: ["some", "full"] },
    percent: { type: "number", description: "of the time, what was spent waiting" },
    total_us: { type: "number", description: "microseconds spent waiting since the machine started" },
    ...thresholdData,
  },
  required: ["resource", "stalled", "percent", "total_us", ...thresholdKeys],
  additionalProperties: false,
} as const satisfies JSONSchema;

const example = {
  resource: "io",
  stalled: "some",
  percent: 46.2,
  total_us: 841_158_955,
  above: 30,
  clear_below: 15,
  lasted_ms: 30_003,
} as const;

export const pressure = {
  summary:
    "How long tasks wait for processor, memory or disk (the kernel's pressure stall information), over a threshold and under it again: once each.",
  options,
  events: {
    "pressure.high": {
      description: "Waiting has been over the threshold for the beacon's time. Told once, until `pressure.normal`.",
      severity: "normal",
      data,
      example: { data: example },
    },
    "pressure.normal": {
      description: "It is under the threshold again.",
      severity: "normal",
      data,
      example: { data: { ...example, percent: 3.1 } },
    },
  },
  contradiction: thresholdContradiction,
} as const satisfies BeaconSpec;
