/**
 * The values of secrets that ever left the master, kept so that what comes back late, or shows an old one, is still masked when the value was
 * changed and the master started again. On disk they are under a key that is made of the master's own (AES-256-GCM): who can read that can be
 * the master. One that is not in force any more goes when everything that the journal has is younger.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Logger } from "pino";
import { errorText, systemCode } from "@needfire/shared/errors";
import { writeSecretFile } from "./key-file.ts";

export interface PastSecretsOptions {
  file: string;
  /** The master's secret key. */
  key: string;
  /** After a value is in force no more. */
  keepMs: number;
  log: Logger;
}

/** `ended`: when it was first seen to be in force no more, ms since the epoch. */
type Entry = [value: string, ended: number | null];

const cipher = "aes-256-gcm";
const [ivBytes, tagBytes] = [12, 16];
/** The oldest go first. */
const entriesMax = 1_000;

export class PastSecrets {
  readonly #options: PastSecretsOptions;
  readonly #key: Buffer;
  readonly #ended = new Map<string, number | null>();
  /** What is in memory and not in the file. */
  #isUnkept = false;

  /** Reads the file, if there is one. */
  constructor(options: PastSecretsOptions) {
    this.#options = options;
    this.#key = Buffer.from(hkdfSync("sha256", options.key, "", "needfire past secrets", 32));
    for (const [value, ended] of this.#read()) this.#ended.set(value, ended);
  }

  values(): Iterable<string> {
    return this.#ended.keys();
  }

  /** To be called before they go out: kept, then sent. A disk that takes nothing holds no remedy up; it is tried again. */
  sent(values: readonly string[]): void {
    for (const value of values) {
      if (this.#ended.get(value) === null) continue;
      this.#ended.set(value, null);
      this.#isUnkept = true;
    }
    this.#keep();
  }

  /** Tells which values are in force now; of the others those go whose time is over. */
  settle(inForce: ReadonlySet<string>, now: number): void {
    for (const [value, ended] of this.#ended) {
      const isOver = ended !== null && ended + this.#options.keepMs < now;
      const then = inForce.has(value) ? null : (ended ?? now);
      if (then === ended && !isOver) continue;
      if (isOver && then !== null) this.#ended.delete(value);
      else this.#ended.set(value, then);
      this.#isUnkept = true;
    }
    this.#keep();
  }

  #keep(): void {
    if (!this.#isUnkept) return;
    const { file, log } = this.#options;
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= entriesMax) break;
      this.#ended.delete(oldest);
      log.warn(
        { entriesMax },
        "more values of secrets were sent than are remembered: the oldest is masked no more once the master starts again",
      );
    }
    try {
      writeSecretFile(file, seal(this.#key, JSON.stringify([...this.#ended] satisfies Entry[])));
      this.#isUnkept = false;
    } catch (error) {
      log.warn({ file, error: errorText(error) }, "sent values of secrets could not be noted: after a restart they would not be masked");
    }
  }

  #read(): Entry[] {
    const { file, log } = this.#options;
    try {
      return JSON.parse(unseal(this.#key, readFileSync(file))) as Entry[];
    } catch (error) {
      if (systemCode(error) !== "ENOENT")
        log.error(
          { file, error: errorText(error) },
          "earlier values of secrets cannot be read, and are masked no more where they still appear",
        );
      return [];
    }
  }
}

function seal(key: Buffer, text: string): Buffer {
  const iv = randomBytes(ivBytes);
  const sealing = createCipheriv(cipher, key, iv);
  const sealed = Buffer.concat([sealing.update(text), sealing.final()]);
  return Buffer.concat([iv, sealing.getAuthTag(), sealed]);
}

/** Throws when it was sealed with another key, or is damaged. */
function unseal(key: Buffer, bytes: Buffer): string {
  const [iv, tag, sealed] = [bytes.subarray(0, ivBytes), bytes.subarray(ivBytes, ivBytes + tagBytes), bytes.subarray(ivBytes + tagBytes)];
  const unsealing = createDecipheriv(cipher, key, iv, { authTagLength: tagBytes }).setAuthTag(tag);
  return Buffer.concat([unsealing.update(sealed), unsealing.final()]).toString("utf8");
}
