/**
 * Finds what was rotated away: what a position belongs to when its file is not at its path any more, and whole files that came and went while
 * nobody looked. What it finds is followed on, or read at once where it is compressed; what it does not find is told as lost.
 */
import { stat } from "node:fs/promises";
import type { LogLostData } from "@needfire/shared/beacons/log";
import { errorText } from "@needfire/shared/errors";
import type { FollowMemory } from "./follow-memory.ts";
import { beginningOfPacked, type Sibling, siblingsOf, unpacked } from "./follow-siblings.ts";
import {
  beginningOf,
  type Identified,
  identityOf,
  Passing,
  type Piece,
  pieceBytesMax,
  type Position,
  Tail,
  type Taken,
} from "./follow-tail.ts";

/** The kernel's time stamps of files may lie so far behind the clock. */
export const stampMs = 20;
/** So often it is looked anew for what moved on to another name meanwhile. */
const searchesMax = 10;

/** `other`: it is not what the position belongs to. `moved`: nor what it was when it was listed. */
type Found = "found" | "other" | "moved";

/** Whoever follows the files. */
export interface Follower {
  /** Undefined: it is not there, or followed already. */
  open(path: string): Promise<Identified | "unreadable" | undefined>;
  /** From now on it is followed. */
  add(tail: Tail): void;
  /** Emits what is in a piece, within this very turn. */
  take(piece: Piece): Taken;
  lost(position: Position, reason: LogLostData["reason"], message?: string): void;
}

export class Rests {
  readonly #follower: Follower;
  readonly #memory: FollowMemory;
  /** By identity, what is followed. */
  readonly #tails: ReadonlyMap<string, Tail>;
  readonly #signal: AbortSignal;

  constructor(
    follower: Follower,
    { memory, tails, signal }: { memory: FollowMemory; tails: ReadonlyMap<string, Tail>; signal: AbortSignal },
  ) {
    this.#follower = follower;
    this.#memory = memory;
    this.#tails = tails;
    this.#signal = signal;
  }

  /** Whether a file that begins so can be a copy of one that is followed. */
  isCopy(beginning: Buffer): boolean {
    return [...this.#tails.values()].some((tail) => tail.beginsLike(beginning));
  }

  /** Reads on in the newest copy of a file that was written anew; `claimed` is called in the turn in which the position becomes the copy's. */
  findCopy(tail: Tail, before: Position, claimed: (copy: Sibling) => void): Promise<boolean> {
    return this.#search(tail.path, async (siblings) => {
      const copies = siblings.filter(({ identity }) => before.offset > 0 && identity !== tail.identity && !this.#tails.has(identity));
      return this.#firstOf(copies.toReversed(), before, claimed);
    });
  }

