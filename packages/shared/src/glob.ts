/**
 * Globs, one dialect everywhere: `*` and `?` (and `**`, `{a,b}`, `[abc]` in paths). Used for event types, agent ids and file paths.
 */
import picomatch from "picomatch";

/** `flags`: a line break in a path is a character like any other; a policy must not be got around by one. */
const options = { dot: true, nonegate: true, noextglob: true, strictSlashes: true, flags: "s" } as const;

/** Thousands of reactors wait for the same types: a test is made once. Beyond so many the memory begins anew. */
const rememberedMax = 10_000;
const remembered = new Map<string, (text: string) => boolean>();

/** A test for one glob or for any of several. */
export function globMatcher(patterns: string | readonly string[]): (text: string) => boolean {
  const key = typeof patterns === "string" ? patterns : patterns.join("\0");
  let test = remembered.get(key);
  if (test === undefined) {
    const matches = picomatch(typeof patterns === "string" ? [patterns] : [...patterns], options);
    test = (text) => matches(text);
    if (remembered.size >= rememberedMax) remembered.clear();
    remembered.set(key, test);
  }
  return test;
}

/** The folder below which everything that a path glob can match lies, and whether it has a wildcard at all. */
export function globBase(pattern: string): { base: string; isGlob: boolean } {
  const scanned = picomatch.scan(pattern, options);
  return { base: scanned.base, isGlob: scanned.isGlob };
}
