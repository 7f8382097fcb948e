/**
 * What a log became when it was rotated: the files beside it that bear its name and a number, a date or the ending of a compression. They
 * are where the rest of it is found that was not read before.
 */
import { type FileHandle, readdir, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { pipeline } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { type Identified, identityOf } from "./follow-tail.ts";

/** Of one log; the newest count. */
const siblingsMax = 200;
/** A rotation takes some ms; one that goes on for longer is looked at as it is. */
const listingsMax = 10;
const chunkBytes = 65_536;
/** One that unpacks to more is no log. */
const unpackedBytesMax = 4 * 2 ** 30;

export interface Sibling {
  path: string;
  identity: string;
  /** ms since the epoch; 0: not known. */
  born: number;
  modified: number;
  packed: boolean;
}

const unpackers: Record<string, () => NodeJS.ReadWriteStream> = { ".gz": createGunzip, ".zst": createZstdDecompress };
const packedEndings = [".gz", ".zst", ".xz", ".bz2", ".lz4", ".zip", ".Z"];

/** Whether a file that a glob found is one that was rotated, so that what is in it was told under another name. */
export function isRotated(path: string): boolean {
  return packedEndings.includes(extname(path)) || /[.-](\d{1,4}|\d{8}(-?\d{2,10})?|old|bak)$|~$/.test(path);
}

/** Oldest first. */
export async function siblingsOf(path: string): Promise<Sibling[]> {
  let listed = await list(path);
  // While a rotation is under way the names move on from one file to the next, and one may be in no listing.
  for (let times = 0; times < listingsMax; times++) {
    const again = await list(path);
    if (isSame(listed, again)) break;
    listed = again;
  }
  return listed;
}

async function list(path: string): Promise<Sibling[]> {
  const bearsItsName = siblingNames(path);
  const names = (await readdir(dirname(path)).catch(() => [])).filter(bearsItsName);
  const found = await Promise.all(names.slice(0, 10 * siblingsMax).map((name) => sibling(join(dirname(path), name))));
  return found
    .filter((one) => one !== undefined)
    .sort(byAge)
    .slice(-siblingsMax);
}

/** Files that were written in one tick of the kernel's clock are as old by their time: then their names tell, where the higher number is older. */
function byAge(a: Sibling, b: Sibling): number {
  return a.modified - b.modified || rotations(b.path) - rotations(a.path) || (a.path < b.path ? -1 : 1);
}

/** How often it was rotated, where its name says so: `app.log.2.gz`, `app-2.log`; a date is no such number. */
function rotations(path: string): number {
  return Number(/(?<!\d)[.\-_](\d{1,4})(?=\D*(\.bz2|\.lz4)?$)/.exec(basename(path))?.[1] ?? 0);
}

function isSame(one: readonly Sibling[], other: readonly Sibling[]): boolean {
  return one.length === other.length && one.every(({ path, identity }, at) => path === other[at]!.path && identity === other[at]!.identity);
}

/** What is in a compressed sibling that was opened; undefined: no way to unpack it is known. The file stays open. */
export function unpacked({ path }: Sibling, { handle }: Identified): AsyncIterable<Buffer> | undefined {
  const unpacker = unpackers[extname(path)];
  return unpacker === undefined ? undefined : capped(bytesOf(handle), unpacker());
}

/** The first bytes of what is in it; empty when they cannot be read. */
export async function beginningOfPacked(sibling: Sibling, file: Identified): Promise<Buffer> {
  try {
    for await (const chunk of unpacked(sibling, file) ?? []) return chunk;
  } catch {
    // Then nothing of it is told either.
  }
  return Buffer.alloc(0);
}

async function* capped(packed: AsyncIterable<Buffer>, unpacker: NodeJS.ReadWriteStream): AsyncIterable<Buffer> {
  let length = 0;
  // Errors of either come out of the loop below.
  for await (const chunk of pipeline(packed, unpacker, () => undefined)) {
    length += (chunk as Buffer).length;
    if (length > unpackedBytesMax) throw new Error(`unpacks to more than ${unpackedBytesMax} bytes`);
    yield chunk as Buffer;
  }
}

/** From its start, wherever it has been read; a stream would close it. */
async function* bytesOf(handle: FileHandle): AsyncIterable<Buffer> {
  for (let at = 0; ;) {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(chunkBytes), 0, chunkBytes, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** `app.log` becomes `app.log.1`, `app.log-20260301.gz`; with logrotate's `extension` also `app-20260301.log`. */
function siblingNames(path: string): (name: string) => boolean {
  const name = basename(path);
  const extension = extname(name);
  const stem = name.slice(0, name.length - extension.length);
  return (other) => {
    if (other.startsWith(name)) return /^[.\-_~]/.test(other.slice(name.length));
    if (extension === "" || !other.startsWith(stem)) return false;
    const rest = other.slice(stem.length);
    const unpackedRest = packedEndings.includes(extname(rest)) ? rest.slice(0, -extname(rest).length) : rest;
    return unpackedRest.endsWith(extension) && /^[.\-_]\d[\d.\-_]*$/.test(unpackedRest.slice(0, -extension.length));
  };
}

async function sibling(path: string): Promise<Sibling | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  if (found?.isFile() !== true) return undefined;
  const packed = packedEndings.includes(extname(path));
  return { path, identity: identityOf(found), born: Number(found.birthtimeMs), modified: Number(found.mtimeMs), packed };
}
