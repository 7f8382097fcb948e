/** How many hosts a limit means: so many, or so much of a hundred, rounded down and at least one. */

export type Amount = { hosts: number } | { percent: number };

/** `stopAfter`: failures. */
export interface RolloutLimits {
  concurrent: Amount | undefined;
  ramp: readonly Amount[];
  stopAfter: Amount | undefined;
}

/** Of what the schema let through: `10` or `10%`. */
export function amountOf(source: number | string): Amount {
  return typeof source === "number" ? { hosts: source } : { percent: Number.parseInt(source, 10) };
}

export function hostsOf(amount: Amount, all: number): number {
  return "hosts" in amount ? amount.hosts : Math.max(1, Math.floor((all * amount.percent) / 100));
}

/** Up to how many hosts each wave goes; the last has all the rest. What is no more than the wave before is no wave. */
export function waveEnds(ramp: readonly Amount[], all: number): number[] {
  const ends: number[] = [];
  for (const amount of ramp) {
    const end = hostsOf(amount, all);
    if (end > (ends.at(-1) ?? 0) && end < all) ends.push(end);
  }
  return all === 0 ? [] : [...ends, all];
}
