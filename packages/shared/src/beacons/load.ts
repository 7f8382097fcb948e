/** The `load` beacon: options and events. */
import type { JSONSchema } from "json-schema-to-ts";
import { type BeaconSpec, common, interval } from "./spec.ts";
import { thresholdContradiction, thresholdData, thresholdKeys, thresholdOptions } from "./threshold.ts";

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "load" },
    ...thresholdOptions({ unit: "the load average, of a core unless `per_core` is false", lasts: "1m" }),
    average: { enum: ["1m", "5m", "15m"], default: "5m", description: "over which time the kernel has averaged" },
    per_core: { type: "boolean", default: true, description: "judge the average divided by the number of cores" },
    interval: interval("5s"),
  },
  required: ["name", "type", "above"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const data = {
  type: "object",
  properties: {
    load: { type: "number", description: "as it is judged" },
    averages: { type: "array", items: { type: "number" }, description: "of the whole machine over 1, 5 and 15 minutes" },
    cores: { type: "integer" },
    runnable: { type: "integer", description: "threads that run or could" },
    ...thresholdData,
  },
  required: ["load", "averages", "cores", "runnable", ...thresholdKeys],
  additionalProperties: false,
} as const satisfies JSONSchema;

const example = { load: 2.1, averages: [9.2, 8.4, 5.1], cores: 4, runnable: 11, above: 1.5, clear_below: 1, lasted_ms: 60_002 };

export const load = {
  summary: "The load average over a threshold for a time, and when it is over: once each.",
  options,
  events: {
    "load.high": {
      description: "The load average has been over the threshold for the beacon's time. Told once, until `load.normal`.",
      severity: "normal",
      data,
      example: { data: example },
    },
    "load.normal": {
      description: "It is under the threshold again.",
      severity: "normal",
      data,
      example: { data: { ...example, load: 0.7, averages: [1.1, 2.8, 3.9], runnable: 2 } },
    },
  },
  contradiction: thresholdContradiction,
} as const satisfies BeaconSpec;
