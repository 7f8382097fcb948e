/**
 * Whether a process grew: what it held at rest in the first half of a run beside the second. Pure.
 *
 * Each half is judged by its median: a sample may hold what was not collected yet, or a file that was open just then; what leaks is in every
 * one from then on.
 */
import { quantile } from "../../bench/quantile.ts";
import type { Usage } from "./usage.ts";

/** What the median of the second half may be over that of the first, and why. */
const slack: Record<keyof Usage, { more: number; why: string } | undefined> = {
  // The heap's own fragmentation and the pages of SQLite's cache, which fill once, are of this order in a run of minutes. A leak of 100 bytes
  // with each of the some 100 looks and events a second is 5 MB in ten minutes, so a long run tells what a short one cannot.
  private_mb: { more: 5, why: "the heap's fragments and SQLite's cache" },
  rss_mb: undefined, // shared with others: it moves with what they do
  handles: {
    more: 3,
    why: "connections that are kept for a while, a rotated log that is followed until it is quiet; a leak has one with each change",
  },
  inotify_watches: { more: 5, why: "folders of the machine itself are watched, too; a leak has one with each change" },
  threads: { more: 0, why: "Node's pool is of a fixed size" },
  children: { more: 0, why: "the programs that beacons read from run all the time, checks do not run at rest" },
};

export interface Growth {
  what: keyof Usage;
  first: number;
  second: number;
  /** Undefined: it is not judged. */
  limit: number | undefined;
  grew: boolean;
}

/** `samples`: at rest, in the order of time; those of the warm-up are not among them. */
export function growthOf(samples: readonly Usage[]): Growth[] {
  const half = Math.ceil(samples.length / 2);
  const median = (some: readonly Usage[], what: keyof Usage) =>
    quantile(
      some.map((sample) => sample[what]),
      0.5,
    );
  return (Object.keys(slack) as (keyof Usage)[]).map((what) => {
    const [first, second] = [median(samples.slice(0, half), what), median(samples.slice(half), what)];
    const limit = slack[what] === undefined ? undefined : first + slack[what].more;
    return { what, first, second, limit, grew: limit !== undefined && second > limit };
  });
}
