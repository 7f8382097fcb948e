/**
 * What each reactor did in a turn, for `reactors list`: firings, what was throttled, how long it took to decide. Of the events only one in
 * `sampleEvery` is timed, so that measuring costs nothing that could be measured.
 */
import type { Decision, Reason } from "@needfire/shared/rules/types";
import type { ReactorCounts } from "./store/store.ts";

const sampleEvery = 64;

const firings: ReadonlySet<Reason> = new Set<Reason>(["fired", "planned", "shadow"]);
const throttled: ReadonlySet<Reason> = new Set<Reason>(["throttled", "overflowed"]);

export class Tally {
  readonly #now: () => number;
  #counts = new Map<string, ReactorCounts>();
  #heard = 0;

  /** `now`: milliseconds, as fine as there are. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  decided({ reactor: { name }, reason, at }: Decision): void {
    if (firings.has(reason)) {
      const counts = this.#of(name);
      counts.firings++;
      counts.last = at;
    } else if (throttled.has(reason)) this.#of(name).throttled++;
  }

  unrecorded(reactor: string): void {
    this.#of(reactor).unrecorded++;
  }

  /** For one event in many: to be called before its reactors are asked, and after each of them with its name. */
  timer(): ((reactor?: string) => void) | undefined {
    if (this.#heard++ % sampleEvery !== 0) return undefined;
    let from = 0;
    return (reactor) => {
      const now = this.#now();
      if (reactor !== undefined) {
        const counts = this.#of(reactor);
        counts.sampled++;
        counts.sampledMs += now - from;
      }
      from = now;
    };
  }

  /** What has come together since the last call. */
  take(): ReactorCounts[] {
    const counts = [...this.#counts.values()];
    this.#counts = new Map();
    return counts;
  }

  #of(reactor: string): ReactorCounts {
    let counts = this.#counts.get(reactor);
    if (counts === undefined) {
      counts = { reactor, firings: 0, throttled: 0, unrecorded: 0, last: undefined, sampled: 0, sampledMs: 0 };
      this.#counts.set(reactor, counts);
    }
    return counts;
  }
}
