/**
 * The journal: the master's durable, ordered log of events. An interface, because a second implementation is coming (JetStream); every
 * one runs the suite in `journal.conformance.ts`.
 */
import type { Event, IncomingEvent } from "@needfire/shared/event";

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

/** An implementation may answer at once or with a promise. */
export interface Journal {
  /**
   * Appends in order, all or none, and returns for each event its position, or null when the same (agent, epoch, sequence) is there
   * already (P1). They are in their place then: whatever is made durable afterwards takes them along. Throws `DISK_FULL`; then none of
   * them was taken.
   */
  append(events: IncomingEvent[]): Promise<(number | null)[]> | (number | null)[];
  /** Returns when everything that was appended is durable. Throws `DISK_FULL`. */
  sync(): Promise<void> | void;
  /** Events after a position, in order. */
  read(after: number, limit: number): Promise<Event[]> | Event[];
}
