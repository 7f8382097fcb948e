/**
 * Gives memory back once the agent has come to rest. A start, and new definitions, leave garbage in the old generation, where V8 looks only
 * when it has grown by half again: in an agent that waits, never. Never runs while definitions still come.
 */

/** Quiet time after the last definitions: the session's first messages and the beacons' first looks are over by then. */
const restMs = 5_000;

export class Garbage {
  readonly #collect: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(collect: () => void = collectAll) {
    this.#collect = collect;
  }

  /** Collects once, when this has not been called for a while. */
  collectLater(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#collect, restMs).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/** All of it, with what V8 keeps for its own speed; some 50 ms. Without `--expose-gc`, which `bin/needfire.js` gives, nothing. */
function collectAll(): void {
  globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
}
