/**
 * Group commit: while one transaction is on its way to the disk, what arrives is gathered and goes with the next. Each caller waits
 * for its own events only. Tells one listener of every event that has its place, in the journal's order, before it is durable: what the
 * listener makes durable of it at once takes the event along, and saves a sync.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Event, IncomingEvent } from "@needfire/shared/event";
import { NeedfireError } from "@needfire/shared/errors";
import type { Journal } from "./journal.ts";

interface Waiting {
  events: IncomingEvent[];
  durable: boolean;
  resolve(): void;
  reject(error: unknown): void;
}

/** Events that may wait for the disk; agents hold the rest in their spools. */
const waitingEventsMax = 100_000;
const transactionEventsMax = 5_000;

export class GroupCommit {
  readonly #journal: Pick<Journal, "append" | "sync">;
  readonly #committed: (events: Event[]) => void;
  #waiting: Waiting[] = [];
  #waitingEvents = 0;
  #writing: Promise<void> | undefined;

  constructor(journal: Pick<Journal, "append" | "sync">, committed: (events: Event[]) => void) {
    this.#journal = journal;
    this.#committed = committed;
  }

  /**
   * Resolves when all of `events` are durable; not `durable`: when they have their place. Throws `QUEUE_FULL`, and what the journal
   * throws: then none was taken, or not all are durable, and appending them again does no harm.
   */
  append(events: IncomingEvent[], { durable = true } = {}): Promise<void> {
    if (events.length === 0) return Promise.resolve();
    if (this.#waitingEvents + events.length > waitingEventsMax) {
      return Promise.reject(new NeedfireError("QUEUE_FULL", `more than ${waitingEventsMax} events wait for the journal`));
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ events, durable, resolve, reject });
    this.#waitingEvents += events.length;
    if (this.#writing === undefined) void this.#write();
    return promise;
  }

  /** Resolves when nothing waits any more. */
  async drained(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    // Set and unset in here: a journal that answers at once may be done before this function's caller goes on.
    const writing = Promise.withResolvers<void>();
    this.#writing = writing.promise;
    for (let group = this.#take(); group.length > 0; group = this.#take()) {
      try {
        await this.#writeGroup(group);
        for (const waiting of group) waiting.resolve();
      } catch (error) {
        for (const waiting of group) waiting.reject(error);
      }
    }
    this.#writing = undefined;
    writing.resolve();
  }

  async #writeGroup(group: Waiting[]): Promise<void> {
    const events = group.flatMap((waiting) => waiting.events);
    const positions = await this.#journal.append(events);
    this.#committed(events.flatMap((event, index) => placed(event, positions[index]!)));
    if (!group.some(({ durable }) => durable)) return;
    await nextTurn();
    await this.#journal.sync();
  }

  #take(): Waiting[] {
    let events = 0;
    let count = 0;
    while (count < this.#waiting.length && (count === 0 || events + this.#waiting[count]!.events.length <= transactionEventsMax)) {
      events += this.#waiting[count++]!.events.length;
    }
    this.#waitingEvents -= events;
    return this.#waiting.splice(0, count);
  }
}

function placed({ epoch: _epoch, sequence: _sequence, ...event }: IncomingEvent, position: number | null): Event[] {
  return position === null ? [] : [{ ...event, position }];
}
