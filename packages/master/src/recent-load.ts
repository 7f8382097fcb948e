/** How much there was to do in the last moments, which says best how much there will be in the next one. */

/** What was done so long ago counts for about a third. */
const spanMs = 50;

export class RecentLoad {
  readonly #now: () => number;
  #amount = 0;
  #at = Number.NEGATIVE_INFINITY;

  /** `now`: milliseconds, of a clock that nobody sets. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  add(amount: number): void {
    this.#amount = this.amount + amount;
    this.#at = this.#now();
  }

  get amount(): number {
    return this.#amount * Math.exp((this.#at - this.#now()) / spanMs);
  }
}
