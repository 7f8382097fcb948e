/** What the names in an expression are, as shapes: `event` by the types that it may have, `agent`, `route`, earlier events. */
import { type Event, eventSchema, isReservedType, severities } from "../event.ts";
import { eventType, eventTypes, eventTypesOn } from "../event-types.ts";
import type { On } from "./reactor-places.ts";
import { either, type Shape } from "./shape.ts";
import type { Names } from "./types.ts";

const labels: Shape = { type: "object", additionalProperties: { type: "string" } };
const agent: Shape = {
  type: "object",
  properties: { id: { type: "string" }, labels, facts: { type: "object" } },
  additionalProperties: false,
};
const route: Shape = {
  type: "object",
  properties: { priority: { enum: severities }, owner: { type: ["string", "null"] }, labels },
  additionalProperties: false,
};

/** The types that `on` lets in, when all of them are known. Undefined: people's own may be among them. */
export function knownTypes(on: On): string[] | undefined {
  return on.length > 0 && on.every(isOfKnown) ? eventTypesOn(on) : undefined;
}

/** A known type; or a glob below a fixed first part of known types: `file.*`, not `*` nor `*.failed`. */
function isOfKnown(pattern: string): boolean {
  if (!/[*?{}[\]]/.test(pattern)) return eventType(pattern) !== undefined;
  const first = /^([a-z0-9_-]+)\./.exec(pattern)?.[1];
  return first !== undefined && Object.keys(eventTypes).some((type) => type.startsWith(`${first}.`)) && eventTypesOn([pattern]).length > 0;
}

/** The severities that events of these types have, when that is fixed: only the master's own are never made by anybody else. */
export function knownSeverities(types: readonly string[]): Event["severity"][] | undefined {
  return types.every(isReservedType) ? [...new Set(types.map((type) => eventType(type)!.severity))] : undefined;
}

function eventShape(on: On): Shape {
  const types = knownTypes(on);
  const data: Shape = types === undefined ? { type: "object" } : either(types.map((type) => eventType(type)!.data as Shape));
  return { ...(eventSchema as Shape), properties: { ...(eventSchema.properties as Readonly<Record<string, Shape>>), data } };
}

interface Seen {
  on: On;
  matched: Readonly<Record<string, On>>;
  vars: readonly string[];
}

/** `vars` of any kind; `events`, `count` and `key` are there in values alone, but a name that is not there does not compile. */
export function namesOf({ on, matched, vars }: Seen): Names {
  const event = eventShape(on);
  return {
    event,
    agent,
    route,
    vars: { type: "object", properties: Object.fromEntries(vars.map((name) => [name, {}])), additionalProperties: false },
    matched: {
      type: "object",
      properties: Object.fromEntries(Object.entries(matched).map(([name, of]) => [name, eventShape(of)])),
      additionalProperties: false,
    },
    events: { type: "array", items: event },
    count: { type: "number" },
    key: { type: "array" },
  };
}
