/**
 * What is said of a beacon type: a schema for its options, what a schema cannot say of them, and every event type that it emits. The
 * options that all types have stand here, too.
 */
import type { JSONSchema } from "json-schema-to-ts";
import { durationMs, durationPattern } from "../duration.ts";
import { severities } from "../event.ts";
import type { EventTypeSpec } from "../event-types/spec.ts";
import { namePattern } from "../ids.ts";
import { parseRate, ratePattern } from "../rate.ts";
import { targetsSchema } from "../target.ts";

/** A problem of a definition: the keys down to it, and what is wrong. */
export interface Contradiction {
  path: (string | number)[];
  message: string;
}

export interface BeaconSpec {
  readonly summary: string;
  readonly options: JSONSchema;
  readonly events: Readonly<Record<string, EventTypeSpec>>;
  /** What a schema cannot say; gets options that the schema lets pass. */
  readonly contradiction?: (definition: never) => Contradiction | undefined;
}

export const duration = { type: "string", pattern: durationPattern } as const;

export const absolutePath = { type: "string", pattern: "^/", maxLength: 4_096 } as const;

/** A list of names or globs, each of so many characters at most. */
export function texts<const C extends number>(charactersMax: C) {
  return { type: "array", items: { type: "string", minLength: 1, maxLength: charactersMax }, maxItems: 1_000 } as const;
}

/** Options that every beacon has; a type spreads them into its schema. */
export const common = {
  name: { type: "string", pattern: namePattern, description: "a name of lower-case letters, digits, - and _" },
  description: { type: "string", maxLength: 2_000 },
  targets: targetsSchema,
  severity: { enum: severities, default: "normal", description: "the severity of the beacon's events" },
  rate: {
    type: "string",
    pattern: ratePattern,
    default: "10000/10s",
    description: "events in a time, such as 1000/10s; more are left out and counted in `beacon.limited`. Critical ones always pass",
  },
} as const;

/** What a rate is counted in: shorter would be told too often, longer too late. */
const rateWindowMs = { min: 100, max: 3_600_000 };
/** Looking more often costs more than it shows; looking less often than a timer can wait is none. */
const intervalMs = { min: 100, max: 24 * 3_600_000 };

/** How often a beacon looks: each wait is made up to a tenth longer or shorter, so that a fleet does not look in step. */
export function interval<const D extends string>(usual: D) {
  return { ...duration, default: usual, description: "how often it looks, give or take a tenth; 100ms to 24h" } as const;
}

/** Contradictions in what all types have. */
export function commonContradiction(definition: { rate: string; interval?: string | undefined }): Contradiction | undefined {
  const perMs = parseRate(definition.rate)?.perMs ?? 0;
  if (perMs < rateWindowMs.min || perMs > rateWindowMs.max)
    return { path: ["rate"], message: `a rate is per 100ms to 1h, got "${definition.rate}"` };
  if (definition.interval === undefined) return undefined;
  const ms = durationMs(definition.interval);
  if (ms < intervalMs.min) return { path: ["interval"], message: "an interval under 100ms costs more than it shows" };
  return ms > intervalMs.max ? { path: ["interval"], message: `an interval is 24h at most, got "${definition.interval}"` } : undefined;
}
