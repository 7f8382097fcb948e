/** The `swap` beacon: options and events. */
import type { JSONSchema } from "json-schema-to-ts";
import { type BeaconSpec, common, interval } from "./spec.ts";
import { thresholdContradiction, thresholdData, thresholdKeys, thresholdOptions } from "./threshold.ts";

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "swap" },
    ...thresholdOptions({ unit: "per cent of the swap space in use", maximum: 100, lasts: "1m" }),
    interval: interval("10s"),
  },
  required: ["name", "type", "above"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const data = {
  type: "object",
  properties: {
    percent: { type: "number", description: "of the swap space, what is in use; 0 where there is none" },
    used_bytes: { type: "integer" },
    total_bytes: { type: "integer" },
    ...thresholdData,
  },
  required: ["percent", "used_bytes", "total_bytes", ...thresholdKeys],
  additionalProperties: false,
} as const satisfies JSONSchema;

const example = { percent: 71.2, used_bytes: 1_530_000_000, total_bytes: 2_147_000_000, above: 50, clear_below: 30, lasted_ms: 60_002 };

export const swap = {
  summary: "Swap space in use over a threshold for a time, and when it is over: once each.",
  options,
  events: {
    "swap.high": {
      description: "The swap space in use has been over the threshold for the beacon's time. Told once, until `swap.normal`.",
      severity: "normal",
      data,
      example: { data: example },
    },
    "swap.normal": {
      description: "It is under the threshold again.",
      severity: "normal",
      data,
      example: { data: { ...example, percent: 12.5, used_bytes: 268_000_000 } },
    },
  },
  contradiction: thresholdContradiction,
} as const satisfies BeaconSpec;
