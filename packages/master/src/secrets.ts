/**
 * The values of secrets: everything else has marks in their place, which become values when a command goes out, and nowhere else. A mark holds a
 * text that only this master knows, so that nobody can make one and be handed a secret for it. What comes in, and what people are shown, is
 * masked: the values in force, those of before in this life, and those that ever went out (past-secrets.ts).
 */
import { randomBytes } from "node:crypto";
import type { Logger } from "pino";
import { patternBytesMin } from "@needfire/shared/byte-search";
import { Masking } from "@needfire/shared/masking";
import { mapTexts, marksIn, secretMark, unmark } from "@needfire/shared/secret";
import { loadSecretText } from "./key-file.ts";
import { maskFrame } from "./mask-frame.ts";
import type { PastSecrets } from "./past-secrets.ts";

/** Of this life, in force or not; the oldest go first. */
const valuesMax = 1_000;

/** `secrets`: the values that are in the arguments, so that whoever gets them can mask what comes of it. */
export type Revealed = { ok: true; args: Record<string, unknown>; secrets: string[] } | { ok: false; reason: string };

/** Reads the text that makes marks this master's own, or makes it. */
export function loadNonce(file: string): string {
  return loadSecretText(file, () => randomBytes(24).toString("base64url"));
}

export interface SecretsOptions {
  nonce: string;
  past: Pick<PastSecrets, "values" | "sent" | "settle">;
  log: Logger;
}

export class Secrets {
  readonly #options: SecretsOptions;
  readonly #byMark = new Map<string, string>();
  readonly #values = new Set<string>();
  /** Of all values; undefined: to be made. */
  #masking: Masking | undefined;

  constructor(options: SecretsOptions) {
    this.#options = options;
  }

  /** The mark of a secret, by its name; it stands for this value from the time on at which `know` is called. */
  mark(name: string): string {
    return secretMark(name, this.#options.nonce);
  }

  know(name: string, value: string): void {
    const { log } = this.#options;
    this.#byMark.set(this.mark(name), value);
    if (this.#values.delete(value)) return void this.#values.add(value);
    this.#values.add(value);
    this.#masking = undefined;
    if (Buffer.byteLength(value.trim()) < patternBytesMin)
      log.warn(
        { secret: name },
        `a secret of fewer than ${patternBytesMin} bytes is masked in what its own commands give back, and nowhere else`,
      );
    for (const oldest of this.#values) {
      if (this.#values.size <= valuesMax) break;
      this.#values.delete(oldest);
      log.warn({ valuesMax }, "there are more values of secrets than are masked: the oldest is masked no more");
    }
  }

  /** Tells what is in force now; to be called when reactors were read. */
  settle(now: number): void {
    this.#options.past.settle(new Set(this.#byMark.values()), now);
    this.#masking = undefined;
  }

  /** A command's arguments as its host needs them. To be kept nowhere. */
  reveal(args: Record<string, unknown>): Revealed {
    const marks = marksIn(args);
    if (marks.length === 0) return { ok: true, args, secrets: [] };
    const unknown = marks.filter((mark) => !this.#byMark.has(mark));
    if (unknown.length > 0) return { ok: false, reason: `the master does not know a secret any more that it needs${nameOf(unknown[0]!)}` };
    const secrets = marks.map((mark) => this.#byMark.get(mark)!);
    this.#options.past.sent(secrets);
    return { ok: true, args: unmark(args, this.#byMark), secrets };
  }

  /** A JSON value with marks in place of the secrets in force that somebody wrote into it: `reveal` puts back what was there. */
  conceal<T>(value: T): T {
    const marks = new Map([...this.#byMark].map(([mark, secret]) => [secret, mark]));
    const long = [...marks.keys()].filter((secret) => Buffer.byteLength(secret.trim()) >= patternBytesMin);
    if (long.length === 0) return value;
    // In one go, the longest first: one may be a part of another, or of a mark.
    const pattern = new RegExp(
      long
        .toSorted((a, b) => b.length - a.length)
        .map((secret) => secret.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"))
        .join("|"),
      "g",
    );
    return mapTexts(value, (text) => text.replace(pattern, (secret) => marks.get(secret) ?? secret)) as T;
  }

  /** A batch of events as an agent sent it, without secrets. */
  maskFrame<F extends Uint8Array>(frame: F): F | Buffer {
    return maskFrame(this.#all(), frame);
  }

  /** A JSON value without secrets. */
  mask<T>(value: T): T {
    return this.#all().mask(value);
  }

  /** What people are shown, which is JSON as a rule, without secrets. Names by which things are asked for stay: they have a grammar. */
  maskShown(text: string): string {
    const masking = this.#all();
    if (!masking.finds(text)) return text;
    try {
      return JSON.stringify(maskBut(masking, JSON.parse(text)));
    } catch {
      return masking.mask(text);
    }
  }

  #all(): Masking {
    return (this.#masking ??= new Masking([...this.#values, ...this.#options.past.values()]));
  }
}

function maskBut(masking: Masking, value: unknown, of = ""): unknown {
  if (typeof value !== "object" || value === null) return addresses.has(of) ? value : masking.mask(value);
  if (Array.isArray(value)) return value.map((item) => maskBut(masking, item, of));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [masking.mask(key), maskBut(masking, item, key)]));
}

/** What things are asked for by. */
const addresses = new Set([
  "id",
  "agent",
  "reactor",
  "task",
  "execution",
  "event",
  "cause",
  "type",
  "source",
  "beacon",
  "action",
  "state",
  "outcome",
]);

function nameOf(mark: string): string {
  const name = /^.secret (\S+) /u.exec(mark)?.[1];
  return name === undefined ? "" : ` (${name})`;
}
