/** The events that an agent makes of itself: its beacons, its spool, the results of what it was told to do. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { executionReportSchema } from "../action.ts";
import { resultType } from "../event.ts";
import { type EventTypeSpec, object } from "./spec.ts";

const message = { type: "string", description: "for people" } as const;
const count = { type: "integer" } as const;
/** How much of each lane, by the lane's severity. */
const lanes = {
  type: "object",
  properties: { critical: count, high: count, normal: count, low: count },
  additionalProperties: false,
} as const;

const limited = {
  type: "object",
  properties: {
    dropped: { type: "integer", description: "events that were left out" },
    types: { type: "object", additionalProperties: { type: "integer" }, description: "how many of each type" },
    from: { type: "number", description: "time of the first that was left out: ms since the epoch" },
    to: { type: "number", description: "time of the last" },
    limit: { type: "string", description: "the beacon's `rate`" },
  },
  required: ["dropped", "types", "from", "to", "limit"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type LimitedEventData = FromSchema<typeof limited>;

const budget = object({
  factor: { type: "number", description: "how many times longer beacons wait between two looks; 1: as they are told to" },
  cpu_percent: { type: "number", description: "of one core, over the last ten seconds" },
  memory_bytes: { type: "integer", description: "resident" },
  cpu_budget_percent: { type: "number" },
  memory_budget_bytes: { type: "integer" },
});

export const agentEventTypes = {
  "beacon.applied": {
    description: "The agent put its definitions in force: from now on these beacons watch.",
    severity: "low",
    data: object({
      version: { type: "string", description: "of the set of definitions that the master sent; empty when it has sent none" },
      beacons: {
        type: "array",
        items: object(
          {
            name: { type: "string" },
            type: { type: "string" },
            state: { enum: ["starting", "watching", "degraded", "failed"] },
            message: { type: "string", description: "what is the matter" },
          },
          ["name", "type", "state"],
        ),
        description: "those in force, and how each is",
      },
    }),
    example: { data: { version: "4be1f0c2", beacons: [{ name: "etc", type: "file", state: "watching" }] } },
  },
  "beacon.refused": {
    description: "A beacon definition cannot be put in force. The agent says what; the master, of its own files, also where.",
    severity: "high",
    data: object({ message, file: { type: "string" }, line: { type: "integer" }, column: { type: "integer" } }, ["message"]),
    example: { subject: "/etc/needfire/beacons/web.yaml", data: { message: 'unknown key "pathes"; did you mean "paths"?' } },
  },
  "beacon.failed": {
    description: "A beacon failed. The others go on, and it is started again: after a second at first, then after longer and longer waits.",
    severity: "high",
    data: object({ message, retry_ms: { type: "integer", description: "when it is started again" } }),
    example: { subject: "etc", data: { message: "ENOSPC: no space left on device", retry_ms: 1_000 } },
  },
  "beacon.degraded": {
    description: "A beacon watches, but not all that it should: `message` says what it cannot see. Told again when that changes.",
    severity: "normal",
    data: object({ message }),
    example: { subject: "logins", data: { message: "/var/log/wtmp: EACCES: permission denied" } },
  },
  "beacon.recovered": {
    description: "A beacon that had failed, or could not see all that it should, watches everything again.",
    severity: "normal",
    data: object({ message: { type: "string", description: "what was the matter" }, lasted_ms: { type: "integer" } }),
    example: { subject: "etc", data: { message: "ENOSPC: no space left on device", lasted_ms: 61_000 } },
  },
  "beacon.limited": {
    description: "A beacon made more events than its `rate`: how many were left out.",
    severity: "normal",
    data: limited,
    example: {
      subject: "etc",
      data: {
        dropped: 412,
        types: { "file.changed": 400, "file.created": 12 },
        from: 1_767_225_600_000,
        to: 1_767_225_609_500,
        limit: "10000/10s",
      },
    },
  },
  "beacon.slowed": {
    description: "The agent takes more than its budget of processor or memory: its beacons look less often, `factor` times as seldom.",
    severity: "normal",
    data: budget,
    example: { data: { factor: 2, cpu_percent: 14.2, memory_bytes: 92_000_000, cpu_budget_percent: 10, memory_budget_bytes: 268_435_456 } },
  },
  "beacon.resumed": {
    description: "The agent keeps its budget again: its beacons look as often as they are told to.",
    severity: "normal",
    data: budget,
    example: { data: { factor: 1, cpu_percent: 1.3, memory_bytes: 88_000_000, cpu_budget_percent: 10, memory_budget_bytes: 268_435_456 } },
  },
  "spool.shed": {
    description: "The spool had to let events go: it was full, they waited too long, or the disk took nothing.",
    severity: "high",
    data: object({
      cause: { enum: ["bytes", "age", "memory"] },
      limit: { type: "string", description: "the limit that was reached" },
      events: { type: "integer" },
      lanes,
      from: { type: "number", description: "time of the first of them: ms since the epoch" },
      to: { type: "number", description: "time of the last" },
    }),
    example: {
      data: { cause: "bytes", limit: "256 MiB", events: 1_200, lanes: { low: 1_200 }, from: 1_767_225_600_000, to: 1_767_229_200_000 },
    },
  },
  "spool.damaged": {
    description: "The spool's file was damaged or incomplete. It was set aside, and the agent goes on with a new one.",
    severity: "high",
    data: object(
      {
        message,
        kept_as: { type: "string", description: "the damaged file, for whoever wants to look" },
        epoch: { type: "string", description: "the numbering that has ended" },
        events: { type: "integer", description: "how many may be lost, where that is known" },
        executions: { type: "integer", description: "how many are reported as interrupted" },
      },
      ["message", "executions"],
    ),
    example: {
      subject: "/var/lib/needfire/spool.db.damaged-1",
      data: {
        message: "database disk image is malformed",
        kept_as: "/var/lib/needfire/spool.db.damaged-1",
        epoch: "mi4k2x",
        events: 17,
        executions: 1,
      },
    },
  },
  "spool.turned_back": {
    description: "The host was put back to an earlier state: its spool knew less than the master has. It numbers anew.",
    severity: "high",
    data: object({
      epoch: { type: "string", description: "the numbering that has ended" },
      after: { type: "integer", description: "the last number that this spool knew" },
      until: { type: "integer", description: "the last number that the master has" },
      lanes,
      events: { type: "integer", description: "how many wait and are sent under new numbers" },
    }),
    example: { data: { epoch: "mi4k2x", after: 140, until: 162, lanes: { normal: 162 }, events: 3 } },
  },
  [resultType]: {
    description: "An execution ended. `cause` is the execution.",
    severity: "normal",
    data: executionReportSchema,
    example: {
      subject: "/etc/ssh/sshd_config",
      data: {
        execution: "t-3f9a1c0b27d40000.1",
        action: "file.restore",
        outcome: "succeeded",
        changed: true,
        result: { path: "/etc/ssh/sshd_config", digest: "3f".repeat(32), bytes: 120 },
        started: 1_767_225_600_000,
        ended: 1_767_225_600_041,
      },
    },
  },
} as const satisfies Record<string, EventTypeSpec>;
