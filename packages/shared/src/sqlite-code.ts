/**
 * What an error of SQLite's means (https://sqlite.org/rescode.html): the one table of its result codes. Knows errors, not databases.
 */

const primary = { busy: 5, readonly: 8, ioError: 10, corrupt: 11, full: 13, cannotOpen: 14, constraint: 19, notADatabase: 26 } as const;
type Code = keyof typeof primary;
/** SQLITE_IOERR_READ, _SHORT_READ, _DATA, _CORRUPTFS: what is there cannot be had. Where writing fails it is only tried again. */
const unreadable = new Set([1, 2, 32, 33].map((detail) => primary.ioError | (detail << 8)));

/** As `node:sqlite` tells it, with its detail; 0 when it is no error of SQLite's. */
function resultCode(error: unknown): number {
  return error instanceof Error && "errcode" in error ? Number(error.errcode) : 0;
}

function isOneOf(error: unknown, ...codes: Code[]): boolean {
  const code = resultCode(error) & 0xff;
  return codes.some((each) => primary[each] === code);
}

/** The bytes are not what a database has. */
export function isCorrupt(error: unknown): boolean {
  return isOneOf(error, "corrupt", "notADatabase");
}

/** The disk does not give back what was written. */
export function isUnreadable(error: unknown): boolean {
  return unreadable.has(resultCode(error));
}

/** Somebody else has it. */
export function isBusy(error: unknown): boolean {
  return isOneOf(error, "busy");
}

export function isFull(error: unknown): boolean {
  return isOneOf(error, "full");
}

/** A disk's refusal: there is no room, or the device fails. It may pass; the data is not wrong. */
export function isRefusal(error: unknown): boolean {
  return isOneOf(error, "full", "ioError", "cannotOpen", "readonly");
}

/** A row that does not fit its table. */
export function isConstraint(error: unknown): boolean {
  return isOneOf(error, "constraint");
}

/** An error that counts as one of a file that is damaged. */
export function corruptError(message: string): Error {
  return Object.assign(new Error(message), { errcode: primary.corrupt });
}
