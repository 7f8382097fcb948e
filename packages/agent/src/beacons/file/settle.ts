/**
 * Waits until a path is quiet, so that a burst of notifications is one judgement. Bounded: what is never quiet is due all the same.
 */

/** An ever-written path is due after this many times the settle time, but not before the second value. */
const patienceFactor = 20;
const patienceMsMin = 1_000;

interface Waiting {
  first: number;
  last: number;
  timer?: NodeJS.Timeout;
}

export class Settle {
  readonly #settleMs: number;
  readonly #patienceMs: number;
  readonly #due: (path: string) => void;
  readonly #waiting = new Map<string, Waiting>();

  constructor(settleMs: number, due: (path: string) => void) {
    this.#settleMs = settleMs;
    this.#patienceMs = Math.max(patienceFactor * settleMs, patienceMsMin);
    this.#due = due;
  }

  touch(path: string): void {
    const now = performance.now();
    const waiting = this.#waiting.get(path);
    if (waiting !== undefined) {
      waiting.last = now;
      return;
    }
    const fresh: Waiting = { first: now, last: now };
    this.#waiting.set(path, fresh);
    // Without a settle time, the end of this turn: what the kernel told in one go is still one judgement.
    if (this.#settleMs === 0) setImmediate(() => this.#expire(path, fresh));
    else this.#arm(path, fresh, this.#settleMs);
  }

  /** Forgets everything; nothing becomes due any more. */
  clear(): void {
    for (const { timer } of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
  }

  #arm(path: string, waiting: Waiting, ms: number): void {
    waiting.timer = setTimeout(() => this.#check(path, waiting), ms);
  }

  /** A later touch does not move the timer, it is looked at when the timer fires: a burst costs one timer, not thousands. */
  #check(path: string, waiting: Waiting): void {
    const dueAt = Math.min(waiting.last + this.#settleMs, waiting.first + this.#patienceMs);
    const rest = dueAt - performance.now();
    if (rest > 0.5) this.#arm(path, waiting, rest);
    else this.#expire(path, waiting);
  }

  #expire(path: string, waiting: Waiting): void {
    if (this.#waiting.get(path) !== waiting) return;
    this.#waiting.delete(path);
    this.#due(path);
  }
}
