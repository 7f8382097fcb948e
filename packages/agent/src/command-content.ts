/**
 * The content that a command brings: from the master, its digest checked. Held in memory while the command runs, and kept nowhere.
 */
import { createHash } from "node:crypto";
import { contentBytesMax } from "@needfire/shared/actions/spec";
import { NeedfireError } from "@needfire/shared/errors";
import type { FetchPiece } from "./managed-files.ts";

export interface Announced {
  digest: string;
  size: number;
}

/** Throws `PEER_GONE`, `NOT_FOUND`, `BLOB_MISMATCH`, and the signal's reason. */
export async function fetchContent({ digest, size }: Announced, fetch: FetchPiece, signal: AbortSignal): Promise<Buffer> {
  if (size > contentBytesMax) throw new NeedfireError("BLOB_MISMATCH", `content of ${size} bytes is over the limit of ${contentBytesMax}`);
  const content = Buffer.alloc(size);
  for (let offset = 0; offset < size;) {
    signal.throwIfAborted();
    const { bytes, total } = await fetch(digest, offset);
    if (total !== size || bytes.length === 0 || offset + bytes.length > size)
      throw new NeedfireError("BLOB_MISMATCH", `the master has ${total} bytes of ${digest.slice(0, 12)} where the command says ${size}`);
    content.set(bytes, offset);
    offset += bytes.length;
  }
  if (createHash("sha256").update(content).digest("hex") === digest) return content;
  throw new NeedfireError("BLOB_MISMATCH", `content ${digest.slice(0, 12)}: its bytes have another digest`);
}
