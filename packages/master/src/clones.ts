/**
 * Tells two machines with one key from one machine that lost its connection. An agent has one numbering at a time, and one that it left does
 * not come back; two machines take the session from each other, each with a numbering of its own.
 */

/** So many changes from one live session to another of a different numbering, within this time of one another, are two machines. */
const changesMin = 4;
const changesWithinMs = 120_000;
/** It is told again after this time, if it goes on. */
const toldEveryMs = 3_600_000;

interface Struggle {
  changes: number;
  last: number;
  told: number;
}

export class Clones {
  readonly #struggles = new Map<string, Struggle>();

  /** A session of another numbering took the place of a live one. True when that must be told. `now`: by the monotonic clock. */
  tookOver(agent: string, now: number): boolean {
    const before = this.#struggles.get(agent);
    const goesOn = before !== undefined && now - before.last <= changesWithinMs;
    const struggle = { changes: (goesOn ? before.changes : 0) + 1, last: now, told: before?.told ?? Number.NEGATIVE_INFINITY };
    const isDue = struggle.changes >= changesMin && now - struggle.told >= toldEveryMs;
    if (isDue) struggle.told = now;
    this.#struggles.set(agent, struggle);
    return isDue;
  }
}
