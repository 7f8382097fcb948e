/**
 * One file that is read as it grows. It knows the position up to which all is told, and by the bytes before it whether that is still the
 * file it was: one that was truncated and written anew, however far, is found out before a byte of it is taken for what follows.
 */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { constants, type FileHandle, open } from "node:fs/promises";

/** What is read in one go. Whoever takes it must take something of a piece of this length. */
export const pieceBytesMax = 131_072;
/** The first and the last bytes before the position, that a file is known by. */
const knownBytesMax = 512;
/** Room for a piece and what is known before it. */
export const bufferBytes = pieceBytesMax + knownBytesMax;

const lineFeed = 10;

/** As it is kept across restarts. `seen`: ms since the epoch; what came into being before is known. */
export interface Position {
  path: string;
  offset: number;
  /** Of the bytes before the position; empty: there are none. */
  proof: string;
  midway: boolean;
  seen: number;
}

/** What a file has at its position: nothing of it is told yet. */
export interface Piece {
  path: string;
  bytes: Buffer;
  /** The position lies within a line whose rest is passed over. */
  midway: boolean;
  /** There may be more, but not in one piece. */
  full: boolean;
  /** Nothing will follow. */
  ended: boolean;
  /** How long nothing was added. */
  idleMs: number;
}

/** `bytes`: so many of the piece are done with. `told`: events came of it, so that the position must go to disk with them. */
export interface Taken {
  bytes: number;
  midway: boolean;
  told: boolean;
  /** What is left is to be looked at again after so many ms, even if nothing is added. */
  againMs?: number | undefined;
}

export interface Identified {
  handle: FileHandle;
  identity: string;
  size: number;
  /** ms since the epoch; 0 where the file system does not know it. */
  born: number;
}

/** Opens a regular file; undefined for anything else. */
export async function openFile(path: string): Promise<Identified | undefined> {
  // Without blocking: a named pipe would wait for its writer.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const stat = await handle.stat({ bigint: true });
  if (!stat.isFile()) return void (await handle.close());
  return { handle, identity: identityOf(stat), size: Number(stat.size), born: Number(stat.birthtimeMs) };
}

/** The first bytes of a file. */
export async function beginningOf({ handle }: Identified): Promise<Buffer> {
  return readFully(handle, 0, knownBytesMax);
}

/** Whether what is written from this position on is a line of its own. */
export async function beginsLine({ handle }: Identified, offset: number): Promise<boolean> {
  return offset === 0 || (await readFully(handle, offset - 1, 1))[0] === lineFeed;
}

/** A number on the disk is given to another file as soon as one is deleted; together with the time of birth, where that is known, to one only. */
export function identityOf({ dev, ino, birthtimeNs }: { dev: bigint; ino: bigint; birthtimeNs: bigint }): string {
  return birthsAreReal && birthtimeNs > 0n ? `${dev}:${ino}@${birthtimeNs}` : `${dev}:${ino}`;
}

/** Node gives the time of the last change for a birth that it does not know where `statx` is forbidden; here the kernel knows none. */
const birthsAreReal = statSync("/proc/self", { bigint: true, throwIfNoEntry: false })?.birthtimeNs === 0n;

export class Tail {
  readonly identity: string;
  readonly born: number;
  /** By which it was found. */
  path: string;
  /** It is not at its path any more, though something may still be written to it. */
  rotated = false;
  offset: number;
  midway: boolean;
  /** Monotonic, ms. */
  keptAt = 0;
  grewAt = performance.now();
  readonly #handle: FileHandle;
  #known: Known;
  #end: number;
  #modified = -1n;

  private constructor(path: string, { handle, identity, born }: Identified, at: { offset: number; midway: boolean; known: Known }) {
    this.path = path;
    this.identity = identity;
    this.born = born;
    this.#handle = handle;
    this.offset = at.offset;
    this.midway = at.midway;
    this.#known = at.known;
    this.#end = at.offset;
  }

  static async at(path: string, file: Identified, { offset, midway }: { offset: number; midway: boolean }): Promise<Tail> {
    return new Tail(path, file, { offset, midway, known: await readKnown(file.handle, offset) });
  }

  /** From where it was left; undefined: this is not the file that was read up to there. */
  static async resume(path: string, file: Identified, { offset, proof, midway }: Position): Promise<Tail | undefined> {
    if (file.size < offset) return undefined;
    const known = await readKnown(file.handle, offset);
    return proofOf(known) === proof ? new Tail(path, file, { offset, midway, known }) : undefined;
  }

