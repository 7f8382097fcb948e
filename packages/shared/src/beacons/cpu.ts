/** The `cpu` beacon: options and events. */
import type { JSONSchema } from "json-schema-to-ts";
import { topProcesses } from "./processes.ts";
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
    processes: topProcesses("that take the most of it; in `cpu.high` only"),
  },
  required: ["percent", ...thresholdKeys, "cores"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const load = {
  ...{ percent: 97.2, above: 90, clear_below: 70, lasted_ms: 10_003, cores: 4 },
};
const processes = [{ pid: 4211, name: "mysqld", user: "mysql", cpu_percent: 288.4 }];

export const cpu = {
  summary: "Load over a threshold for a time, and when it is over: once each.",
  options,
  events: {
    "cpu.high": {
      description: "The load has been over the threshold for the beacon's time. Told once, until `cpu.normal`.",
      severity: "normal",
      data,
      example: { data: { ...load, processes } },
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
