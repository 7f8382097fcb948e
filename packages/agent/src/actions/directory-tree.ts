/**
 * What lies below an open directory, without ever following a link: each directory is opened below the one before. Somebody who swaps a
 * directory for a link meanwhile gets nowhere: it is not opened.
 */
import { closeSync, constants, lstatSync, opendirSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { systemCode } from "@needfire/shared/errors";

/** A regular file. `name`: from the tree's root. `bytes`: what the disk gets back. `modified`: ms since the epoch. */
export interface Looked {
  name: string;
  size: number;
  bytes: number;
  modified: number;
  identity: string;
}

/** A directory on the way. `prefix`: what its entries' names begin with. */
interface Place {
  fd: number;
  prefix: string;
  depth: number;
  crossMounts: boolean;
}

/** Directories below directories; each of them is held open meanwhile. */
const depthMax = 100;

export class Tree {
  readonly fd: number;
  readonly #mount: string;

  /** Takes the directory over. */
  constructor(fd: number) {
    this.fd = fd;
    this.#mount = mountOf(fd);
  }

  /** The directory's true name. */
  get name(): string {
    return readlinkSync(`/proc/self/fd/${this.fd}`);
  }

  close(): void {
    closeSync(this.fd);
  }

  /** Gives each entry: a regular file, or undefined for anything else. */
  walk({ crossMounts }: { crossMounts: boolean }): Generator<Looked | undefined> {
    return this.#walk({ fd: this.fd, prefix: "", depth: 0, crossMounts });
  }

  *#walk({
    fd,
    prefix,
    depth,
    crossMounts,
  }: {
    fd: number;
    prefix: string;
    depth: number;
    crossMounts: boolean;
  }): Generator<Looked | undefined> {
    const entries = opendirSync(`/proc/self/fd/${fd}`);
    try {
      for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
        const name = `${prefix}${entry.name}`;
        if (!entry.isDirectory()) yield lookAt(`/proc/self/fd/${fd}/${entry.name}`, name);
        else {
          yield undefined;
          yield* this.#below(entry.name, { fd, prefix: `${name}/`, depth, crossMounts });
        }
      }
    } finally {
      entries.closeSync();
    }
  }

  *#below(directory: string, { fd, depth, ...more }: Place): Generator<Looked | undefined> {
    const below = depth < depthMax ? openDirectory(fd, directory) : undefined;
    if (below === undefined) return;
    try {
      if (more.crossMounts || mountOf(below) === this.#mount) yield* this.#walk({ fd: below, depth: depth + 1, ...more });
    } finally {
      closeSync(below);
    }
  }
}

/** The directory at the end of the parts; throws what the file system says, `ELOOP` or `ENOTDIR` for a link. */
export function openBelow(root: number, parts: readonly string[]): number {
  let fd = openSync(`/proc/self/fd/${root}/.`, directoryOnly);
  for (const part of parts) {
    try {
      const next = openSync(`/proc/self/fd/${fd}/${part}`, directoryOnly);
      closeSync(fd);
      fd = next;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }
  return fd;
}

const directoryOnly = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Undefined: it is gone, is a link by now, or may not be read. */
function openDirectory(fd: number, name: string): number | undefined {
  try {
    return openSync(`/proc/self/fd/${fd}/${name}`, directoryOnly);
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}

function lookAt(entry: string, name: string): Looked | undefined {
  const stat = lstatSync(entry, { bigint: true, throwIfNoEntry: false });
  if (stat?.isFile() !== true) return undefined;
  const bytes = stat.nlink > 1n ? 0 : Number(stat.blocks) * 512;
  return { name, size: Number(stat.size), bytes, modified: Number(stat.mtimeMs), identity: `${stat.dev}:${stat.ino}` };
}

/** The mount that an open directory is on: a bind mount has the same device as what it shows. */
function mountOf(fd: number): string {
  return /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "";
}
