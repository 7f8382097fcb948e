/**
 * A spool on a real directory, for the tests of what lies on both sides of it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type EventDraft, severities, type Severity } from "@needfire/shared/event";
import { eventData, type WireEvent } from "@needfire/shared/wire-event";
import { Spool, type SpoolOptions } from "./spool.ts";

export const day = 86_400_000;
export const start = 1_700_000_000_000;

export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "needfire-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function openSpool(directory: string, options: Partial<SpoolOptions> = {}): Spool {
  return Spool.open({
    file: join(directory, "spool.db"),
    synchronous: "NORMAL",
    bytesMax: 1_000_000,
    ageMaxMs: 7 * day,
    clock: { now: () => start },
    ...options,
  });
}

export function draft(n: number, given: Partial<EventDraft> = {}): EventDraft {
  return { type: "test.happened", time: start + n, severity: "normal", data: { n }, ...given };
}

/** Appends as beacons do, and waits for the disk. */
export function spool(into: Spool, ...drafts: EventDraft[]): void {
  for (const each of drafts) into.append(each);
  into.flush();
}

/** An event of a spool or of a frame, for people to read. */
export function readable([sequence, type, time, severity, subject, beacon, cause, data]: WireEvent) {
  return { sequence, type, time, severity, subject, beacon, cause, data: eventData(data) };
}

/** What a lane holds after `after`. */
export function inLane(from: Spool, lane: Severity, after = 0) {
  return from.read(lane, { after, limit: 100_000, bytesMax: 100_000_000 }).map(({ event }) => readable(event));
}

/** All that a spool holds, in the order of the numbers. */
export function all(from: Spool) {
  return severities.flatMap((lane) => inLane(from, lane).map((event) => ({ ...event, lane }))).toSorted((a, b) => a.sequence - b.sequence);
}
