/**
 * The event: something that happened, shaped after CloudEvents 1.0 (https://github.com/cloudevents/spec). What an agent may say of
 * an event is `agentEventSchema`; id, agent and source are the master's to add, from the session (P6).
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { agentIdPattern, eventTypePattern, namePattern } from "./ids.ts";

export const severities = ["critical", "high", "normal", "low"] as const;
export type Severity = (typeof severities)[number];

/** Types under these prefixes are the master's own; an agent cannot claim them. */
export const reservedPrefixes = [
  "agent.",
  "task.",
  "execution.",
  "keys.",
  "journal.",
  "master.",
  "reactor.",
  "router.",
  "event.",
  "silence.",
  "rollout.",
] as const;

/** The one type under a reserved prefix that comes from an agent: an execution's result. Intake checks it against the store. */
export const resultType = "execution.finished";

/** JSON Schema pattern for the event types that people and remedies may make. */
export const customTypePattern = `^(?!(${reservedPrefixes.map((prefix) => prefix.slice(0, -1)).join("|")})\\.)${eventTypePattern.slice(1)}`;

export function isReservedType(type: string): boolean {
  const first = type.slice(0, type.indexOf(".") + 1);
  return (reservedPrefixes as readonly string[]).includes(first);
}

/** What an agent says of an event. `time`: ms since the epoch. `cause`: the execution whose effect it is. */
export const agentEventProperties = {
  sequence: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
  type: { type: "string", pattern: eventTypePattern, maxLength: 100 },
  subject: { type: "string", maxLength: 4096 },
  time: { type: "number", minimum: 0, maximum: 8.64e15 },
  severity: { enum: severities },
  beacon: { type: "string", pattern: namePattern },
  cause: { type: "string", maxLength: 100 },
} as const satisfies Record<string, JSONSchema>;

/** What a beacon or the executor hands to the spool, which numbers it. */
export interface EventDraft {
  type: string;
  subject?: string;
  time: number;
  severity: Severity;
  beacon?: string;
  cause?: string;
  data: Record<string, unknown>;
}

/** An event as the journal holds it. `position`: its place in the journal's order. `time` and `received`: ms since the epoch. */
export const eventSchema = {
  type: "object",
  properties: {
    position: { type: "integer", description: "its place in the journal's order" },
    id: { type: "string", description: "agent, epoch and number: made by the master, unique" },
    type: { type: "string", description: "such as file.changed" },
    source: { type: "string", description: "where it was made: /agents/web1/beacons/etc" },
    agent: { type: "string", pattern: agentIdPattern, description: "whose it is, as the agent's key says" },
    subject: { type: "string", description: "what it is about: a path, a unit" },
    time: { type: "number", description: "when it happened, by the host's clock: ms since the epoch" },
    received: { type: "number", description: "when it came to the master: ms since the epoch" },
    severity: { enum: severities },
    beacon: { type: "string", description: "the beacon that saw it" },
    cause: { type: "string", description: "the event, task or execution whose effect it is" },
    data: { type: "object", description: "depends on the type" },
  },
  required: ["position", "id", "type", "source", "agent", "time", "received", "severity", "data"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type Event = FromSchema<typeof eventSchema>;

/** An event on its way into the journal: all but the position, plus its number for deduplication (P1). */
export type IncomingEvent = Omit<Event, "position"> & { epoch: string; sequence: number };

/** CloudEvents' `source`: where the event was made. */
export function eventSource(agent: string, beacon: string | undefined): string {
  return beacon === undefined ? `/agents/${agent}` : `/agents/${agent}/beacons/${beacon}`;
}
