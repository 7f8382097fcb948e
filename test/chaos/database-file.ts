/**
 * SQLite files as they lie on the disk, of a process that was killed: what is committed in them, whatever their tables are; and ways to
 * damage them. Knows the format of the log (https://www.sqlite.org/walformat.html), not the schema.
 */
import { randomBytes } from "node:crypto";
import { closeSync, copyFileSync, fstatSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const logHeaderBytes = 32;
const frameHeaderBytes = 24;

/** SQLite databases in a directory, by their first bytes. */
export function databasesIn(directory: string): string[] {
  return readdirSync(directory)
    .map((name) => join(directory, name))
    .filter((path) => /\.db$/.test(path) && startsWith(path, "SQLite format 3\0"));
}

/** Every value of every row that is committed, as text. */
export function* committedTexts(directory: string): Generator<string> {
  const copies = mkdtempSync(join(tmpdir(), "needfire-copy-"));
  try {
    for (const file of databasesIn(directory)) {
      for (const suffix of ["", "-wal"]) copyIfThere(file + suffix, join(copies, basename(file) + suffix));
      const database = new DatabaseSync(join(copies, basename(file)));
      const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").all();
      for (const { name } of tables) {
        for (const row of database.prepare(`SELECT * FROM "${String(name)}"`).iterate()) yield Object.values(row).map(textOf).join("\n");
      }
      database.close();
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
  const log = `${database}-wal`;
  if (!startsWith(log, "")) return false;
  const file = openSync(log, "r+");
  try {
    const header = readAt(file, 0, logHeaderBytes);
    if (header.length < logHeaderBytes) return false;
    const pageBytes = header.readUInt32BE(8);
    const salts = header.subarray(16, 24);
    let end = logHeaderBytes;
    let frame = readAt(file, end, frameHeaderBytes);
    for (; frame.length === frameHeaderBytes && frame.subarray(8, 16).equals(salts); frame = readAt(file, end, frameHeaderBytes))
      end += frameHeaderBytes + pageBytes;
    const torn = Buffer.concat([Buffer.alloc(frameHeaderBytes), randomBytes(pageBytes / 2)]);
    torn.writeUInt32BE(2, 0); // a page,
    torn.writeUInt32BE(100, 4); // the last of its transaction,
    salts.copy(torn, 8); // of this log
    writeSync(file, torn, 0, torn.length, end);
    return true;
  } finally {
    closeSync(file);
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

function startsWith(path: string, text: string): boolean {
  try {
    return readFileSync(path).subarray(0, text.length).toString("latin1") === text;
  } catch {
    return false;
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
