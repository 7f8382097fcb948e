/**
 * What a disk's refusal looks like when it comes through SQLite, in this thread or another.
 */
import { NeedfireError } from "@needfire/shared/errors";
import { isRefusal } from "@needfire/shared/sqlite-code";

export function isDiskTrouble(error: unknown): boolean {
  return error instanceof NeedfireError ? error.code === "DISK_FULL" : isRefusal(error);
}