  /** Whole files that came and were rotated away between two looks. */
  async readMissed(path: string, since: number): Promise<void> {
    await this.#search(path, async (siblings) => {
      const current = await identityAt(path);
      for (const one of siblings) {
        const { identity, born, modified } = one;
        if (identity === current || this.#tails.has(identity) || this.#memory.rows.has(identity) || this.#memory.isDone(one)) continue;
        if (modified < since - stampMs || born < since - stampMs) continue;
        const read = await this.#readRest(one, { path, offset: 0, proof: "", midway: false, seen: since }, () => undefined);
        if (read === "moved") return read;
      }
      return "found";
    });
  }

  /** A file that bears another name by now than it was listed with is looked for anew. */
  async #search(path: string, among: (siblings: Sibling[]) => Promise<Found>): Promise<boolean> {
    for (let times = 0; times < searchesMax && !this.#signal.aborted; times++) {
      const found = await among(await siblingsOf(path));
      if (found !== "moved") return found === "found";
    }
    return false;
  }

  /** What the positions of before belong to that are not at their path any more. */
  async findRests(): Promise<void> {
    for (const [identity, row] of [...this.#memory.rows]) {
      this.#memory.mayHaveMissed(row);
      await this.findRest(identity, row, "gone");
      if (this.#signal.aborted) return;
    }
    for (const [path, seen] of this.#memory.missed) await this.readMissed(path, seen);
    if (this.#signal.aborted) return;
    this.#memory.foundMissed();
  }

  /** `otherwise`: what became of it when it is not found. */
  async findRest(identity: string, row: Position, otherwise: LogLostData["reason"]): Promise<void> {
    const isFound = await this.#search(row.path, async (siblings) => {
      // Itself under another name before a copy of it, the newest copy before older ones.
      const itself = siblings.filter((one) => one.identity === identity);
      const copies = siblings.filter((one) => one.identity !== identity && row.offset > 0 && !this.#tails.has(one.identity));
      return this.#firstOf([...itself, ...copies.toReversed()], row, (one) => this.#forget(identity, one.identity));
    });
    if (isFound || this.#signal.aborted) return;
    // What came after nothing is a whole file of its own.
    if (row.offset > 0) this.#follower.lost(row, otherwise);
    this.#forget(identity, undefined);
  }

  /** Reads on in the first of them that a position belongs to. */
  async #firstOf(siblings: readonly Sibling[], row: Position, claimed: (sibling: Sibling) => void): Promise<Found> {
    for (const one of siblings) {
      const read = await this.#readRest(one, row, () => claimed(one));
      if (read !== "other") return read;
    }
    return "other";
  }

  #forget(identity: string, found: string | undefined): void {
    this.#memory.rows.delete(identity);
    if (found !== identity && !this.#tails.has(identity)) this.#memory.set(identity, undefined);
  }

  /** `claimed` is called in the turn in which the position becomes one of this file. */
  async #readRest(sibling: Sibling, row: Position, claimed: () => void): Promise<Found> {
    const file = await this.#follower.open(sibling.path);
    if (file === "unreadable" || (file === undefined && this.#tails.has(sibling.identity))) return "other";
    if (file === undefined) return "moved";
    const tail = await this.#restOf(file, sibling, row, claimed).catch(async (error: unknown) => {
      await file.handle.close();
      throw error;
    });
    if (tail === undefined || typeof tail === "string") await file.handle.close();
    if (tail === undefined) return "other";
    if (typeof tail === "string") return tail;
    tail.rotated = true;
    this.#follower.add(tail);
    claimed();
    return "found";
  }

  /** A file that is written to by itself is followed; a compressed one is read here. */
  async #restOf(file: Identified, sibling: Sibling, row: Position, claimed: () => void): Promise<Tail | Found | undefined> {
    if (file.identity !== sibling.identity) return "moved";
    if (row.proof === "" && this.isCopy(await (sibling.packed ? beginningOfPacked(sibling, file) : beginningOf(file)))) return "other";
    return sibling.packed ? this.#readPacked(file, sibling, row, claimed) : Tail.resume(row.path, file, row);
  }

  async #readPacked(file: Identified, sibling: Sibling, row: Position, claimed: () => void): Promise<Found> {
    const passing = new Passing(row);
    let rest: Buffer = Buffer.alloc(0);
    let proved = false;
    const prove = () => {
      if (proved || !passing.proves(row.proof)) return proved;
      proved = true;
      this.#memory.set(sibling.identity, passing.position(this.#memory.seen));
      claimed();
      return true;
    };
    try {
      for await (const chunk of unpacked(sibling, file) ?? []) {
        const behind = passing.pass(chunk);
        if (behind.length === 0) continue;
        if (!prove()) return "other";
        rest = Buffer.concat([rest, behind]);
        while (rest.length >= pieceBytesMax) rest = this.#takePacked(sibling, passing, { rest, ended: false });
        if (this.#signal.aborted) return "found";
      }
    } catch (error) {
      if (!proved) return "other";
      this.#follower.lost(
        passing.position(this.#memory.seen),
        "unreadable",
        `${sibling.path} cannot be read to its end: ${errorText(error)}`,
      );
    }
    if (!prove()) return "other";
    this.#takePacked(sibling, passing, { rest, ended: true });
    return "found";
  }

  #takePacked(sibling: Sibling, passing: Passing, { rest, ended }: { rest: Buffer; ended: boolean }): Buffer {
    const { path } = passing.position(0);
    const bytes = rest.subarray(0, pieceBytesMax);
    const taken = this.#follower.take({ path, bytes, midway: passing.midway, full: !ended, ended, idleMs: 0 });
    passing.advance(bytes.subarray(0, taken.bytes), taken.midway);
    // A restart finds the compressed file itself by this.
    this.#memory.set(sibling.identity, ended ? undefined : passing.position(this.#memory.seen));
    if (ended) this.#memory.done(sibling);
    return rest.subarray(taken.bytes);
  }
}

export async function identityAt(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found?.isFile() === true ? identityOf(found) : undefined;
}
