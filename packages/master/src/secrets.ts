/**
 * The values of secrets, which are nowhere but in memory: everything else has marks in their place. A mark holds a text that only this
 * master knows, so that nobody can make one and be handed a secret for it.
 */
import { randomBytes } from "node:crypto";
import { hideMarks, mask, marksIn, secretMark, unmark } from "@needfire/shared/secret";
import { loadSecretText } from "./key-file.ts";

/** Values of before are masked, too: a command that had one may still answer. */
const valuesMax = 10_000;

export type Revealed = { ok: true; args: Record<string, unknown> } | { ok: false; reason: string };

/** Reads the text that makes marks this master's own, or makes it. */
export function loadNonce(file: string): string {
  return loadSecretText(file, () => randomBytes(24).toString("base64url"));
}

export class Secrets {
  readonly #nonce: string;
  readonly #byMark = new Map<string, string>();
  readonly #values = new Set<string>();

  constructor(nonce: string) {
    this.#nonce = nonce;
  }

  /** The mark of a secret, by its name; it stands for this value from the time on at which `know` is called. */
  mark(name: string): string {
    return secretMark(name, this.#nonce);
  }

  know(name: string, value: string): void {
    this.#byMark.set(this.mark(name), value);
    this.#values.delete(value);
    this.#values.add(value);
    for (const oldest of this.#values) {
      if (this.#values.size <= valuesMax) break;
      this.#values.delete(oldest);
    }
  }

  /** A command's arguments as its host needs them. To be kept nowhere. */
  reveal(args: Record<string, unknown>): Revealed {
    const marks = marksIn(args);
    if (marks.length === 0) return { ok: true, args };
    const unknown = marks.filter((mark) => !this.#byMark.has(mark));
    if (unknown.length > 0) return { ok: false, reason: `the master does not know a secret any more that it needs${nameOf(unknown[0]!)}` };
    return { ok: true, args: unmark(args, this.#byMark) };
  }

  /** What a host gave back, without what it was given. */
  mask<T>(value: T): T {
    return this.#values.size === 0 ? value : mask(hideMarks(value), this.#values);
  }
}

function nameOf(mark: string): string {
  const name = /^.secret (\S+) /u.exec(mark)?.[1];
  return name === undefined ? "" : ` (${name})`;
}
