/**
 * A spool on a real directory, for the tests of what lies on both sides of it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { EventDraft } from "@needfire/shared/event";
import { Spool, type SpoolOptions } from "./spool.ts";

export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "needfire-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function openSpool(directory: string, options: Partial<SpoolOptions> = {}): Spool {
  return Spool.open({ file: join(directory, "spool.db"), synchronous: "NORMAL", bytesMax: 1_000_000, now: 1_700_000_000_000, ...options });
}

export function draft(n: number, given: Partial<EventDraft> = {}): EventDraft {
  return { type: "test.happened", time: n, severity: "normal", data: { n }, ...given };
}

/** Appends as beacons do, and waits for the disk. */
export function spool(into: Spool, ...drafts: EventDraft[]): void {
  for (const each of drafts) into.append(each);
  into.flush();
}
