/** The `memory` beacon: options and events. */
import type { JSONSchema } from "json-schema-to-ts";
import { topProcesses } from "./processes.ts";
import { type BeaconSpec, common, interval } from "./spec.ts";
import { thresholdContradiction, thresholdData, thresholdKeys, thresholdOptions } from "./threshold.ts";

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "memory" },
    ...thresholdOptions({ unit: "per cent of the memory that is not available", maximum: 100, lasts: "30s" }),
    interval: interval("5s"),
  },
  required: ["name", "type", "above"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const data = {
  type: "object",
  properties: {
    percent: { type: "number", description: "of the memory, what is not available to programs" },
    available_bytes: { type: "integer" },
    total_bytes: { type: "integer" },
    processes: topProcesses("that hold the most memory; in `memory.high` only"),
    ...thresholdData,
  },
  required: ["percent", "available_bytes", "total_bytes", ...thresholdKeys],
  additionalProperties: false,
} as const satisfies JSONSchema;

const example = {
  percent: 94.1,
  available_bytes: 488_000_000,
  total_bytes: 8_270_000_000,
  ...{ above: 90, clear_below: 80, lasted_ms: 30_004 },
};
const processes = [{ pid: 4211, name: "java", user: "tomcat", memory_bytes: 5_120_000_000 }];

export const memory = {
  summary: "Memory that programs can have no more, over a threshold for a time, and when it is over: once each.",
  options,
  events: {
    "memory.high": {
      description: "The memory that is not available has been over the threshold for the beacon's time. Told once, until `memory.normal`.",
      severity: "normal",
      data,
      example: { data: { ...example, processes } },
    },
    "memory.normal": {
      description: "It is under the threshold again.",
      severity: "normal",
      data,
      example: { data: { ...example, percent: 61.5, available_bytes: 3_180_000_000 } },
    },
  },
  contradiction: thresholdContradiction,
} as const satisfies BeaconSpec;
