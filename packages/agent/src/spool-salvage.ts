/**
 * What is done with a spool file that is damaged: it is set aside under a name of its own, and the commands that it knows of are looked
 * for in its bytes, so that none of them runs a second time (P3). Its events are not taken over: which of them the master has is not
 * known, and nothing may be there twice.
 */
import { closeSync, constants, copyFileSync, openSync, readdirSync, readSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { actions } from "@needfire/shared/action";
import { severities, type Severity } from "@needfire/shared/event";
import { epochAt } from "@needfire/shared/ids";

/** A command that was begun here. `settled`: it ended, and the master has its result. */
export interface SalvagedExecution {
  id: string;
  action: string;
  lane: Severity;
  settled: boolean;
}

/** Of the files that were set aside, so many are kept: they can be large, and a disk that damages one may damage more. */
const keptMax = 3;
/** More than the journal of commands ever holds. */
const salvagedMax = 100_000;
const chunkBytes = 1_048_576;
/** Longer than what is looked for, so that nothing is missed where two chunks meet. */
const overlapBytes = 128;

/** What belongs to a database: its log, the copy of its log, its index of the log. */
const sides = ["-wal", "-wal-kept", "-shm"];

/**
 * To be called before the database is opened or closed: SQLite drops a log that it does not understand, with the commands that stand in
 * it. A copy of before is not written over.
 */
export function keepLog(file: string): void {
  try {
    copyFileSync(`${file}-wal`, `${file}-wal-kept`, constants.COPYFILE_EXCL);
  } catch {
    // There is no log after a clean end; and without room for a copy the log alone must do.
  }
}

/** All is well, or the copy was looked through. */
export function dropKeptLog(file: string): void {
  rmSync(`${file}-wal-kept`, { force: true });
}

/** The commands that the copy of the log knows of. */
export function executionsInLog(file: string): SalvagedExecution[] {
  const found = new Map<string, SalvagedExecution>();
  scan(`${file}-wal-kept`, found);
  return [...found.values()];
}

/** Returns the new name. Throws what the file system says when the file cannot be renamed. */
export function setAside(file: string, now: number): string {
  const keptAs = freeName(`${file}.damaged-${epochAt(now)}`);
  renameSync(file, keptAs);
  for (const suffix of sides) renameIfThere(file + suffix, keptAs + suffix);
  for (const old of setAsideFiles(file).slice(0, -keptMax)) for (const suffix of ["", ...sides]) rmSync(old + suffix, { force: true });
  return keptAs;
}

/** The commands that any of the files knows of that were set aside for `file`. */
export function salvageExecutions(file: string): SalvagedExecution[] {
  const found = new Map<string, SalvagedExecution>();
  for (const keptAs of setAsideFiles(file)) {
    for (const suffix of ["", ...sides]) scan(keptAs + suffix, found);
    for (const id of settledIds(keptAs)) found.set(id, { action: "unknown", lane: "normal", ...found.get(id), id, settled: true });
  }
  return [...found.values()];
}

/** An id, and behind it, where it stands in the journal of commands, action and lane. */
const pattern = new RegExp(
  `(t-[0-9a-f]{16}\\.[0-9]{1,4})(?:(${Object.keys(actions).join("|").replaceAll(".", "\\.")})(${severities.join("|")}))?`,
  "g",
);

/** The bytes themselves: tables that cannot be walked any more, and the log, hold the rows all the same. */
function scan(path: string, found: Map<string, SalvagedExecution>): void {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return; // the log of a cleanly closed database does not exist
  }
  try {
    const buffer = Buffer.alloc(chunkBytes);
    for (let at = 0, read = chunkBytes; read === chunkBytes && found.size < salvagedMax; at += chunkBytes - overlapBytes) {
      read = readSync(fd, buffer, 0, chunkBytes, at);
      for (const [, id, action, lane] of buffer.toString("latin1", 0, read).matchAll(pattern)) {
        const before = found.get(id!);
        if (before !== undefined && (action === undefined || before.action === action)) continue;
        const settled = before?.settled ?? false;
        found.set(id!, { id: id!, action: action ?? "unknown", lane: (lane as Severity | undefined) ?? "normal", settled });
      }
    }
  } catch {
    // A place that cannot be read: what was found before it counts.
  } finally {
    closeSync(fd);
  }
}

/** Those whose result the master has, as far as the tables can still be walked. */
function settledIds(keptAs: string): string[] {
  const ids: string[] = [];
  try {
    const database = new DatabaseSync(keptAs, { readOnly: true });
    try {
      const rows = database.prepare(
        "SELECT execution.id AS id FROM execution JOIN lane ON lane.name = execution.lane WHERE result <= acknowledged",
      );
      for (const row of rows.iterate()) ids.push(String(row["id"]));
    } finally {
      database.close();
    }
  } catch {
    // Damaged here, too: the rest counts as open, and is reported as interrupted.
  }
  return ids.filter((id) => /^t-[0-9a-f]{16}\.[0-9]{1,4}$/.test(id));
}

function freeName(wanted: string): string {
  const taken = new Set(readdirSync(dirname(wanted)));
  let name = wanted;
  for (let number = 2; taken.has(basename(name)); number++) name = `${wanted}-${number}`;
  return name;
}

/** The oldest first. */
function setAsideFiles(file: string): string[] {
  const directory = dirname(file);
  return readdirSync(directory)
    .filter((name) => name.startsWith(`${basename(file)}.damaged-`) && !sides.some((suffix) => name.endsWith(suffix)))
    .toSorted()
    .map((name) => join(directory, name));
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch {
    // The side files of a cleanly closed database do not exist.
  }
}
