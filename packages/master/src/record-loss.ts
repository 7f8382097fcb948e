/**
 * P4 for the record of decisions: what there was no room for is counted, and told as an event; not more often than every `tellEveryMs`, since
 * where much is lost, much is lost all the time.
 */
import type { MasterEventDraft } from "@needfire/shared/task";
import type { ReactorCounts } from "./store/store.ts";

const tellEveryMs = 600_000;
/** Reactors that are named, those with the most first. */
const namedMax = 20;

export class RecordLoss {
  readonly #unrecorded = new Map<string, number>();
  #dropped = 0;
  #told = Number.NEGATIVE_INFINITY;

  count(counts: readonly ReactorCounts[], dropped: number): void {
    this.#dropped += dropped;
    for (const { reactor, unrecorded } of counts)
      if (unrecorded > 0) this.#unrecorded.set(reactor, (this.#unrecorded.get(reactor) ?? 0) + unrecorded);
  }

  /** What is to be told by now. */
  take(now: number): MasterEventDraft[] {
    if (this.#dropped + this.#unrecorded.size === 0 || Math.abs(now - this.#told) < tellEveryMs) return [];
    const most = [...this.#unrecorded].toSorted(([, a], [, b]) => b - a);
    const unrecorded = most.reduce((sum, [, number]) => sum + number, 0);
    const reactors = Object.fromEntries(most.slice(0, namedMax));
    const data = { unrecorded, reactors, dropped: this.#dropped };
    this.#told = now;
    this.#dropped = 0;
    this.#unrecorded.clear();
    return [{ type: "reactor.decisions_dropped", severity: "low", data }];
  }
}
