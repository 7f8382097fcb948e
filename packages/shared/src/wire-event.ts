/**
 * An event on its way: positional, and with its data packed once, by the agent that made it. Spool, frame and journal hold the same
 * bytes; they are unpacked where somebody looks at them.
 */
import { agentEventProperties, type Event, type EventDraft, eventSource, type Severity } from "./event.ts";
import { dataFault } from "./frame-scan.ts";
import { eventId } from "./ids.ts";
import { pack, unpack } from "./pack.ts";
import { problemsText, untypedDoorChecker } from "./schema.ts";

/** `data`: a packed map. `time`: ms since the epoch. `cause`: the execution whose effect it is. */
export type WireEvent = [
  sequence: number,
  type: string,
  time: number,
  severity: Severity,
  subject: string | null,
  beacon: string | null,
  cause: string | null,
  data: Uint8Array,
];

const { sequence, type, time, severity, subject, beacon, cause } = agentEventProperties;
const orNull = (schema: { type: "string" }) => ({ ...schema, type: ["string", "null"] }) as const;

export const wireEventSchema = {
  type: "array",
  prefixItems: [sequence, type, time, severity, orNull(subject), orNull(beacon), orNull(cause), {}],
  items: false,
  minItems: 8,
} as const;
const check = untypedDoorChecker(wireEventSchema);

export type CheckedWireEvent = { ok: true; event: WireEvent } | { ok: false; reason: string };

/** Checks one event of a batch. Never throws. */
export function checkWireEvent(value: unknown): CheckedWireEvent {
  const checked = check(value);
  if (!checked.ok) return { ok: false, reason: problemsText(checked.problems) };
  const data = (value as unknown[])[7];
  if (!(data instanceof Uint8Array)) return { ok: false, reason: "7: data must be binary" };
  const fault = dataFault(data);
  return fault === undefined ? { ok: true, event: value as WireEvent } : { ok: false, reason: `7: data: ${fault}` };
}

export function wireEvent(number: number, draft: EventDraft): WireEvent {
  return [
    number,
    draft.type,
    draft.time,
    draft.severity,
    draft.subject ?? null,
    draft.beacon ?? null,
    draft.cause ?? null,
    pack(draft.data),
  ];
}

/** The data of an event that has been checked. */
export function eventData(data: Uint8Array): Record<string, unknown> {
  return unpack(data) as Record<string, unknown>;
}

/** What an event has from where it came and when. */
export interface Arrival {
  agent: string;
  epoch: string;
  /** Ms since the epoch. */
  received: number;
}

/** A checked event as the rest of the program sees it. */
export function eventOfWire({ agent, epoch, received }: Arrival, event: WireEvent, position: number): Event {
  const [number, eventType, eventTime, eventSeverity, eventSubject, eventBeacon, eventCause, data] = event;
  const made: Event = {
    position,
    id: eventId(agent, epoch, number),
    type: eventType,
    source: eventSource(agent, eventBeacon ?? undefined),
    agent,
    time: eventTime,
    received,
    severity: eventSeverity,
    data: eventData(data),
  };
  if (eventSubject !== null) made.subject = eventSubject;
  if (eventBeacon !== null) made.beacon = eventBeacon;
  if (eventCause !== null) made.cause = eventCause;
  return made;
}
