/**
 * Gives memory back after very many agents came at once. What their coming leaves behind lies in the old generation, where V8 looks only when that
 * has grown by half again: in a master that is at rest, never.
 */

/** Fewer sessions leave nothing that is worth the tenth of a second for which all else stands still. */
const sessionsMin = 1_000;
/** No session has begun for so long. */
const restMs = 3_000;

export class AfterStorm {
  readonly #collect: () => void;
  #sessions = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(collect: () => void = collectOld) {
    this.#collect = collect;
  }

  /** A session has begun. */
  came(): void {
    this.#sessions++;
    if (this.#sessions < sessionsMin) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#rest(), restMs).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #rest(): void {
    this.#sessions = 0;
    this.#collect();
  }
}

/** All of it, and the pages that are left half empty are given back, too. Without `--expose-gc`, which `bin/needfire.js` gives, nothing. */
function collectOld(): void {
  globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
}
