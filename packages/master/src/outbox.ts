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
/**
 * How long events wait for a turn that takes them along, when no reactor waits for one of them. A turn of their own would be made at the
 * very time at which the machine has the remedy to see to that they tell of.
 */
const patienceMs = 5;

export interface OutboxOptions {
  /** Whether a reactor waits for events of a type. */
  isAwaited(type: string): boolean;
  /** They have waited for long enough. */
  onDue(): void;
}

export class Outbox {
  readonly #options: OutboxOptions;
  #waiting: IncomingEvent[];
  #patience: NodeJS.Timeout | undefined;
  #reached: number | undefined;
  #hoping: { sequence: number; resolve(): void }[] = [];

  constructor(waiting: IncomingEvent[], options: OutboxOptions) {
    this.#waiting = waiting;
    this.#options = options;
  }

  /** There is something that waits no longer. */
  get isDue(): boolean {
    return this.#waiting.length > 0 && this.#patience === undefined;
  }

  /** The journal has everything up to this number. */
  get reached(): number | undefined {
    return this.#reached;
  }

  add(events: readonly IncomingEvent[]): void {
    if (events.length === 0) return;
    const { isDue } = this;
    for (const event of events) this.#waiting.push(event);
    if (events.some(({ type }) => this.#options.isAwaited(type))) this.hurry();
    else if (!isDue) this.#patience ??= setTimeout(() => (this.hurry(), this.#options.onDue()), patienceMs);
  }

  /** What is here now waits no longer. */
  hurry(): void {
    clearTimeout(this.#patience);
    this.#patience = undefined;
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
    this.hurry();
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
