/**
 * The journal: the master's durable, ordered log of events. An interface, because a second implementation is coming (JetStream); every
 * one runs the suite in `journal.conformance.ts`.
 */
import type { CountKey } from "@needfire/shared/api";
import type { Event, Severity } from "@needfire/shared/event";
import type { Arrival, WireEvent } from "@needfire/shared/wire-event";

export interface EventQuery {
  /** Globs. */
  agent?: string | undefined;
  type?: string | undefined;
  /** Times of the events, ms since the epoch, both inclusive. */
  since?: number | undefined;
  until?: number | undefined;
  /** A CEL condition over `event`; one that cannot be compiled throws `EXPRESSION_INVALID`. */
  where?: string | undefined;
  limit: number;
}

export interface TallyQuery extends Pick<EventQuery, "agent" | "type" | "since" | "until"> {
  by: CountKey;
}

/** How many events there are of a key. `key`: a type, an agent, a severity; of an hour its beginning, RFC 3339. */
export interface Tally {
  key: string;
  events: number;
}

/** Checked events of one agent, epoch and lane, their numbers rising. */
export interface Batch extends Arrival {
  lane: Severity;
  events: readonly WireEvent[];
}

/** Of a batch, the first `skipped` were there already; the others stand at `position` and after it, without a gap. */
export interface Placed {
  skipped: number;
  position: number;
}

/** An implementation may answer at once or with a promise. */
export interface Journal {
  /** The last number that the journal has of an agent's epoch and lane; 0 when it has none. */
  last(agent: string, epoch: string, lane: Severity): number;
  /**
   * Appends in order, all or none. What is not above `last` is there already (P1). They are in their place then, and durable with the next sync
   * of the log that journal and store share (durable.ts). Throws `DISK_FULL`; then none of them was taken.
   */
  append(batches: readonly Batch[]): Promise<Placed[]> | Placed[];
  /** Events after a position, in order. */
  read(after: number, limit: number): Promise<Event[]> | Event[];
}
