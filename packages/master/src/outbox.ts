/**
 * The master's own events on their way into the journal. They become durable in the store, together with what they tell of (P2), and stay
 * in its outbox until a later transaction finds that the journal has them (docs/decisions/0006). The journal drops by its number what
 * a crash lets come twice.
 */
import type { IncomingEvent } from "@needfire/shared/event";
import { masterAgent } from "@needfire/shared/ids";
import { wireEvent } from "@needfire/shared/wire-event";
import type { Batch } from "./journal/journal.ts";

/** Handed to the journal at once: after an outage more may wait. */
const batchEventsMax = 5_000;

export class Outbox {
  #waiting: IncomingEvent[];
  #reached: number | undefined;
  #hoping: { sequence: number; resolve(): void }[] = [];

  constructor(waiting: IncomingEvent[]) {
    this.#waiting = waiting;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** The journal has everything up to this number. */
  get reached(): number | undefined {
    return this.#reached;
  }

  add(events: readonly IncomingEvent[]): void {
    for (const event of events) this.#waiting.push(event);
  }

  /** What to append next. It is gone from here with `appended`. */
  next(): Batch | undefined {
    const [first] = this.#waiting;
    if (first === undefined) return undefined;
    const events = this.#waiting
      .slice(0, batchEventsMax)
      .map(({ sequence, id: _id, source: _source, agent: _agent, received: _received, epoch: _epoch, ...draft }) =>
        wireEvent(sequence, draft),
      );
    // One lane for all: they are in their order already.
    return { agent: masterAgent, epoch: first.epoch, lane: "normal", received: first.received, events };
  }

  appended({ events }: Batch): void {
    this.#waiting.splice(0, events.length);
    this.#reached = events.at(-1)?.[0] ?? this.#reached;
    const has = (sequence: number) => this.#reached !== undefined && sequence <= this.#reached;
    for (const hope of this.#hoping) if (has(hope.sequence)) hope.resolve();
    this.#hoping = this.#hoping.filter(({ sequence }) => !has(sequence));
  }

  /** Resolves when the journal has the event of this number. */
  inJournal(sequence: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hoping.push({ sequence, resolve });
    return promise;
  }
}
