/**
 * Gives a file its content in one step: written beside its place, synced, and only then given its name. Whatever happens, who reads it finds all
 * of the old or all of the new, and what is left beside it after a crash has a name of its own.
 */
import { randomBytes } from "node:crypto";
import { closeSync, fchmodSync, fchownSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { syncDirectoryOf } from "./sync-path.ts";

export interface Placing {
  /** The mode that it gets, exactly (no umask); else only this process's user may read it. */
  mode?: number;
  /** Whose it becomes; else the process's own. */
  owner?: { uid: number; gid: number };
  /** The last look before the new takes the place of the old: what it throws leaves the old. */
  lastLook?(): void;
}

/** Throws what the file system says (`ENOSPC`, `EACCES`, ...), and what `lastLook` throws; then the place is as it was. */
export function placeFile(file: string, content: string | Uint8Array, { mode = 0o600, owner, lastLook }: Placing = {}): void {
  const temporary = join(dirname(file), `.${basename(file).slice(0, 200)}.needfire-${randomBytes(6).toString("hex")}`);
  try {
    const descriptor = openSync(temporary, "wx", 0o600);
    try {
      writeFileSync(descriptor, content);
      // The owner first: a change of owner clears the set-user-id bits.
      if (owner !== undefined && !isOwn(owner)) fchownSync(descriptor, owner.uid, owner.gid);
      fchmodSync(descriptor, mode);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    lastLook?.();
    renameSync(temporary, file);
  } finally {
    rmSync(temporary, { force: true });
  }
  syncDirectoryOf(file);
}

function isOwn({ uid, gid }: { uid: number; gid: number }): boolean {
  return uid === process.getuid?.() && gid === process.getgid?.();
}
