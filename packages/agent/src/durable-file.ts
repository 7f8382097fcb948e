/**
 * Replaces a file so that, whatever happens, either the old or the new one is there: a temporary file beside it, synced, renamed over
 * it, and the directory synced. Small contents are written and synced without leaving the event loop's turn, since a hop through the
 * thread pool costs as much as the disk does; large ones do not hold it up.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsync,
  fsyncSync,
  openSync,
  renameSync,
  unlinkSync,
  write,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";

const sync = promisify(fsync);
const writeElsewhere = promisify(write);

/** Up to this size a file is written and synced at once. */
const directBytesMax = 262_144;

/** How the names of temporary files for `target` begin. */
export function temporaryPrefix(target: string): string {
  return `.${basename(target).slice(0, 200)}.needfire-`;
}

export interface Placement {
  /** The mode that it gets, exactly (no umask). */
  mode: number;
  /** Whose it becomes; without it, the process's own. */
  owner?: { uid: number; gid: number };
}

/** A file being written that is to take the place of `target`. It ends with `commit` or with `discard`. */
export class DurableFile {
  readonly #target: string;
  readonly #temporary: string;
  #fd: number;
  #written = 0;

  /** Throws what the file system says (`ENOENT`, `ENOSPC`, ...). The name cannot be guessed and must not exist. */
  constructor(target: string) {
    this.#target = target;
    this.#temporary = join(dirname(target), `${temporaryPrefix(target)}${randomBytes(12).toString("hex")}`);
    this.#fd = openSync(this.#temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  }

  async write(bytes: Uint8Array): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const rest = bytes.length - done;
      done +=
        rest <= directBytesMax
          ? writeSync(this.#fd, bytes, done, rest)
          : (await writeElsewhere(this.#fd, bytes, done, directBytesMax)).bytesWritten;
    }
    this.#written += done;
  }

  /** After this the new content is what a reader of `target` finds, and what a machine that lost power comes back with. */
  async commit({ mode, owner }: Placement): Promise<void> {
    const now = fstatSync(this.#fd);
    // The owner first: a change of owner clears the set-user-id bits.
    if (owner !== undefined && (now.uid !== owner.uid || now.gid !== owner.gid)) fchownSync(this.#fd, owner.uid, owner.gid);
    fchmodSync(this.#fd, mode);
    if (this.#written <= directBytesMax) fsyncSync(this.#fd);
    else await sync(this.#fd);
    renameSync(this.#temporary, this.#target);
    this.#close();
    await syncDirectory(dirname(this.#target));
  }

  /** Leaves nothing behind. Does nothing after `commit`. */
  discard(): void {
    if (this.#fd < 0) return;
    this.#close();
    try {
      unlinkSync(this.#temporary);
    } catch {
      // Renamed already, or the directory went away with it.
    }
  }

  #close(): void {
    closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** Writes all of a file durably. */
export async function writeDurably(target: string, bytes: Uint8Array, placement: Placement): Promise<void> {
  const file = new DurableFile(target);
  try {
    await file.write(bytes);
    await file.commit(placement);
  } finally {
    file.discard();
  }
}

export async function syncDirectory(directory: string): Promise<void> {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await sync(fd);
  } finally {
    closeSync(fd);
  }
}
