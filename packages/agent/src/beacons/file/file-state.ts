/**
 * Reads how one path is: what `lstat` says, and for a regular file its digest and, if it is a small text, the text. Never follows a
 * link, never blocks on a pipe. Small files are read without leaving the event loop's turn: that is faster than asking the thread pool.
 */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { type BigIntStats, closeSync, constants, fstatSync, lstatSync, openSync, read, readlinkSync, readSync } from "node:fs";
import { promisify } from "node:util";
import type { FileState } from "@needfire/shared/beacons/file";
import { errorText, systemCode } from "@needfire/shared/errors";
import type { Accounts } from "../../accounts.ts";
import { octalMode } from "./file-judge.ts";

const readElsewhere = promisify(read);

/** Up to this size a file is read in one go. */
const directBytesMax = 262_144;
const chunkBytes = 1_048_576;
/** Larger files are judged by their size, without a digest: hashing them again and again would eat a core. */
const hashBytesMax = 268_435_456;
/** How far behind the moment of reading a time stamp must be before the same stamp proves the same content. */
const stampAgeMs = 50;

/** `stamp`: two reads with the same one saw the same file; undefined when that cannot be promised yet. */
export interface Snapshot {
  readonly state: FileState | null;
  /** Of the content, when it is text of at most `textBytesMax`. */
  readonly text?: string;
  /** Why there is no text of a regular file. */
  readonly noText?: "binary" | "too large" | "unreadable";
  readonly stamp?: string;
  /** Tells two files of the same state apart: a copy that was put in its place, or one that was written again. Device, inode, change time. */
  readonly identity: string;
  /** Present when the content or the path could not be read. */
  readonly trouble?: string;
}

export interface ReadOptions {
  accounts: Accounts;
  textBytesMax: number;
  /** The stamp of the last read: when it still fits, the answer is "unchanged", and nothing is read. */
  known?: string | undefined;
}

const absent: Snapshot = { state: null, identity: "absent" };

/** The state of `path` now; "unchanged" when `known` still fits; at once for what is small, later for what is not. */
export function readState(path: string, options: ReadOptions): Snapshot | "unchanged" | Promise<Snapshot> {
  let stat: BigIntStats;
  try {
    stat = lstatSync(path, { bigint: true });
    if (options.known !== undefined && stampOf(stat) === options.known) return "unchanged";
    if (stat.isFile()) return readFile(path, stat, options);
    return { ...stamped(stat), state: stateOf(stat, options.accounts, stat.isSymbolicLink() ? readlinkSync(path) : undefined) };
  } catch (error) {
    const code = systemCode(error);
    // ELOOP: it became a link between the look and the reading; EINVAL: it was a link and is none; a notification is on its way.
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP" || code === "EINVAL") return absent;
    return { state: null, identity: "unreadable", trouble: errorText(error) };
  }
}

function readFile(path: string, seen: BigIntStats, options: ReadOptions): Snapshot | Promise<Snapshot> {
  let fd: number;
  try {
    // Not blocking: it may have become a pipe since.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP") throw error;
    const state = { ...stateOf(seen, options.accounts), digest: null };
    return { ...stamped(seen), state, noText: "unreadable", trouble: errorText(error) };
  }
  let later = false;
  try {
    const stat = fstatSync(fd, { bigint: true });
    if (!stat.isFile()) return { ...stamped(stat), state: stateOf(stat, options.accounts) };
    if (stat.size > hashBytesMax) {
      return { ...stamped(stat), state: { ...stateOf(stat, options.accounts), digest: null }, noText: "too large" };
    }
    if (stat.size <= directBytesMax) return small(stat, readAll(fd, Number(stat.size)), options);
    later = true;
    return hashLarge(fd, stat, options);
  } finally {
    if (!later) closeSync(fd);
  }
}

function small(stat: BigIntStats, bytes: Buffer, { accounts, textBytesMax }: ReadOptions): Snapshot {
  const digest = createHash("sha256").update(bytes).digest("hex");
  const state = { ...stateOf(stat, accounts), digest, size: bytes.length };
  return { ...stamped(stat), state, ...textOf(bytes, textBytesMax) };
}

/** The text of content, or why it has none to show. */
export function textOf(bytes: Buffer, textBytesMax: number): { text: string } | { noText: "binary" | "too large" } {
  if (bytes.length > textBytesMax) return { noText: "too large" };
  if (bytes.includes(0) || !isUtf8(bytes)) return { noText: "binary" };
  return { text: bytes.toString("utf8") };
}

/** Reads to the end, which may lie elsewhere than `size` said, but not past what is read in one go. */
function readAll(fd: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(Math.min(size + 1, directBytesMax + 1));
  let length = 0;
  for (;;) {
    const got = readSync(fd, bytes, length, bytes.length - length, length);
    length += got;
    if (got === 0 || length === bytes.length) return bytes.subarray(0, Math.min(length, directBytesMax));
  }
}

async function hashLarge(fd: number, stat: BigIntStats, { accounts }: ReadOptions): Promise<Snapshot> {
  try {
    const hash = createHash("sha256");
    const bytes = Buffer.allocUnsafe(chunkBytes);
    let length = 0;
    for (;;) {
      const { bytesRead } = await readElsewhere(fd, bytes, 0, chunkBytes, length);
      if (bytesRead === 0 || length > hashBytesMax) break;
      hash.update(bytes.subarray(0, bytesRead));
      length += bytesRead;
    }
    return { ...stamped(stat), state: { ...stateOf(stat, accounts), digest: hash.digest("hex"), size: length }, noText: "too large" };
  } catch (error) {
    return { ...stamped(stat), state: { ...stateOf(stat, accounts), digest: null }, noText: "unreadable", trouble: errorText(error) };
  } finally {
    closeSync(fd);
  }
}

function stateOf(stat: BigIntStats, accounts: Accounts, target?: string): FileState {
  const type = stat.isFile() ? "file" : stat.isDirectory() ? "directory" : stat.isSymbolicLink() ? "symlink" : "other";
  return {
    type,
    digest: null,
    size: type === "file" ? Number(stat.size) : 0,
    mode: octalMode(Number(stat.mode)),
    owner: accounts.users.name(Number(stat.uid)),
    group: accounts.groups.name(Number(stat.gid)),
    ...(target === undefined ? {} : { target }),
  };
}

function stamped(stat: BigIntStats): { stamp?: string; identity: string } {
  const stamp = stampOf(stat);
  return { identity: `${stat.dev}:${stat.ino}:${stat.ctimeNs}`, ...(stamp === undefined ? {} : { stamp }) };
}

/** The kernel's time stamps are coarse: a file that was just written could be written again within the same one. */
function stampOf(stat: BigIntStats): string | undefined {
  const age = Date.now() - Number(stat.ctimeNs / 1_000_000n);
  return age >= 0 && age < stampAgeMs ? undefined : `${stat.dev}:${stat.ino}:${stat.size}:${stat.ctimeNs}`;
}

/** Device and inode number of a stamp or an identity, as audit records have them (audit-records.ts). */
export function fileOf(identity: string | undefined): string | undefined {
  return identity?.match(/^[0-9]+:[0-9]+/)?.[0];
}
