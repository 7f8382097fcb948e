/**
 * Paths whose judgement waits for a remedy (P7). One that works on a path holds that path until it has ended. A command may change
 * anything: plain files that are touched while it runs wait for its end, but not for longer than a limit, and then have it as their cause.
 * Managed files do not wait for a command: what they must be is known.
 *
 * What was touched before a command began is not its doing: that is judged as the command begins, before it can change anything. Later it
 * could not be told from the command's own changes any more, and a command would feed its own reactor.
 */
import type { EndedRemedy, Remedies, RemedyScope } from "../../remedies.ts";

/** A change that comes while a command runs is told after this time, even though the command may go on changing it. */
const heldMsMax = 10_000;
/** Paths that are judged as a command begins, which waits for that; more count as its effect. */
const judgedAtBeginMax = 100;

export interface HoldsOptions {
  remedies: Remedies;
  isManaged(path: string): boolean;
  /** The wait is over; `cause`: an execution that may have changed it. */
  judge(path: string, occasion: { cause?: string; free?: boolean; now?: boolean; afterRemedy?: boolean }): void;
  heldMs?: number;
}

export class Holds {
  readonly #options: HoldsOptions;
  readonly #heldMs: number;
  /** By the monotonic clock, since when; the oldest first. */
  readonly #held = new Map<string, number>();
  /** Touched while no command runs, and not judged yet. */
  readonly #free = new Set<string>();
  /** Managed files that were touched while a command ran, and are not judged yet. */
  readonly #settling = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: HoldsOptions) {
    this.#options = options;
    this.#heldMs = options.heldMs ?? heldMsMax;
  }

  /** A path was touched. True: it is held now; false: it may be judged when it is quiet. */
  touched(path: string): boolean {
    if (this.waits(path)) {
      this.add(path);
      return true;
    }
    if (this.#options.remedies.holdingHost() === undefined) this.#free.add(path);
    else this.#settling.add(path);
    return false;
  }

  /** A remedy is about to begin. */
  begins(scope: RemedyScope): void {
    if (scope !== "host") return;
    const paths = [...this.#free].slice(0, judgedAtBeginMax);
    this.#free.clear();
    for (const path of paths) this.#options.judge(path, { free: true, now: true });
  }

  /** Whether a remedy works on this very path. */
  isRemedied(path: string): boolean {
    return this.#options.remedies.holdingPath(path) !== undefined;
  }

  /** Whether judgement must wait. `free`: it is known that a command did not do it. */
  waits(path: string, free = false): boolean {
    const { remedies, isManaged } = this.#options;
    if (remedies.holdingPath(path) !== undefined) return true;
    return !free && !isManaged(path) && remedies.holdingHost() !== undefined;
  }

  /** Since when it is held, by the monotonic clock; undefined: it is not. */
  since(path: string): number | undefined {
    return this.#held.get(path);
  }

  /** It is known that no command did it: it is not held for one any more. */
  acquit(path: string): void {
    this.#held.delete(path);
  }

  add(path: string): void {
    if (!this.#held.has(path)) this.#held.set(path, performance.now());
    this.#arm();
  }

  /** It is judged now, so it is not waited for. */
  judged(path: string): void {
    this.#free.delete(path);
    this.#settling.delete(path);
  }

  /** A remedy ended: what it held is judged. */
  ended({ execution, scope }: EndedRemedy, concerns: (path: string) => boolean): void {
    const { judge, isManaged } = this.#options;
    if (scope === "host") {
      for (const path of this.#settling) this.add(path);
      this.#settling.clear();
      return this.#release({ cause: execution });
    }
    if (!("path" in scope)) return;
    const { path } = scope;
    this.#held.delete(path);
    this.#release({});
    // Judged without waiting for a notification: those of the remedy's own doing may come after its end. What differs in a managed file
    // now is not what the remedy made of it, so it is somebody else's doing and has no cause.
    if (concerns(path)) judge(path, isManaged(path) ? { afterRemedy: true } : { cause: execution });
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#held.clear();
  }

  #release(occasion: { cause?: string }): void {
    for (const path of this.#held.keys()) {
      if (this.waits(path)) continue;
      this.#held.delete(path);
      this.#options.judge(path, occasion);
    }
  }

  #arm(): void {
    const [oldest] = this.#held.values();
    if (oldest === undefined || this.#timer !== undefined) return;
    // Not again at once for one that a remedy of its own still holds.
    const wait = Math.max(oldest + this.#heldMs - performance.now(), this.#heldMs / 10);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#releaseOld();
      this.#arm();
    }, wait);
  }

  #releaseOld(): void {
    const { remedies, judge } = this.#options;
    const cause = remedies.holdingHost();
    const before = performance.now() - this.#heldMs;
    for (const [path, since] of [...this.#held]) {
      if (since > before) return;
      if (this.waits(path, true)) continue;
      this.#held.delete(path);
      judge(path, { ...(cause === undefined ? {} : { cause }), free: true });
    }
  }
}
