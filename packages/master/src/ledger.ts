/**
 * The one way in which the master makes its own state durable and tells the journal of it: the store's transaction first, with the
 * events in its outbox; then the journal; then the outbox is emptied. A crash between two of these loses and doubles nothing (P2), since
 * an event keeps its number.
 */
import { setImmediate as nextTurn, setTimeout as delay } from "node:timers/promises";
import { errorText } from "@needfire/shared/errors";
import type { IncomingEvent } from "@needfire/shared/event";
import type { EngineLog } from "./engine-log.ts";
import type { GroupCommit } from "./journal/group-commit.ts";
import type { Committed, Store, Writes } from "./store/store.ts";

/** Events handed to the journal at once: after an outage more may wait than it takes in one go. */
const forwardEventsMax = 5_000;

export interface LedgerOptions {
  store: Pick<Store, "commit">;
  journal: Pick<GroupCommit, "append">;
  log: Pick<EngineLog, "error">;
  clock: { now(): number };
  /** How long to wait before the journal is tried again (a full disk, say). */
  retryMs: number;
}

export class Ledger {
  readonly #options: LedgerOptions;
  #unforwarded: IncomingEvent[] = [];
  #forwarded: number | undefined;
  #forwarding: Promise<void> | undefined;
  #stopped = false;

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  /** Resolves when the writes are durable; their events reach the journal soon after. Throws what the store throws: then nothing was taken. */
  async commit(writes: Omit<Writes, "now" | "outboxDone">): Promise<Committed> {
    const { store, clock } = this.#options;
    const outboxDone = this.#forwarded;
    const committed = await store.commit({ ...writes, now: clock.now(), ...(outboxDone === undefined ? {} : { outboxDone }) });
    this.forward(committed.events);
    return committed;
  }

  /** Puts events that are in the outbox into the journal, in order. */
  forward(events: IncomingEvent[]): void {
    if (events.length === 0) return;
    this.#unforwarded.push(...events);
    // In a turn of its own: whoever committed has something to do first, and the journal's sync to the disk would hold it up.
    this.#forwarding ??= nextTurn().then(() => this.#forward());
  }

  /** Resolves when the journal has all that was committed so far. */
  async forwarded(): Promise<void> {
    await this.#forwarding;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#forwarding;
  }

  async #forward(): Promise<void> {
    while (this.#unforwarded.length > 0) {
      const events = this.#unforwarded.splice(0, forwardEventsMax);
      try {
        // In their place is enough: the outbox lets go of them in a transaction that comes after.
        await this.#options.journal.append(events, { durable: false });
        this.#forwarded = events.at(-1)!.sequence;
      } catch (error) {
        this.#unforwarded.unshift(...events);
        this.#options.log.error(
          { error: errorText(error), waiting: this.#unforwarded.length },
          "the journal does not take events; trying again",
        );
        // Those in the outbox are forwarded at the next start.
        if (this.#stopped) break;
        await delay(this.#options.retryMs);
      }
    }
    this.#forwarding = undefined;
  }
}
