/**
 * The events on which a reactor's decision about another may hang: those of its types that came within its windows before. What a window let go
 * of before it began is not looked for, and there is an end to how many are judged again for one answer.
 */
import type { Event } from "@needfire/shared/event";
import type { Reactor, Seen } from "@needfire/shared/rules/types";
import type { SqliteJournalReader } from "./journal/sqlite-reader.ts";
import { causeOf, originBy } from "./origin.ts";
import type { SqliteStoreReader } from "./store/sqlite-reader.ts";

/** `spanMs`: how far back they go. `isCut`: there were more, and these are the newest. */
export interface Before {
  events: Seen[];
  spanMs: number;
  isCut: boolean;
}

const eventsMax = 2_000;
const dayMs = 86_400_000;
const spanMsMax = 7 * dayMs;
/** A host may have kept an event for so long before it came, or have a clock that is ahead by as much as that. */
const keptMs = dayMs;
const aheadMs = 60_000;

/** Whether what a reactor makes of an event can be another when others came before. */
export function hangsOnBefore({ correlation, flow }: Reactor): boolean {
  return flow !== undefined || (correlation !== undefined && correlation.kind !== "any");
}

/** Where they are looked for. */
interface Past {
  journal: Pick<SqliteJournalReader, "query">;
  store: Pick<SqliteStoreReader, "readCause">;
}

/** In their order. */
export function eventsBefore(reactor: Reactor, { position, time, received }: Event, { journal, store }: Past): Before {
  const spanMs = Math.min(windowMs(reactor), spanMsMax);
  const period = { since: Math.min(time, received) - spanMs - keptMs, until: Math.max(time, received) + aheadMs, limit: eventsMax };
  const found = reactor.on.map((type) => journal.query({ ...period, type }));
  const isBefore = (event: Event) => event.position < position && event.received >= received - spanMs;
  // Types may cover each other.
  const events = [
    ...new Map(
      found
        .flat()
        .filter(isBefore)
        .map((event) => [event.position, event]),
    ).values(),
  ];
  const newest = events.toSorted((a, b) => a.position - b.position).slice(-eventsMax);
  const isCut =
    events.length > newest.length || found.some((some) => some.length === eventsMax && some.at(-1)!.received >= received - spanMs);
  return { events: newest.map((event) => seenOf(event, store)), spanMs, isCut };
}

function seenOf(event: Event, store: Past["store"]): Seen {
  const cause = causeOf(event);
  return { event, ...originBy(event, cause === undefined ? undefined : store.readCause(cause)) };
}

/** A problem has no window: what raised it is looked for in the last day. */
function windowMs({ correlation, flow }: Reactor): number {
  const own = correlation === undefined ? 0 : correlation.kind === "raise" ? dayMs : "withinMs" in correlation ? correlation.withinMs : 0;
  const after = flow === undefined ? 0 : flow.kind === "debounce" ? flow.quietMs : flow.windowMs;
  return own + after;
}