  /** What was added; undefined: what was read before is not there any more. The bytes are good until the next read into the buffer. */
  async read(buffer: Buffer): Promise<{ bytes: Buffer; full: boolean; links: number } | undefined> {
    const stat = await this.#handle.stat({ bigint: true });
    const size = Number(stat.size);
    const links = Number(stat.nlink);
    const { head, last } = this.#known;
    if (size < this.offset) return undefined;
    if (size === this.offset && stat.mtimeNs === this.#modified) return { bytes: buffer.subarray(0, 0), full: false, links };
    const length = last.length + pieceBytesMax;
    const { bytesRead } = await this.#handle.read(buffer, 0, length, this.offset - last.length);
    if (!buffer.subarray(0, Math.min(bytesRead, last.length)).equals(last)) return undefined;
    if (this.offset > last.length && !(await readFully(this.#handle, 0, head.length)).equals(head)) return undefined;
    this.#modified = stat.mtimeNs;
    const bytes = buffer.subarray(last.length, bytesRead);
    if (this.offset + bytes.length > this.#end) this.grewAt = performance.now();
    this.#end = this.offset + bytes.length;
    return { bytes, full: bytesRead === length, links };
  }

  advance(bytes: Buffer, midway: boolean): void {
    const { head, last } = this.#known;
    if (bytes.length > 0) this.#known = { head: grown(head, bytes), last: latest(last, bytes) };
    this.offset += bytes.length;
    this.midway = midway;
  }

  position(seen: number): Position {
    const { path, offset, midway } = this;
    return { path, offset, midway, proof: proofOf(this.#known), seen };
  }

  /** Whether another file that begins with these bytes can be a copy of this one. */
  beginsLike(bytes: Buffer): boolean {
    const { head } = this.#known;
    const length = Math.min(head.length, bytes.length);
    return length > 0 && head.subarray(0, length).equals(bytes.subarray(0, length));
  }

  /** All of it was replaced: it is read from its start. */
  rewind(): void {
    this.offset = 0;
    this.#end = 0;
    this.midway = false;
    this.#modified = -1n;
    this.#known = nothing;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** The bytes before a position: the first ones, and the last ones. */
interface Known {
  head: Buffer;
  last: Buffer;
}

const nothing: Known = { head: Buffer.alloc(0), last: Buffer.alloc(0) };

async function readKnown(handle: FileHandle, offset: number): Promise<Known> {
  const length = Math.min(offset, knownBytesMax);
  return { head: await readFully(handle, 0, length), last: await readFully(handle, offset - length, length) };
}

/** Fewer bytes when the file has no more. */
async function readFully(handle: FileHandle, from: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = length === 0 ? { bytesRead: 0 } : await handle.read(buffer, 0, length, from);
  return buffer.subarray(0, bytesRead);
}

function grown(head: Buffer, bytes: Buffer): Buffer {
  if (head.length === knownBytesMax) return head;
  return Buffer.concat([head, bytes.subarray(0, knownBytesMax - head.length)]);
}

function latest(last: Buffer, bytes: Buffer): Buffer {
  if (bytes.length >= knownBytesMax) return Buffer.from(bytes.subarray(bytes.length - knownBytesMax));
  const joined = Buffer.concat([last, bytes]);
  return joined.length > knownBytesMax ? Buffer.from(joined.subarray(joined.length - knownBytesMax)) : joined;
}

/** A position in bytes that can only be read from their start, such as those of a compressed file. */
export class Passing {
  offset: number;
  midway: boolean;
  readonly #path: string;
  #known = nothing;
  #at = 0;

  constructor({ path, offset, midway }: Position) {
    this.#path = path;
    this.offset = offset;
    this.midway = midway;
  }

  /** The part of these bytes that lies behind the position. */
  pass(bytes: Buffer): Buffer {
    const before = bytes.subarray(0, Math.max(0, this.offset - this.#at));
    this.#at += before.length;
    this.#learn(before);
    return bytes.subarray(before.length);
  }

  /** Whether what was passed is what was read before. */
  proves(proof: string): boolean {
    return this.#at === this.offset && proofOf(this.#known) === proof;
  }

  advance(bytes: Buffer, midway: boolean): void {
    this.#learn(bytes);
    this.offset += bytes.length;
    this.#at += bytes.length;
    this.midway = midway;
  }

  position(seen: number): Position {
    const { offset, midway } = this;
    return { path: this.#path, offset, midway, proof: proofOf(this.#known), seen };
  }

  #learn(bytes: Buffer): void {
    if (bytes.length > 0) this.#known = { head: grown(this.#known.head, bytes), last: latest(this.#known.last, bytes) };
  }
}

function proofOf({ head, last }: Known): string {
  return head.length === 0 ? "" : createHash("sha256").update(head).update("|").update(last).digest("base64url").slice(0, 22);
}
