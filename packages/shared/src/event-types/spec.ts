/** What the catalogue says of one event type. */
import type { JSONSchema } from "json-schema-to-ts";
import type { Severity } from "../event.ts";

/** `severity`: what its events have; those of beacons have the beacon's, so this is the usual one. */
export interface EventTypeSpec {
  readonly description: string;
  readonly severity: Severity;
  readonly data: JSONSchema;
  readonly example: { readonly subject?: string; readonly data: Readonly<Record<string, unknown>> };
}

/** Data of an event: an object with these fields and no others. `required`: all of them, unless it is said which. */
export function object<const P extends Readonly<Record<string, JSONSchema>>>(
  properties: P,
  required: readonly string[] = Object.keys(properties),
) {
  return { type: "object", properties, required, additionalProperties: false } as const;
}
