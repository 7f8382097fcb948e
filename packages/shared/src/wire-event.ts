/**
 * An event on its way: positional, and with its data packed once, by the agent that made it. Spool, frame and journal hold the same
 * bytes; they are unpacked where somebody looks at them.
 */
import { agentEventProperties, type Event, type EventDraft, eventSource, type Severity } from "./event.ts";
import { dataFault, valueEnd } from "./frame-scan.ts";
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
  if (!isPlain(value)) {
    const checked = check(value);
    if (!checked.ok) return { ok: false, reason: problemsText(checked.problems) };
    const [, eventType, , , , eventBeacon] = value as WireEvent;
    remember(seen.types, eventType);
    if (eventBeacon !== null) remember(seen.beacons, eventBeacon);
  }
  const data = (value as unknown[])[7];
  if (!(data instanceof Uint8Array)) return { ok: false, reason: "7: data must be binary" };
  const fault = dataFault(data);
  return fault === undefined ? { ok: true, event: value as WireEvent } : { ok: false, reason: `7: data: ${fault}` };
}

/** Types and beacons' names that have passed the schema: there are few, and they come again and again. */
const seen = { types: new Set<unknown>(), beacons: new Set<unknown>() };
const seenMax = 10_000;

function remember(names: Set<unknown>, name: string): void {
  if (names.size >= seenMax) names.clear();
  names.add(name);
}

/** What nearly all events are, told in a fraction of the time that the schema takes. What this does not know is the schema's to judge. */
function isPlain(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 8) return false;
  const [number, eventType, at, level, about, name, from] = value as unknown[];
  return (
    Number.isSafeInteger(number) &&
    (number as number) >= 1 &&
    typeof at === "number" &&
    at >= 0 &&
    at <= 8.64e15 &&
    (level === "low" || level === "normal" || level === "high" || level === "critical") &&
    (about === null || (typeof about === "string" && about.length <= 4_096)) &&
    from === null &&
    seen.types.has(eventType) &&
    (name === null || seen.beacons.has(name))
  );
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

/** A name as MessagePack writes it: what `pickData` looks for. */
export function packedName(name: string): PackedName {
  return { name, packed: pack(name) };
}
export interface PackedName {
  name: string;
  packed: Uint8Array;
}

/** Some fields of the data of an event that has been checked, or all of them. The others are passed over unread. */
export function pickData(data: Uint8Array, names: readonly PackedName[]): Record<string, unknown> {
  const picked: Record<string, unknown> = {};
  if (names.length === 0) return picked;
  const token = data[0]!;
  let fields = token < 0x90 ? token & 0x0f : data[1]! * 256 + data[2]!;
  let at = token < 0x90 ? 1 : 3;
  // A map with a count of four bytes is none that is worth the trouble.
  if (token === 0xdf) return eventData(data);
  for (; fields > 0; fields--) {
    const keyAt = at;
    // A name can be packed in more than one way, and a number can be one: only of a short text is it known what it is when it is another one.
    if (data[keyAt]! < 0xa0 || data[keyAt]! > 0xbf) return eventData(data);
    at = valueEnd(data, at);
    const wanted = names.find(({ packed }) => packed.length === at - keyAt && holds(data, keyAt, packed));
    const end = valueEnd(data, at);
    if (wanted !== undefined) picked[wanted.name] = scalar(data, at) ?? unpack(data.subarray(at, end));
    at = end;
  }
  return picked;
}

/** Numbers of the kinds that come most, and short texts in ASCII; undefined for everything else. */
function scalar(data: Uint8Array, at: number): number | string | undefined {
  const token = data[at]!;
  if (token < 0x80) return token;
  if (token >= 0xa0 && token <= 0xbf) return asciiText(data, at + 1, at + 1 + (token & 0x1f));
  if (token === 0xcc) return data[at + 1]!;
  if (token === 0xcd) return data[at + 1]! * 256 + data[at + 2]!;
  if (token !== 0xcb) return undefined;
  for (let byte = 0; byte < 8; byte++) floatBytes[byte] = data[at + 1 + byte]!;
  return floatView.getFloat64(0);
}

function asciiText(data: Uint8Array, from: number, to: number): string | undefined {
  for (let at = from; at < to; at++) if (data[at]! >= 0x80) return undefined;
  return Buffer.prototype.latin1Slice.call(data, from, to);
}

const floatBytes = new Uint8Array(8);
const floatView = new DataView(floatBytes.buffer);

function holds(data: Uint8Array, at: number, packed: Uint8Array): boolean {
  for (let index = packed.length - 1; index >= 0; index--) if (data[at + index] !== packed[index]) return false;
  return true;
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
