/**
 * The catalogue: every event type that beacons, agents and the master make, each with what it means, the schema of its data and an
 * example that satisfies it. Conditions are linted against it, test timelines are filled from it, the reference is written from it.
 * Types that are not in it are people's own: nothing is known of their data, and nothing is ever said against it.
 */
import type { Severity } from "./event.ts";
import { agentEventTypes } from "./event-types/agent.ts";
import { beaconEventTypes } from "./event-types/beacons.ts";
import { masterEventTypes } from "./event-types/master.ts";
import type { EventTypeSpec } from "./event-types/spec.ts";
import { globMatcher } from "./glob.ts";
import { masterAgent } from "./ids.ts";
import { problemsText, untypedChecker } from "./schema.ts";

/** What a test's event is filled from. */
export interface EventExample {
  type: string;
  agent: string;
  subject?: string;
  beacon?: string;
  severity: Severity;
  data: Record<string, unknown>;
}

/** By who makes them, for the reference; the names are unique across groups. */
export const eventTypeGroups = {
  beacons: beaconEventTypes,
  agent: agentEventTypes,
  master: masterEventTypes,
} as const satisfies Record<string, Record<string, EventTypeSpec>>;

export const eventTypes: Readonly<Record<string, EventTypeSpec>> = { ...beaconEventTypes, ...agentEventTypes, ...masterEventTypes };

const checkers = new Map(Object.entries(eventTypes).map(([type, { data }]) => [type, untypedChecker(data as object)]));

export function eventType(type: string): EventTypeSpec | undefined {
  return Object.hasOwn(eventTypes, type) ? eventTypes[type] : undefined;
}

/** The known types that a reactor's `on` lets in. */
export function eventTypesOn(on: readonly string[]): string[] {
  const matches = globMatcher(on);
  return Object.keys(eventTypes).filter((type) => matches(type));
}

/** An event of a known type with everything in it; a copy, to be changed at will. */
export function exampleOf(type: string): EventExample | undefined {
  const spec = eventType(type);
  if (spec === undefined) return undefined;
  return {
    type,
    agent: Object.hasOwn(masterEventTypes, type) ? masterAgent : "web1",
    ...(spec.example.subject === undefined ? {} : { subject: spec.example.subject }),
    ...(Object.hasOwn(beaconEventTypes, type) ? { beacon: "example" } : {}),
    severity: spec.severity,
    data: structuredClone(spec.example.data) as Record<string, unknown>,
  };
}

/** What in an event's data is not as the catalogue says, or undefined. Of a type that is not in it: nothing. */
export function dataProblem(type: string, data: unknown): string | undefined {
  const checked = checkers.get(type)?.(structuredClone(data));
  return checked === undefined || checked.ok ? undefined : problemsText(checked.problems);
}
