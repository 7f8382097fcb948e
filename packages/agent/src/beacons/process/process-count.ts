/**
 * Whether there are as many processes as there should be: told when it has been otherwise for a time, and when it has been right again for as
 * long. What was told is kept across restarts.
 */
import type { BeaconContext } from "../beacon.ts";

export type CountState = "present" | "missing" | "few" | "many";

export interface CountRules {
  min: number;
  max?: number | undefined;
}

export function countState(count: number, { min, max = Infinity }: CountRules): CountState {
  if (count < min) return count === 0 ? "missing" : "few";
  return count > max ? "many" : "present";
}

/** The row's key in the beacon's memory. */
const key = "count";

export class KeptCount {
  readonly #context: BeaconContext;
  readonly #forMs: number;
  #told: CountState = "present";
  #waiting: { state: CountState; since: number; cause: { cause?: string } } | undefined;
  /** From when on it is as it was told; a restart does not know. */
  #since: number | undefined;
  #again = false;

  constructor(context: BeaconContext, { forMs, known }: { forMs: number; known: Map<string, unknown> }) {
    this.#context = context;
    this.#forMs = forMs;
    const row = known.get(key);
    if (row === "missing" || row === "few" || row === "many") this.#told = row;
  }

  get told(): CountState {
    return this.#told;
  }

  /** One look. What is to be told, if anything: by `tell`, in the same turn. */
  step(
    state: CountState,
    now: number,
    cause: { cause?: string },
  ): { state: CountState; lastedMs: number; cause: { cause?: string } } | undefined {
    const again = this.#again && state === this.#told;
    this.#again = false;
    if (state === this.#told) {
      this.#waiting = undefined;
      return again ? { state, lastedMs: now - (this.#since ?? now), cause: {} } : undefined;
    }
    if (this.#waiting?.state !== state) this.#waiting = { state, since: now, cause };
    const { since, cause: whose } = this.#waiting;
    if (now - since < this.#forMs) return undefined;
    this.#waiting = undefined;
    this.#told = state;
    this.#since = since;
    return { state, lastedMs: now - since, cause: whose };
  }

  tell(event: { subject: string; cause?: string; data: Record<string, unknown> }): void {
    this.#context.emit({ type: types[this.#told], ...event });
    this.#context.memory.set(key, this.#told === "present" ? undefined : this.#told);
  }

  restate(): void {
    this.#again = this.#told !== "present";
  }
}

const types = { present: "process.present", missing: "process.missing", few: "process.few", many: "process.many" } as const;
