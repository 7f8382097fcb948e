/**
 * A limit for `ingest.ts`: the rows that the journal writes, written straight into SQLite by a process that does nothing else, with the
 * same durability: a synced transaction for as many rows as a turn of the master takes.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pack } from "@needfire/shared/pack";

const rowsPerStatement = 50;
const rowsPerTransaction = 1_500;
const columns = ["position", "origin", "sequence", "type", "subject", "time", "received", "severity", "beacon", "cause", "data"];

export interface BareRowsOptions {
  batch: number;
  seconds: number;
  draft(index: number): { type: string; subject: string; data: Record<string, unknown> };
}

/** Rows a second. */
export function bareRows({ batch, seconds, draft }: BareRowsOptions): number {
  const dir = mkdtempSync(join(tmpdir(), "needfire-bare-"));
  try {
    const database = new DatabaseSync(join(dir, "rows.db"));
    database.exec(
      `PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
       CREATE TABLE event (position INTEGER PRIMARY KEY, origin INTEGER NOT NULL, sequence INTEGER NOT NULL, type TEXT NOT NULL, subject TEXT,
         time REAL NOT NULL, received REAL NOT NULL, severity INTEGER NOT NULL, beacon TEXT, cause TEXT, data BLOB NOT NULL) STRICT`,
    );
    const places = `(${columns.map(() => "?").join(", ")})`;
    const insert = database.prepare(
      `INSERT INTO event (${columns.join(", ")}) VALUES ${Array.from({ length: rowsPerStatement }, () => places).join(", ")}`,
    );
    const drafts = Array.from({ length: batch }, (_, index) => {
      const { type, subject, data } = draft(index);
      return { type, subject, data: pack(data) };
    });
    const values: (string | number | Uint8Array | null)[] = [];
    let rows = 0;
    const from = performance.now();
    while (performance.now() - from < seconds * 1_000) {
      database.exec("BEGIN IMMEDIATE");
      for (let row = 0; row < rowsPerTransaction; row += rowsPerStatement) {
        let at = 0;
        for (let each = 0; each < rowsPerStatement; each++) {
          const { type, subject, data } = drafts[rows % batch]!;
          rows++;
          for (const value of [rows, 1, rows, type, subject, 1.7e12 + 0.25, 1.7e12 + 0.5, 3, "load", null, data]) values[at++] = value;
        }
        insert.run(...values);
      }
      database.exec("COMMIT");
    }
    const perSecond = (rows / (performance.now() - from)) * 1_000;
    database.close();
    return perSecond;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
