/**
 * A CEL condition over one event, as `events list --where` and the stream take it, and over a row of the journal, of which it unpacks no
 * more than it reads.
 */
import { compileCondition } from "@needfire/shared/cel";
import type { Reads } from "@needfire/shared/cel-reads";
import { NeedfireError } from "@needfire/shared/errors";
import { type Event, severities } from "@needfire/shared/event";
import { eventData, packedName, type PackedName, pickData } from "@needfire/shared/wire-event";
import { type EventRow, eventOfRow, type Names } from "./partition.ts";

export interface Condition {
  /** A missing field makes it false. */
  holds(event: Event): boolean;
  /** The same of an event that nobody has put together yet. */
  holdsOfRow(row: EventRow, origin: Names): boolean;
  /** Fields of `event` that must be exactly these texts. */
  requires: ReadonlyMap<string, string>;
}

/** Throws `EXPRESSION_INVALID`. */
export function conditionOf(where: string): Condition {
  const compiled = compileCondition(where, "plain");
  if (!compiled.ok) throw new NeedfireError("EXPRESSION_INVALID", `--where, column ${compiled.offset + 1}: ${compiled.message}`);
  const { expression } = compiled;
  const holds = (event: object) => {
    const result = expression.evaluate({ event, agent: {} });
    return result.ok && result.value === true;
  };
  const glimpse = glimpseFor(expression.reads);
  return { holds, holdsOfRow: (row, origin) => holds(glimpse(row, origin)), requires: expression.requires };
}

/** What takes time to make up: a condition that reads it is given the whole event. */
const madeUp = ["id", "source"];

/** How an event is shown to a condition. */
function glimpseFor({ event, data }: Reads): (row: EventRow, origin: Names) => object {
  if (event === undefined || madeUp.some((name) => event.has(name))) return eventOfRow;
  const names = data === undefined ? undefined : [...data].map(packedName);
  return (row, origin) => glimpseOf(row, origin, names);
}

/** `names`: of the fields of its data; undefined: all. */
function glimpseOf(row: EventRow, { agent }: Names, names: readonly PackedName[] | undefined): object {
  const [position, , , type, time, received, severity, subject, beacon, cause, packed] = row;
  const data = names === undefined ? eventData(packed as Uint8Array) : pickData(packed as Uint8Array, names);
  const glimpse: Record<string, unknown> = { position, type, agent, time, received, severity: severities[Number(severity)], data };
  if (subject !== null) glimpse["subject"] = subject;
  if (beacon !== null) glimpse["beacon"] = beacon;
  if (cause !== null) glimpse["cause"] = cause;
  return glimpse;
}
