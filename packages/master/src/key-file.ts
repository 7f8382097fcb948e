/**
 * What only the master may read, on disk, mode 0600, made at first start: its key pair, the text that makes marks its own, and what goes beside
 * them.
 */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { systemCode } from "@needfire/shared/errors";
import { formatKeyFile, type KeyPair, parseKeyFile } from "@needfire/shared/identity";
import { placeFile } from "./place-file.ts";

/** Reads the pair at `file`, or makes one with `generate`. Throws `STATE_UNSAFE`. */
export function loadKeyPair(file: string, generate: () => KeyPair): KeyPair {
  try {
    return parseKeyFile(file, readFileSync(file, "utf8"), statSync(file).mode);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
  const pair = generate();
  writeSecretFile(file, formatKeyFile(pair));
  return pair;
}

/** The text at `file`, which nobody else may read; made with `generate` when there is none. */
export function loadSecretText(file: string, generate: () => string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
  const text = generate();
  writeSecretFile(file, text);
  return text;
}

/** Writes a file that nobody else may read. */
export function writeSecretFile(file: string, content: string | Buffer): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  placeFile(file, content);
}
