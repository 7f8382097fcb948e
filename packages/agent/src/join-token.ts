/**
 * The join token between `agent join` and the first welcome: a file of its own, mode 0600, removed when it has done its work.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemCode } from "@needfire/shared/errors";
import { writeSecretFile } from "./key-file.ts";

const tokenFile = (state: string) => join(state, "join-token");

export function writeJoinToken(state: string, token: string): void {
  writeSecretFile(tokenFile(state), `${token}\n`);
}

export function readJoinToken(state: string): string | undefined {
  try {
    return readFileSync(tokenFile(state), "utf8").trim();
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

export function removeJoinToken(state: string): void {
  rmSync(tokenFile(state), { force: true });
}
