/** The `schedule` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { compileCron } from "../cron.ts";
import { durationMs } from "../duration.ts";
import { type BeaconSpec, common, type Contradiction, duration } from "./spec.ts";

const jitterMsMax = 24 * 3_600_000;

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "schedule" },
    cron: { type: "string", minLength: 1, maxLength: 1_000, description: "minute hour day month weekday, such as 0 2 * * 1-5" },
    zone: {
      type: "string",
      minLength: 1,
      maxLength: 100,
      default: "UTC",
      description: "the time zone, such as Europe/Berlin; local: that of the host",
    },
    jitter: {
      ...duration,
      default: "0s",
      description:
        "told up to so much later, by another time on each host and for each due time, so that a fleet does not act in step; 24h at most",
    },
    missed: {
      enum: ["skip", "once"],
      default: "skip",
      description: "what was due while nobody was there to tell it: nothing, or one event for all of it",
    },
  },
  required: ["name", "type", "cron"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type ScheduleBeacon = FromSchema<typeof options>;

const data = {
  type: "object",
  properties: {
    cron: { type: "string" },
    zone: { type: "string" },
    due: { type: "number", description: "when it was due, before the jitter: ms since the epoch" },
    late_ms: { type: "number", description: "how long after that it is told" },
    missed: { type: "integer", description: "due times that were missed and that this event stands for; 1000: that many or more" },
    next: { type: ["number", "null"], description: "the due time after this one" },
  },
  required: ["cron", "zone", "due", "late_ms", "missed", "next"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type ScheduleDueData = FromSchema<typeof data>;

const due: ScheduleDueData = {
  ...{ cron: "0 2 * * *", zone: "Europe/Berlin", missed: 0 },
  ...{ due: 1_767_229_200_000, late_ms: 41_000, next: 1_767_315_600_000 },
};

export const schedule = {
  summary: "Points in time, by a cron expression in a time zone.",
  options,
  events: {
    "schedule.due": {
      description: "It is time. Told once for each due time, or once for those that were missed.",
      severity: "normal",
      data,
      example: { subject: "nightly", data: due },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

function contradiction({ cron, zone, jitter }: ScheduleBeacon): Contradiction | undefined {
  const compiled = compileCron(cron, zone === "local" ? "UTC" : zone);
  if (!compiled.ok) return { path: [compiled.key], message: compiled.message };
  return durationMs(jitter) > jitterMsMax ? { path: ["jitter"], message: `a jitter is 24h at most, got "${jitter}"` } : undefined;
}
