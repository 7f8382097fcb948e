/**
 * Writes a file that an operator owns, as an editor would: in one step, and only over what is known to be in it.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { errorText, NeedfireError, systemCode } from "@needfire/shared/errors";
import { syncDirectoryOf } from "./sync-path.ts";

/**
 * Puts a text in the place of a file whose text must be `expected`: in one step, with its mode and owner. A link stays one. Throws `CONFLICT` when the
 * file is another by now, or cannot be written.
 */
export function replaceFile(file: string, { expected, text }: { expected: string; text: string }): void {
  try {
    const path = realpathSync(file);
    const { mode, uid, gid } = statSync(path);
    const temporary = join(dirname(path), `.${basename(path).slice(0, 200)}.needfire-${randomBytes(6).toString("hex")}`);
    try {
      writeLike(temporary, text, { mode, uid, gid });
      // As late as can be: what somebody writes in this moment is theirs.
      if (readFileSync(path, "utf8") !== expected)
        throw new NeedfireError(
          "CONFLICT",
          `${file} has changed on disk and is not in force as it is: put that right, or away, first (needfire reload)`,
        );
      renameSync(temporary, path);
    } finally {
      rmSync(temporary, { force: true });
    }
    syncDirectoryOf(path);
  } catch (error) {
    if (systemCode(error) === undefined || error instanceof NeedfireError) throw error;
    throw new NeedfireError(
      "CONFLICT",
      `the master cannot write ${file}: ${errorText(error)}. Its user needs to own the file and its directory`,
    );
  }
}

function writeLike(path: string, text: string, { mode, uid, gid }: { mode: number; uid: number; gid: number }): void {
  const descriptor = openSync(path, "wx", 0o600);
  try {
    writeFileSync(descriptor, text);
    if (uid !== process.getuid?.() || gid !== process.getgid?.()) fchownSync(descriptor, uid, gid);
    fchmodSync(descriptor, mode & 0o7777);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
