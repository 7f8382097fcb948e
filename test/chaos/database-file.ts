/**
 * SQLite files as they lie on the disk, of a process that was killed: what is committed in them, whatever their tables are; and ways to
 * damage them. Knows the format of the log (https://www.sqlite.org/walformat.html), not the schema.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  copyFileSync,
  existsSync,
  ftruncateSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { isCorrupt } from "@needfire/shared/sqlite-code";

const logHeaderBytes = 32;
const frameHeaderBytes = 24;
/** Some transactions. */
const framesCutMax = 12;

/** SQLite databases in a directory, by their first bytes. */
export function databasesIn(directory: string): string[] {
  return readdirSync(directory)
    .map((name) => join(directory, name))
    .filter((path) => path.endsWith(".db") && isDatabase(path));
}

/** Every value of every row that is committed, as text, but for the table `except`. */
export function* committedTexts(directory: string, except: string): Generator<string> {
  const copies = mkdtempSync(join(tmpdir(), "needfire-copy-"));
  try {
    for (const file of databasesIn(directory)) {
      for (const suffix of ["", "-wal"]) copyIfThere(file + suffix, join(copies, basename(file) + suffix));
      const database = new DatabaseSync(join(copies, basename(file)));
      try {
        const tables = database
          .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> ?")
          .all(except);
        for (const { name } of tables) {
          for (const row of database.prepare(`SELECT * FROM "${String(name)}"`).iterate()) yield Object.values(row).map(textOf).join("\n");
        }
      } catch (error) {
        // Another fault has spoiled it, and whose it is has not set it aside yet: what cannot be read was counted as destroyed then.
        if (!isCorrupt(error)) throw error;
      } finally {
        database.close();
      }
    }
  } finally {
    rmSync(copies, { recursive: true });
  }
}

/**
 * A write that the crash cut short: half a frame after the last one that counts, with a header that is as it should be. False when there is
 * no log.
 */
export function tearLog(database: string): boolean {
  return withLog(database, (file, { pageBytes, salts, ends }) => {
    const torn = Buffer.concat([Buffer.alloc(frameHeaderBytes), randomBytes(pageBytes / 2)]);
    torn.writeUInt32BE(2, 0); // a page,
    torn.writeUInt32BE(100, 4); // the last of its transaction,
    salts.copy(torn, 8); // of this log
    writeSync(file, torn, 0, torn.length, ends.at(-1)!);
    return true;
  });
}

/** A disk that lied about its syncs: the last frames of the log are gone, whole transactions with them. False when there is none. */
export function cutLog(database: string, fraction: number): boolean {
  return withLog(database, (file, { ends }) => {
    if (ends.length < 2) return false;
    const frames = 1 + Math.floor(fraction * Math.min(framesCutMax, ends.length - 1));
    ftruncateSync(file, ends.at(-1 - frames));
    return true;
  });
}

interface Log {
  pageBytes: number;
  salts: Buffer;
  /** Where the header and each frame that counts end. */
  ends: number[];
}

function withLog(database: string, work: (file: number, log: Log) => boolean): boolean {
  if (!existsSync(`${database}-wal`)) return false;
  const file = openSync(`${database}-wal`, "r+");
  try {
    const header = readAt(file, 0, logHeaderBytes);
    if (header.length < logHeaderBytes) return false;
    const log: Log = { pageBytes: header.readUInt32BE(8), salts: header.subarray(16, 24), ends: [logHeaderBytes] };
    for (;;) {
      const end = log.ends.at(-1)!;
      const frame = readAt(file, end, frameHeaderBytes);
      if (frame.length < frameHeaderBytes || !frame.subarray(8, 16).equals(log.salts)) return work(file, log);
      log.ends.push(end + frameHeaderBytes + log.pageBytes);
    }
  } finally {
    closeSync(file);
  }
}

/** Puts what is in the log into the file, and ends the log. */
export function foldLog(database: string): void {
  const connection = new DatabaseSync(database);
  try {
    connection.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  } catch (error) {
    if (!isCorrupt(error)) throw error;
  } finally {
    connection.close();
  }
}

/** Garbage over one page of the file, not the first. False when there is no second page. */
export function overwritePage(database: string, fraction: number): boolean {
  const file = openSync(database, "r+");
  try {
    const pageBytes = readAt(file, 16, 2).readUInt16BE(0) || 4_096;
    const pages = Math.floor(fstatSync(file).size / pageBytes);
    if (pages < 2) return false;
    const page = 1 + Math.floor(fraction * (pages - 1));
    writeSync(file, randomBytes(pageBytes), 0, pageBytes, page * pageBytes);
    return true;
  } finally {
    closeSync(file);
  }
}

function readAt(file: number, at: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  return buffer.subarray(0, readSync(file, buffer, 0, bytes, at));
}

function isDatabase(path: string): boolean {
  const file = openSync(path, "r");
  try {
    return readAt(file, 0, 16).toString("latin1") === "SQLite format 3\0";
  } finally {
    closeSync(file);
  }
}

function copyIfThere(from: string, to: string): void {
  try {
    copyFileSync(from, to);
  } catch {
    // A log that was closed cleanly does not exist.
  }
}

function textOf(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value);
}
