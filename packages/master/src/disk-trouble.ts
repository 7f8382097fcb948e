/**
 * What a disk's refusal looks like when it comes through SQLite: there is no room, or the device fails. It may pass; the data is not wrong.
 */
import { NeedfireError } from "@needfire/shared/errors";

// https://sqlite.org/rescode.html
const sqliteReadonly = 8;
const sqliteIoError = 10;
const sqliteFull = 13;
const sqliteCannotOpen = 14;

/** SQLite's primary result code of an error, or undefined when it has none. */
function sqliteCode(error: unknown): number | undefined {
  return error instanceof Error && "errcode" in error ? Number(error.errcode) & 0xff : undefined;
}

export function isDiskTrouble(error: unknown): boolean {
  if (error instanceof NeedfireError) return error.code === "DISK_FULL";
  const code = sqliteCode(error);
  return code === sqliteFull || code === sqliteIoError || code === sqliteCannotOpen || code === sqliteReadonly;
}
