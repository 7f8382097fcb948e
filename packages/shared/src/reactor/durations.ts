/**
 * Times that a reactor waits: over nothing, and not longer than anybody means.
 */
import { parseDuration } from "../duration.ts";
import type { Path } from "../yaml-file.ts";
import type { Draft } from "./draft.ts";

const longestMs = 366 * 86_400_000;

/** Milliseconds of a duration that the schema let through; a problem when it is nothing or over a year. */
export function checkedDurationMs(draft: Draft, text: string, path: Path): number {
  const ms = parseDuration(text) ?? 0;
  if (ms < 1 || ms > longestMs) draft.problem(path, `expected a time from 1ms to 366d, got "${text}"`);
  return ms;
}
