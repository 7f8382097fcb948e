/**
 * What beacons remember (beacons/remembered.ts), as the spool keeps it: rows wait here for the transaction of the events of their turn and are
 * written in it. Bounded: a row is there once, however often it was set.
 */
import { crc32 } from "node:zlib";
import { corruptError } from "@needfire/shared/sqlite-code";
import type { MemoryStatements } from "./spool-file.ts";

export interface MemoryRow {
  key: string;
  value: Uint8Array;
}

export class WaitingMemory {
  /** By beacon and key; undefined: the row goes. */
  #rows = new Map<string, Map<string, Uint8Array | undefined>>();
  /** All others are to be forgotten before the rows are written. */
  #only: ReadonlySet<string> | undefined;

  get isEmpty(): boolean {
    return this.#rows.size === 0 && this.#only === undefined;
  }

  remember(beacon: string, key: string, value: Uint8Array | undefined): void {
    const own = this.#rows.get(beacon) ?? new Map<string, Uint8Array | undefined>();
    this.#rows.set(beacon, own);
    own.set(key, value);
  }

  forgetOthers(beacons: ReadonlySet<string>): void {
    this.#only = beacons;
    for (const beacon of this.#rows.keys()) if (!beacons.has(beacon)) this.#rows.delete(beacon);
  }

  /** The rows of a beacon: those on the disk, and what waits over them. Throws when a row on the disk is not what was written. */
  recall(beacon: string, { recall }: MemoryStatements): MemoryRow[] {
    const rows = new Map<string, Uint8Array>();
    if (this.#only === undefined || this.#only.has(beacon)) {
      for (const row of recall.all(beacon)) {
        const value = row["value"] as Uint8Array;
        if (crc32(value) !== row["crc"]) throw corruptError("what a beacon remembers is not what was written");
        rows.set(String(row["key"]), value);
      }
    }
    for (const [key, value] of this.#rows.get(beacon) ?? []) {
      if (value === undefined) rows.delete(key);
      else rows.set(key, value);
    }
    return [...rows].map(([key, value]) => ({ key, value }));
  }

  /** Within a transaction. `written` is to be called when it is committed. */
  write({ remember, forget, forgetOthers }: MemoryStatements): void {
    if (this.#only !== undefined) forgetOthers.run(JSON.stringify([...this.#only]));
    for (const [beacon, rows] of this.#rows) {
      for (const [key, value] of rows) {
        if (value === undefined) forget.run(beacon, key);
        else remember.run(beacon, key, crc32(value), value);
      }
    }
  }

  written(): void {
    this.#rows = new Map();
    this.#only = undefined;
  }
}
