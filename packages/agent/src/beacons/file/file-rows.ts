/**
 * What a file beacon keeps across restarts of the agent, as rows: small, since there may be a hundred thousand of them. Pure: values into
 * rows, rows into values. A row that is not as it is written here is none.
 */
import type { FileBeacon, FileState } from "@needfire/shared/beacons/file";

/** What was said of a managed file: the state, and the very file that had it. */
export interface Reported {
  key: string;
  identity: string;
}

/** A path: how a plain file was last seen, or what was said of a managed one (null: it was as it should be). */
export type FileRow = { kind: "plain"; state: FileState; stamp: string | undefined } | { kind: "managed"; reported: Reported | null };

/**
 * What the paths with and without a row mean. `complete`: a path of this scope without a row was not there, so one that is there now was
 * created since.
 */
export interface ScopeRow {
  paths: string[];
  exclude: string[];
  managed: boolean;
  complete: boolean;
}

const types = ["file", "directory", "symlink", "other"] as const;
const managedMark = "managed";

export function plainRow({ type, mode, size, owner, group, digest, target }: FileState, stamp: string | undefined): unknown[] {
  const packedDigest = digest === null ? null : Buffer.from(digest, "hex");
  return [types.indexOf(type), mode, size, owner, group, packedDigest, stamp ?? null, ...(target === undefined ? [] : [target])];
}

export function managedRow(reported: Reported | null): unknown[] {
  return reported === null ? [managedMark] : [managedMark, reported.key, reported.identity];
}

export function readFileRow(row: unknown): FileRow | undefined {
  if (!Array.isArray(row)) return undefined;
  return row[0] === managedMark ? readManaged(row) : readPlain(row);
}

function readManaged([, key, identity]: unknown[]): FileRow {
  const isReported = typeof key === "string" && typeof identity === "string";
  return { kind: "managed", reported: isReported ? { key, identity } : null };
}

function readPlain([typeIndex, mode, size, owner, group, digest, stamp, target]: unknown[]): FileRow | undefined {
  const type = types[Number(typeIndex)];
  if (type === undefined || typeof mode !== "string" || typeof size !== "number") return undefined;
  if (typeof owner !== "string" || typeof group !== "string") return undefined;
  const state: FileState = {
    ...{ type, mode, size, owner, group },
    digest: digest instanceof Uint8Array ? Buffer.from(digest).toString("hex") : null,
    ...(typeof target === "string" ? { target } : {}),
  };
  return { kind: "plain", state, stamp: typeof stamp === "string" ? stamp : undefined };
}

export function scopeRow({ paths, exclude, managed }: FileBeacon, complete: boolean): ScopeRow {
  return { paths, exclude, managed, complete };
}

export function readScopeRow(row: unknown): ScopeRow | undefined {
  const { paths, exclude, managed, complete } = (row ?? {}) as Partial<Record<keyof ScopeRow, unknown>>;
  if (!isTexts(paths) || !isTexts(exclude) || typeof managed !== "boolean" || typeof complete !== "boolean") return undefined;
  return { paths, exclude, managed, complete };
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}
