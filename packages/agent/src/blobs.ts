/**
 * Managed content on disk: files named by their SHA-256, 0600 in a directory of 0700. Nothing comes in or goes out whose digest does
 * not fit; a write is complete and durable, or it did not happen.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { readdir, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { NeedfireError, systemCode } from "@needfire/shared/errors";
import { digestPattern } from "@needfire/shared/ids";
import { DurableFile } from "./durable-file.ts";

const isDigest = new RegExp(digestPattern);

/** One blob on its way in. Ends with `finish` or `abort`. */
export interface BlobWriter {
  append(chunk: Uint8Array): Promise<void>;
  /** Throws `BLOB_MISMATCH` when what came is not what was announced; nothing is kept then. */
  finish(): Promise<void>;
  abort(): Promise<void>;
}

export class BlobStore {
  readonly #dir: string;
  #writers = 0;

  constructor(dir: string) {
    this.#dir = dir;
  }

  has(digest: string): boolean {
    return existsSync(this.#path(digest));
  }

  /** Throws `NOT_FOUND`, or `BLOB_MISMATCH` when the disk gave something else back; such a blob is removed. */
  async read(digest: string): Promise<Buffer> {
    const path = this.#path(digest);
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (cause) {
      if (systemCode(cause) !== "ENOENT") throw cause;
      throw new NeedfireError("NOT_FOUND", `managed content ${digest.slice(0, 12)} is not on this host`, { cause });
    }
    if (createHash("sha256").update(bytes).digest("hex") === digest) return bytes;
    await unlink(path);
    throw new NeedfireError("BLOB_MISMATCH", `managed content ${digest.slice(0, 12)} was damaged on this host's disk`);
  }

  writer(digest: string, size: number): BlobWriter {
    const path = this.#path(digest);
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    const file = new DurableFile(path);
    const hash = createHash("sha256");
    let written = 0;
    let open = true;
    this.#writers++;
    const end = () => {
      file.discard();
      if (open) this.#writers--;
      open = false;
    };
    const mismatch = (message: string) => {
      end();
      return new NeedfireError("BLOB_MISMATCH", `content ${digest.slice(0, 12)}: ${message}`);
    };
    return {
      append: async (chunk) => {
        written += chunk.length;
        if (written > size) throw mismatch(`more than the ${size} bytes announced`);
        hash.update(chunk);
        await file.write(chunk);
      },
      finish: async () => {
        if (written !== size) throw mismatch(`${written} bytes instead of ${size}`);
        if (hash.digest("hex") !== digest) throw mismatch("its bytes have another digest");
        try {
          await file.commit({ mode: 0o600 });
        } finally {
          end();
        }
      },
      abort: async () => end(),
    };
  }

  /** Removes what nobody needs, and what a crash left half written. */
  async prune(keep: ReadonlySet<string>): Promise<void> {
    if (!existsSync(this.#dir)) return;
    for (const name of await readdir(this.#dir)) {
      const unneeded = isDigest.test(name) ? !keep.has(name) : this.#writers === 0 && name.includes(".needfire-");
      if (unneeded) await unlink(join(this.#dir, name));
    }
  }

  #path(digest: string): string {
    if (!isDigest.test(digest)) throw new NeedfireError("BAD_REQUEST", "a digest is 64 hexadecimal digits");
    return join(this.#dir, digest);
  }
}
