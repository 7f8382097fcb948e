/**
 * The tally of what the spool had to let go, until an event has told it (P4): how many, of which lanes, from when to when, and why.
 */
import type { EventDraft, Severity } from "@needfire/shared/event";

/** `bytes`: the spool was full. `age`: it waited too long. `memory`: the disk took nothing, and what may wait in memory was full. */
export type ShedCause = "bytes" | "age" | "memory";

interface Count {
  events: number;
  lanes: Partial<Record<Severity, number>>;
  /** Times of the first and the last of them, ms since the epoch. */
  from: number;
  to: number;
}

export type Tally = Partial<Record<ShedCause, Count>>;

/** An event that had to go. */
export interface Shed {
  lane: Severity;
  /** Of the event, ms since the epoch. */
  time: number;
}

/** The tally with one more; the old one is not touched. */
export function countShed(tally: Tally, cause: ShedCause, { lane, time }: Shed): Tally {
  const before = tally[cause] ?? { events: 0, lanes: {}, from: time, to: time };
  return {
    ...tally,
    [cause]: {
      events: before.events + 1,
      lanes: { ...before.lanes, [lane]: (before.lanes[lane] ?? 0) + 1 },
      from: Math.min(before.from, time),
      to: Math.max(before.to, time),
    },
  };
}

/** An event for each cause. */
export function shedEvents(tally: Tally, { bytesMax, ageMaxMs }: { bytesMax: number; ageMaxMs: number }, now: number): EventDraft[] {
  const limits = { bytes: `${bytesMax} bytes`, age: `${ageMaxMs} ms`, memory: "what may wait in memory" };
  return (Object.entries(tally) as [ShedCause, Count][]).map(([cause, count]) => ({
    type: "spool.shed",
    time: now,
    severity: "high",
    data: { cause, limit: limits[cause], ...count },
  }));
}
