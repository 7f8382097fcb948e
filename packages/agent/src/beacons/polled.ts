/**
 * A beacon that looks: at once, then every `interval`, a tenth more or less so that a fleet does not look in step, slower while the agent
 * is over its budget, and at once when a remedy that it minds has ended. One look at a time; what a look throws is the beacon's failure.
 */
import { durationMs } from "@needfire/shared/duration";
import type { BeaconContext, RunningBeacon } from "./beacon.ts";

/** Each wait is up to this share longer or shorter. */
const jitterShare = 0.1;

/** What a remedy changes that this beacon looks at (remedies.ts): `service`, `package`, ... */
export interface PolledOptions {
  interval: string;
  topic?: string;
  /** Runs after the last look when the beacon is stopped. */
  close?: () => void | Promise<void>;
  restate?: () => void;
  /** Called once, with what makes it look at once: for a beacon that hears of changes, too. */
  hears?: (look: () => void) => void;
}

/** One look. */
export interface Look {
  /** Monotonic, ms: what thresholds are held by, so that a stepped time of day neither raises nor clears. */
  now: number;
  /** A remedy is changing this subject right now: it is judged when that has ended, and not before. */
  held(subject?: string): boolean;
  /** The execution whose doing a difference of this subject is, if one changed it, or ran a command of any kind, since the last look. */
  cause(subject?: string): { cause?: string };
  signal: AbortSignal;
}

export function polled(
  context: BeaconContext,
  { interval, topic, close, restate, hears }: PolledOptions,
  look: (look: Look) => void | Promise<void>,
): RunningBeacon {
  const { signal, pace, remedies } = context;
  const intervalMs = durationMs(interval);
  const wake = new Waker(signal);
  hears?.(() => wake.now());
  const remedied = remedies.follow(topic, () => wake.now());
  const once = async () => {
    // Taken before the look: what ends while it goes on is looked at again.
    const { held, cause, done } = remedied.look();
    await look({ now: performance.now(), signal, held, cause });
    done();
  };
  const first = Promise.resolve().then(once);
  const loop = (async () => {
    await first;
    while (await wake.after(intervalMs * pace.factor * (1 + jitterShare * (2 * Math.random() - 1)))) await once();
  })();
  loop.catch((error: unknown) => context.fail(error));
  return {
    ready: first,
    ...(restate === undefined ? {} : { restate }),
    stop: async () => {
      remedied.stop();
      await loop.catch(() => undefined); // told through `fail`
      await close?.();
    },
  };
}

/** Waits that can be cut short. */
class Waker {
  readonly #signal: AbortSignal;
  #due = false;
  #wake: (() => void) | undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#wake?.(), { once: true });
  }

  /** The wait that goes on, or the next one, is over at once. */
  now(): void {
    this.#due = true;
    this.#wake?.();
  }

  /** True after `ms`, or when it is woken; false as soon as the signal comes. */
  async after(ms: number): Promise<boolean> {
    if (!this.#due && !this.#signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, ms);
      this.#wake = resolve;
      await promise;
      clearTimeout(timer);
      this.#wake = undefined;
    }
    this.#due = false;
    return !this.#signal.aborted;
  }
}
