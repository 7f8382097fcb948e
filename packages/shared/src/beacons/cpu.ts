/** The `cpu` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { type BeaconSpec, common, interval } from "./spec.ts";
import { thresholdContradiction, thresholdData, thresholdKeys, thresholdOptions } from "./threshold.ts";

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "cpu" },
    ...thresholdOptions({ unit: "per cent of all cores", maximum: 100, lasts: "10s" }),
    interval: interval("1s"),
  },
  required: ["name", "type", "above"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const data = {
  type: "object",
  properties: {
    percent: { type: "number", description: "load over the last interval, of all cores" },
    ...thresholdData,
    cores: { type: "integer" },
  },
  required: ["percent", ...thresholdKeys, "cores"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type CpuEventData = FromSchema<typeof data>;

const load: CpuEventData = { percent: 97.2, above: 90, clear_below: 70, lasted_ms: 10_003, cores: 4 };

export const cpu = {
  summary: "Load over a threshold for a time, and when it is over: once each.",
  options,
  events: {
    "cpu.high": {
      description: "The load has been over the threshold for the beacon's time. Told once, until `cpu.normal`.",
      severity: "normal",
      data,
      example: { data: load },
    },
    "cpu.normal": {
      description: "The load is under the threshold again.",
      severity: "normal",
      data,
      example: { data: { ...load, percent: 12.5, lasted_ms: 10_001 } },
    },
  },
  contradiction: thresholdContradiction,
} as const satisfies BeaconSpec;
