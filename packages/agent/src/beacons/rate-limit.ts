/**
 * So many events in a time, and no more: a beacon that runs wild must not drown what others see. What is left out is counted, and told
 * once for each window (P4). A window begins with the first event after the one before has ended.
 */
import type { LimitedEventData } from "@needfire/shared/event-types/agent";
import { parseRate } from "@needfire/shared/rate";

/** Types that are counted one by one; the others of a window together, as `other`. */
const typesMax = 50;

/** Node's timers go no further. */
const timerMsMax = 2 ** 31 - 1;

export class RateLimit {
  readonly #rate: string;
  readonly #eventsMax: number;
  readonly #windowMs: number;
  readonly #tell: (left: LimitedEventData) => void;
  #taken = 0;
  #left: LimitedEventData | undefined;
  #window: NodeJS.Timeout | undefined;

  /** `rate` as the schema has checked it. */
  constructor(rate: string, tell: (left: LimitedEventData) => void) {
    const { events, perMs } = parseRate(rate)!;
    this.#rate = rate;
    this.#eventsMax = events;
    this.#windowMs = Math.min(perMs, timerMsMax);
    this.#tell = tell;
  }

  /** False: the event is one too many, and counted. `time`: its own, ms since the epoch. */
  take(type: string, time: number): boolean {
    this.#window ??= setTimeout(() => this.#end(), this.#windowMs).unref();
    if (++this.#taken <= this.#eventsMax) return true;
    this.#left ??= { dropped: 0, types: {}, from: time, to: time, limit: this.#rate };
    const { types } = this.#left;
    const counted = type in types || Object.keys(types).length < typesMax ? type : "other";
    types[counted] = (types[counted] ?? 0) + 1;
    this.#left.dropped += 1;
    this.#left.to = time;
    return false;
  }

  /** Tells what the last window left out. */
  stop(): void {
    this.#end();
  }

  #end(): void {
    clearTimeout(this.#window);
    this.#window = undefined;
    this.#taken = 0;
    const left = this.#left;
    this.#left = undefined;
    if (left !== undefined) this.#tell(left);
  }
}
