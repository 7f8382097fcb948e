/** Counts the events that changes must have led to against those that came: missed, doubled, and such as nobody made. Pure. */

export interface Counted {
  name: string;
  changes: number;
  expected: number;
  told: number;
  mismatches: string[];
}

export interface Account {
  name: string;
  changes: number;
  /** By key, how often it must have come. */
  expected: ReadonlyMap<string, number>;
  /** What may have come as well, once each: what was due while the end was taken. */
  allowed: ReadonlySet<string>;
  told: ReadonlyMap<string, number>;
}

/** Of the ids of one kind so many are named. */
const namedMax = 10;

export function countAccount({ name, changes, expected, allowed, told }: Account): Counted {
  const missed: string[] = [];
  const doubled: string[] = [];
  const strange: string[] = [];
  for (const [key, times] of expected) if ((told.get(key) ?? 0) < times) missed.push(`${key} (${told.get(key) ?? 0} of ${times})`);
  for (const [key, times] of told) {
    const wanted = expected.get(key);
    if (wanted === undefined && !(allowed.has(key) && times === 1)) strange.push(`${key} (${times})`);
    else if (wanted !== undefined && times > wanted) doubled.push(`${key} (${times} instead of ${wanted})`);
  }
  return {
    name,
    changes,
    expected: sum(expected.values()),
    told: sum(told.values()),
    mismatches: [...line("missed", missed), ...line("told too often", doubled), ...line("told, and nobody did it", strange)],
  };
}

function line(what: string, keys: readonly string[]): string[] {
  if (keys.length === 0) return [];
  const rest = keys.length > namedMax ? `, and ${keys.length - namedMax} more` : "";
  return [`${what}: ${keys.slice(0, namedMax).join(", ")}${rest}`];
}

function sum(values: Iterable<number>): number {
  return [...values].reduce((total, value) => total + value, 0);
}
