/**
 * Globs, one dialect everywhere: `*` and `?` (and `**`, `{a,b}`, `[abc]` in paths). Used for event types, agent ids and file paths.
 */
import picomatch from "picomatch";

const options = { dot: true, nonegate: true, noextglob: true, strictSlashes: true } as const;

/** A test for one glob or for any of several. */
export function globMatcher(patterns: string | readonly string[]): (text: string) => boolean {
  return picomatch(typeof patterns === "string" ? [patterns] : [...patterns], options);
}

/** The folder below which everything that a path glob can match lies, and whether it has a wildcard at all. */
export function globBase(pattern: string): { base: string; isGlob: boolean } {
  const scanned = picomatch.scan(pattern, options);
  return { base: scanned.base, isGlob: scanned.isGlob };
}
