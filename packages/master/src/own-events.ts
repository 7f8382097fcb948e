/**
 * What the master has to say that nobody waits for: it waits here for the next turn, within a bound while the disk takes nothing. What could
 * not even wait is counted and told (P4).
 */
import type { MasterEventDraft } from "@needfire/shared/task";

const waitingMax = 20_000;

export class OwnEvents {
  #waiting: MasterEventDraft[] = [];
  #dropped = 0;

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  add(events: readonly MasterEventDraft[]): void {
    for (const event of events) {
      if (this.#waiting.length < waitingMax) this.#waiting.push(event);
      else this.#dropped++;
    }
  }

  take(): MasterEventDraft[] {
    const taken = this.#waiting;
    this.#waiting = [];
    if (this.#dropped > 0)
      taken.push({ type: "journal.dropped", severity: "high", data: { events: this.#dropped, waiting_max: waitingMax } });
    this.#dropped = 0;
    return taken;
  }
}
