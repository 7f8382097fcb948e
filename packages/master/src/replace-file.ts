/**
 * Writes a file that an operator owns, as an editor would: in one step, and only over what is known to be in it.
 */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { errorText, NeedfireError, systemCode } from "@needfire/shared/errors";
import { placeFile } from "./place-file.ts";

/**
 * Puts a text in the place of a file whose text must be `expected`: in one step, with its mode and owner. A link stays one. Throws `CONFLICT` when the
 * file is another by now, or cannot be written.
 */
export function replaceFile(file: string, { expected, text }: { expected: string; text: string }): void {
  try {
    const path = realpathSync(file);
    const { mode, uid, gid } = statSync(path);
    // As late as can be: what somebody writes in this moment is theirs.
    const lastLook = () => {
      if (readFileSync(path, "utf8") === expected) return;
      throw new NeedfireError(
        "CONFLICT",
        `${file} has changed on disk and is not in force as it is: put that right, or away, first (needfire reload)`,
      );
    };
    placeFile(path, text, { mode: mode & 0o7777, owner: { uid, gid }, lastLook });
  } catch (error) {
    if (systemCode(error) === undefined || error instanceof NeedfireError) throw error;
    throw new NeedfireError(
      "CONFLICT",
      `the master cannot write ${file}: ${errorText(error)}. Its user needs to own the file and its directory`,
    );
  }
}
