/** What the journal's tests share. */
import { join } from "node:path";
import type { Severity } from "@needfire/shared/event";
import { type WireEvent, wireEvent } from "@needfire/shared/wire-event";
import { Database } from "../store/database.ts";
import type { Batch } from "./journal.ts";
import { type JournalOptions, JournalWriter } from "./sqlite.ts";

/** An event as an agent sends it. Its time is its number in seconds, and its data its number. */
export function numbered(sequence: number, given: Partial<Parameters<typeof wireEvent>[1]> = {}): WireEvent {
  return wireEvent(sequence, { type: "test.happened", time: sequence * 1_000, severity: "normal", data: { n: sequence }, ...given });
}

/** A batch of web1's. */
export function batch(events: readonly (number | WireEvent)[], given: Partial<Batch> = {}): Batch {
  const made = events.map((event) => (typeof event === "number" ? numbered(event) : event));
  return { agent: "web1", epoch: "e1", lane: "normal" satisfies Severity, received: 1_000_000, events: made, ...given };
}

export function databaseFile(directory: string): string {
  return join(directory, "master.db");
}

export function openWriter(directory: string, options: JournalOptions = {}): JournalWriter {
  return new JournalWriter(new Database({ file: databaseFile(directory), synchronous: "NORMAL" }), options);
}
