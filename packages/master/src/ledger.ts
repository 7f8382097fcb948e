/**
 * The one way in which the master makes its own state durable and tells the journal of it: the store's transaction first, with the
 * events in its outbox; then the journal; then the outbox is emptied. A crash between two of these loses and doubles nothing (P2), since
 * an event keeps its number.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { errorText } from "@needfire/shared/errors";
import type { IncomingEvent } from "@needfire/shared/event";
import type { MasterEventDraft } from "@needfire/shared/task";
import type { GroupCommit } from "./journal/group-commit.ts";
import type { Committed, Store, Writes } from "./store/store.ts";

/** How long to wait before the journal is tried again (a full disk, say). */
const retryMs = 1_000;

export class Ledger {
  readonly #store: Pick<Store, "commit">;
  readonly #journal: GroupCommit;
  readonly #log: Logger;
  readonly #clock: { now(): number };
  #unforwarded: IncomingEvent[] = [];
  #forwarded: number | undefined;
  #forwarding: Promise<void> | undefined;
  #stopped = false;

  constructor(parts: { store: Pick<Store, "commit">; journal: GroupCommit; log: Logger; clock: { now(): number } }) {
    this.#store = parts.store;
    this.#journal = parts.journal;
    this.#log = parts.log;
    this.#clock = parts.clock;
  }

  /** Resolves when the writes are durable; their events reach the journal soon after. Throws what the store throws: then nothing was taken. */
  async commit(writes: Omit<Writes, "now" | "outboxDone">): Promise<Committed> {
    const outboxDone = this.#forwarded;
    const committed = await this.#store.commit({ ...writes, now: this.#clock.now(), ...(outboxDone === undefined ? {} : { outboxDone }) });
    this.forward(committed.events);
    return committed;
  }

  /** Says something of the master's own. A failure is logged: who says something in passing cannot do anything about it. */
  tell(event: MasterEventDraft): void {
    this.commit({ events: [event] }).catch((error: unknown) => this.#log.error({ event, error: errorText(error) }, "an event of the master's own could not be kept"));
  }

  /** Puts events that are in the outbox into the journal, in order. */
  forward(events: IncomingEvent[]): void {
    if (events.length === 0) return;
    this.#unforwarded.push(...events);
    this.#forwarding ??= this.#forward();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#forwarding;
  }

  async #forward(): Promise<void> {
    while (this.#unforwarded.length > 0) {
      const events = this.#unforwarded.splice(0);
      try {
        await this.#journal.append(events);
        this.#forwarded = events.at(-1)!.sequence;
      } catch (error) {
        this.#unforwarded.unshift(...events);
        this.#log.error({ error: errorText(error), waiting: this.#unforwarded.length }, "the journal does not take events; trying again");
        // Those in the outbox are forwarded at the next start.
        if (this.#stopped) break;
        await delay(retryMs);
      }
    }
    this.#forwarding = undefined;
  }
}
