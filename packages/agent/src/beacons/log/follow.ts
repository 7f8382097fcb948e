/**
 * Follows files as they are written and rotated, and hands over what was added, in order. The position of each file is kept across restarts,
 * in the turn of the events that came of what lies before it (P1): nothing is told twice, nothing is missed, whichever way the file went:
 * renamed (what is still written to it then is read, too), copied and truncated, compressed, replaced. Where that is not to be had, it says so.
 */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import type { LogLostData } from "@needfire/shared/beacons/log";
import { errorText, systemCode } from "@needfire/shared/errors";
import type { BeaconContext, RunningBeacon } from "../beacon.ts";
import { compileScope, type FileScope } from "../file/file-scope.ts";
import { walk } from "../file/file-walk.ts";
import { type FileWatch, startWatch } from "../file/file-watch.ts";
import { beginningOfPacked, isRotated, type Sibling, siblingsOf, unpacked } from "./follow-siblings.ts";
import {
  beginningOf,
  beginsLine,
  bufferBytes,
  type Identified,
  identityOf,
  openFile,
  Passing,
  type Piece,
  pieceBytesMax,
  type Position,
  Tail,
  type Taken,
} from "./follow-tail.ts";
import { polled } from "../polled.ts";

/** Each is held open. */
const filesMax = 500;
/** A file that was rotated away is done with when nothing was added to it for so long; one that was deleted holds room on the disk. */
const rotatedQuietMs = 300_000;
const deletedQuietMs = 30_000;
/** Of more than so many rotated files none is held longer than a deleted one. */
const rotatedMax = 50;
/** A position without events is written so often: what lies before it would be read again after a crash, and tell nothing. */
const keepMs = 10_000;
/** So often it is looked anew for what moved on to another name meanwhile. */
const searchesMax = 10;
/** In one look, of one file; then it is the others' turn. */
const turnBytesMax = 16 * 2 ** 20;
/** Notifications of so long a time are one look. */
const gatherMs = 20;
/** The kernel's time stamps of files may lie so far behind the clock. */
const stampMs = 20;
/** Files that were read to their end and are not to be read again; the last ones. */
const doneMax = 100;
/** Everything is looked at when this share of the interval is over; the rest of the time, what the kernel speaks of. */
const wholeShare = 0.8;

export interface FollowOptions {
  paths: readonly string[];
  exclude?: readonly string[];
  from: "start" | "end";
  intervalMs: number;
  /** Of what lies between the rows of several followers of one beacon; each has its own. */
  key?: string;
  /** Positions are multiples of this. */
  recordBytes?: number;
  /** Emits what is in a piece, within this very turn. */
  take(piece: Piece): Taken;
  lost(data: LogLostData): void;
}

/** `other`: it is not what the position belongs to. `moved`: nor what it was when it was listed. */
type Found = "found" | "other" | "moved";

/**
 * `done`: identity and birth of files that were read to their end. `missed`: by path, files that came into being since, and are not known, were
 * never looked at; ms since the epoch. It stands here until they are found: the positions that say the same are forgotten one by one.
 */
interface OwnRow {
  scope: string;
  done: string[];
  missed: Record<string, number>;
}

/** Looks at followed files when the kernel tells of a change, and from time to time; at each of them in this order. */
export function followed(all: readonly FollowedFiles[], context: BeaconContext, interval: string): RunningBeacon {
  let hearing: Promise<unknown> | undefined;
  const { promise: woken, resolve: wakes } = Promise.withResolvers<() => void>();
  const close = async () => void (await Promise.all(all.map((files) => files.close())));
  return polled(context, { interval, hears: wakes, close }, async () => {
    // Before the first look, so that nothing falls between the two.
    await (hearing ??= woken.then((wake) => Promise.all(all.map((files) => files.hear(wake)))));
    for (const files of all) await files.look();
    context.degraded(all.find(({ trouble }) => trouble !== undefined)?.trouble);
  });
}

export class FollowedFiles {
  readonly #options: Required<FollowOptions>;
  readonly #context: BeaconContext;
  readonly #scope: FileScope;
  readonly #buffer = Buffer.alloc(bufferBytes);
  readonly #tails = new Map<string, Tail>();
  readonly #byPath = new Map<string, Tail>();
  readonly #scopeDigest: string;
  readonly #done: Set<string>;
  readonly #troubles = new Map<string, string>();
  readonly #touched = new Set<string>();
  /** Of before this start, not yet found again. */
  #rows: Map<string, Position>;
  readonly #missed: Map<string, number>;
  /** Files that came into being after this are new, and read from their start; ms since the epoch. */
  #lookedAt: number;
  #everythingAt = Number.NEGATIVE_INFINITY;
  #everything = true;
  /** What a position is kept with; see `Position`. */
  #seen = 0;
  #watch: FileWatch | undefined;
  #gathering: NodeJS.Timeout | undefined;
  #again: { at: number; timer: NodeJS.Timeout } | undefined;
  #wake: () => void = () => undefined;

  /** `known`: what the beacon's memory had at its start. */
  constructor(options: FollowOptions, context: BeaconContext, known: ReadonlyMap<string, unknown>) {
    this.#options = { exclude: [], key: "", recordBytes: 1, ...options };
    this.#context = context;
    const { paths, exclude, key } = this.#options;
    this.#scope = compileScope({ paths: [...paths], exclude: [...exclude], managed: false }, { has: () => false, paths: () => [] });
    const own = [...known].filter(([name]) => name.startsWith(`${key}/`));
    this.#rows = new Map(own.map(([name, row]) => [name.slice(key.length + 1), row as Position]));
    this.#scopeDigest = createHash("sha256")
      .update(JSON.stringify([paths, exclude]))
      .digest("base64url");
    const before = known.get(key) as OwnRow | undefined;
    const same = before?.scope === this.#scopeDigest;
    this.#done = new Set(before?.done);
    this.#missed = new Map(Object.entries(before?.missed ?? {}));
    const seen = [...this.#missed.values(), ...[...this.#rows.values()].map((row) => row.seen)];
    this.#lookedAt = same ? Math.max(0, ...seen) : Number.POSITIVE_INFINITY;
    if (!same) this.#keepOwn();
  }

  /** What it cannot see. */
  get trouble(): string | undefined {
    const [first] = this.#troubles.values();
    return first === undefined || this.#troubles.size === 1 ? first : `${first} (and ${this.#troubles.size - 1} more)`;
  }

  /** `wake` is called when it is worth while to look. Resolves when the kernel tells of changes. */
  async hear(wake: () => void): Promise<void> {
    this.#wake = wake;
    this.#watch = startWatch(this.#scope, {
      touched: (path) => this.#hears(path),
      heard: () => this.#context.notifications.heard(),
      exhausted: (error) =>
        this.#troubles.set("inotify", `the kernel gives no more watches (${errorText(error)}): new lines are found late`),
      failed: (error, path) => this.#troubles.set(`watch ${path}`, `${path ?? "a directory"} is not watched: ${errorText(error)}`),
    });
    await this.#watch.ready;
  }

  async look(): Promise<void> {
    const touched = [...this.#touched].flatMap((path) => this.#byPath.get(path) ?? []);
    this.#touched.clear();
    this.#everything ||= performance.now() - this.#everythingAt > wholeShare * this.#options.intervalMs;
    if (this.#everything || !(await this.#areAllThere(touched))) return this.#lookAtAll();
    for (const tail of [...touched, ...this.#rotatedTails()]) await this.#drain(tail);
  }

  async close(): Promise<void> {
    clearTimeout(this.#gathering);
    clearTimeout(this.#again?.timer);
    await this.#watch?.close();
    for (const tail of this.#tails.values()) {
      this.#keep(tail);
      await tail.close();
    }
  }

  #hears(path: string): void {
    if (this.#byPath.has(path)) this.#touched.add(path);
    else if (this.#scope.wants(path) && !isRotated(path)) this.#everything = true;
    else if (this.#rotatedTails().length === 0) return;
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      this.#wake();
    }, gatherMs);
  }

  #rotatedTails(): Tail[] {
    return [...this.#tails.values()].filter(({ rotated }) => rotated);
  }

  async #areAllThere(tails: readonly Tail[]): Promise<boolean> {
    for (const { path, identity } of tails) if ((await identityAt(path)) !== identity) return false;
    return true;
  }

  async #lookAtAll(): Promise<void> {
    this.#everything = false;
    this.#everythingAt = performance.now();
    const { signal } = this.#context;
    const begun = Date.now();
    this.#seen = Math.min(begun, this.#lookedAt);
    const first = this.#rows.size + this.#missed.size > 0;
    const found = await this.#live();
    for (const tail of [...this.#tails.values()]) {
      if (tail.rotated || signal.aborted) continue;
      if (!found.has(tail.identity)) await this.#wasRotated(tail);
      else tail.path = found.get(tail.identity)!;
    }
    for (const [identity, path] of found) if (!this.#tails.has(identity) && !signal.aborted) await this.#begin(path);
    if (first) await this.#findRests();
    // In the order that the lines were written in: what was rotated is older.
    this.#byPath.clear();
    for (const tail of this.#tails.values()) if (!tail.rotated) this.#byPath.set(tail.path, tail);
    for (const tail of [...this.#rotatedTails(), ...this.#byPath.values()]) await this.#drain(tail);
    this.#lookedAt = begun;
  }

  /** Identity and path of every file that is written under its own name. */
  async #live(): Promise<Map<string, string>> {
    const plain = new Set(this.#scope.paths());
    const paths: string[] = [];
    this.#troubles.clear();
    await walk(this.#scope, {
      signal: this.#context.signal,
      unreadable: (error, directory) => this.#troubles.set(directory, `${directory} cannot be listed: ${errorText(error)}`),
      visit: (path) => {
        if (plain.has(path) || !isRotated(path)) paths.push(path);
      },
    });
    const found = new Map<string, string>();
    for (const path of paths) {
      const identity = await identityAt(path);
      if (identity === undefined || found.has(identity)) continue;
      if (found.size < filesMax) found.set(identity, path);
      else this.#troubles.set("", `there are more than ${filesMax} files: name fewer`);
    }
    return found;
  }

  async #begin(path: string): Promise<void> {
    const file = await this.#open(path);
    if (file === undefined) return;
    const row = this.#rows.get(file.identity);
    const resumed = row === undefined ? undefined : await Tail.resume(path, file, row);
    if (resumed !== undefined) this.#rows.delete(file.identity);
    // One of which nothing was read may be another by now, that has got its number on the disk.
    if (row !== undefined && (row.offset === 0 || resumed === undefined)) this.#mayHaveMissed(row);
    if (resumed !== undefined) return this.#add(resumed);
    // Before the position of this one takes the place of the other's.
    if (row !== undefined) await this.#findRest(file.identity, row, "truncated");
    if (this.#context.signal.aborted) return file.handle.close();
    const { recordBytes, from } = this.#options;
    // One whose content was replaced is read from its start; what became of the one before is looked for.
    const isNew = row !== undefined || file.born === 0 ? this.#lookedAt < Number.POSITIVE_INFINITY : file.born >= this.#lookedAt - stampMs;
    // Of a rotation under a name like that of a log of its own: what follows in it is found when the log is truncated.
    if (isNew && row === undefined && this.#isCopy(await beginningOf(file))) return file.handle.close();
    const offset = isNew || from === "start" ? 0 : file.size - (file.size % recordBytes);
    const midway = recordBytes === 1 && !(await beginsLine(file, offset));
    this.#add(await Tail.at(path, file, { offset, midway }));
  }

  #isCopy(beginning: Buffer): boolean {
    return [...this.#tails.values()].some((tail) => tail.beginsLike(beginning));
  }

  async #open(path: string): Promise<Identified | undefined> {
    try {
      const file = await openFile(path);
      if (file !== undefined && this.#tails.has(file.identity)) return void (await file.handle.close());
      return file;
    } catch (error) {
      if (systemCode(error) !== "ENOENT") this.#troubles.set(path, `${path} cannot be read: ${errorText(error)}`);
      return undefined;
    }
  }

  #add(tail: Tail): void {
    this.#tails.set(tail.identity, tail);
    this.#keep(tail);
  }

  #keep(tail: Tail): void {
    tail.keptAt = performance.now();
    this.#set(tail.identity, tail.position(this.#seen));
  }

  #keepOwn(): void {
    const row: OwnRow = { scope: this.#scopeDigest, done: [...this.#done], missed: Object.fromEntries(this.#missed) };
    this.#context.memory.set(this.#options.key, row);
  }

  #set(identity: string, position: Position | undefined): void {
    this.#context.memory.set(`${this.#options.key}/${identity}`, position);
  }

  // Rotation

  async #wasRotated(tail: Tail): Promise<void> {
    tail.rotated = true;
    tail.grewAt = performance.now();
    await this.#readMissed(tail.path, this.#lookedAt);
  }

  /** Whole files that came and were rotated away between two looks. */
  async #readMissed(path: string, since: number): Promise<void> {
    await this.#search(path, async (siblings) => {
      const current = await identityAt(path);
      for (const one of siblings) {
        const { identity, born, modified } = one;
        if (identity === current || this.#tails.has(identity) || this.#rows.has(identity) || this.#done.has(doneKey(one))) continue;
        if (modified < since - stampMs || born < since - stampMs) continue;
        const read = await this.#readRest(one, { path, offset: 0, proof: "", midway: false, seen: since }, () => undefined);
        if (read === "moved") return read;
      }
      return "found";
    });
  }

  /** A file that bears another name by now than it was listed with is looked for anew. */
  async #search(path: string, among: (siblings: Sibling[]) => Promise<Found>): Promise<boolean> {
    for (let times = 0; times < searchesMax && !this.#context.signal.aborted; times++) {
      const found = await among(await siblingsOf(path));
      if (found !== "moved") return found === "found";
    }
    return false;
  }

  /** What the positions of before belong to that are not at their path any more. */
  async #findRests(): Promise<void> {
    for (const [identity, row] of [...this.#rows]) {
      this.#mayHaveMissed(row);
      await this.#findRest(identity, row, "gone");
      if (this.#context.signal.aborted) return;
    }
    for (const [path, seen] of this.#missed) await this.#readMissed(path, seen);
    if (this.#context.signal.aborted) return;
    this.#missed.clear();
    this.#keepOwn();
  }

  #mayHaveMissed({ path, seen }: Position): void {
    const before = this.#missed.get(path) ?? 0;
    if (seen <= before) return;
    this.#missed.set(path, seen);
    this.#keepOwn();
  }

  /** `otherwise`: what became of it when it is not found. */
  async #findRest(identity: string, row: Position, otherwise: LogLostData["reason"]): Promise<void> {
    const isFound = await this.#search(row.path, async (siblings) => {
      // Itself under another name before a copy of it, the newest copy before older ones.
      const itself = siblings.filter((one) => one.identity === identity);
      const copies = siblings.filter((one) => one.identity !== identity && row.offset > 0 && !this.#tails.has(one.identity));
      return this.#firstOf([...itself, ...copies.toReversed()], row, (one) => this.#forget(identity, one.identity));
    });
    if (isFound || this.#context.signal.aborted) return;
    // What came after nothing is a whole file of its own.
    if (row.offset > 0) this.#lost(row, otherwise);
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
    this.#rows.delete(identity);
    if (found !== identity && !this.#tails.has(identity)) this.#set(identity, undefined);
  }

  /** `claimed` is called in the turn in which the position becomes one of this file. */
  async #readRest(sibling: Sibling, row: Position, claimed: () => void): Promise<Found> {
    const file = await this.#open(sibling.path);
    if (file === undefined) return this.#tails.has(sibling.identity) ? "other" : "moved";
    const tail = await this.#restOf(file, sibling, row, claimed).catch(async (error: unknown) => {
      await file.handle.close();
      throw error;
    });
    if (tail === undefined || typeof tail === "string") await file.handle.close();
    if (tail === undefined) return "other";
    if (typeof tail === "string") return tail;
    tail.rotated = true;
    this.#add(tail);
    claimed();
    return "found";
  }

  /** A file that is written to by itself is followed; a compressed one is read here. */
  async #restOf(file: Identified, sibling: Sibling, row: Position, claimed: () => void): Promise<Tail | Found | undefined> {
    if (file.identity !== sibling.identity) return "moved";
    if (row.proof === "" && this.#isCopy(await (sibling.packed ? beginningOfPacked(sibling, file) : beginningOf(file)))) return "other";
    return sibling.packed ? this.#readPacked(file, sibling, row, claimed) : Tail.resume(row.path, file, row);
  }

  async #readPacked(file: Identified, sibling: Sibling, row: Position, claimed: () => void): Promise<Found> {
    const passing = new Passing(row);
    let rest: Buffer = Buffer.alloc(0);
    let proved = false;
    const prove = () => {
      if (proved || !passing.proves(row.proof)) return proved;
      proved = true;
      this.#set(sibling.identity, passing.position(this.#seen));
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
        if (this.#context.signal.aborted) return "found";
      }
    } catch (error) {
      if (!proved) return "other";
      this.#lost(passing.position(this.#seen), "unreadable", `${sibling.path} cannot be read to its end: ${errorText(error)}`);
    }
    if (!prove()) return "other";
    this.#takePacked(sibling, passing, { rest, ended: true });
    return "found";
  }

  #takePacked(sibling: Sibling, passing: Passing, { rest, ended }: { rest: Buffer; ended: boolean }): Buffer {
    const { path } = passing.position(0);
    const bytes = rest.subarray(0, pieceBytesMax);
    const taken = this.#options.take({ path, bytes, midway: passing.midway, full: !ended, ended, idleMs: 0 });
    passing.advance(bytes.subarray(0, taken.bytes), taken.midway);
    // A restart finds the compressed file itself by this.
    this.#set(sibling.identity, ended ? undefined : passing.position(this.#seen));
    if (ended) this.#isDone(sibling);
    return rest.subarray(taken.bytes);
  }

  /** What was there is gone from a file that is still at its path: it was copied first, or it is lost. */
  async #wasReplaced(tail: Tail): Promise<void> {
    const before = tail.position(this.#seen);
    const anew = () => {
      tail.rewind();
      this.#keep(tail);
    };
    const copy: { of?: Sibling } = {};
    const isFound = await this.#search(tail.path, async (siblings) => {
      const copies = siblings.filter(({ identity }) => before.offset > 0 && identity !== tail.identity && !this.#tails.has(identity));
      return this.#firstOf(copies.toReversed(), before, (one) => {
        copy.of = one;
        anew();
      });
    });
    const followed = copy.of && this.#tails.get(copy.of.identity);
    if (followed !== undefined) await this.#drain(followed);
    if (isFound || this.#context.signal.aborted) return;
    this.#lost(before, "truncated");
    anew();
  }

  #lost({ path, offset }: Position, reason: LogLostData["reason"], message: string = lostMessages[reason]): void {
    this.#options.lost({ path, reason, offset, message });
  }

  // Reading

  async #drain(tail: Tail): Promise<void> {
    const { signal } = this.#context;
    for (let length = 0; length < turnBytesMax && !signal.aborted;) {
      const read = await tail.read(this.#buffer);
      if (signal.aborted) return;
      if (read === undefined) {
        await this.#wasReplaced(tail);
        continue;
      }
      const idleMs = performance.now() - tail.grewAt;
      const ended = tail.rotated && !read.full && idleMs > this.#patienceMs(read.links);
      length += this.#take(tail, { ...read, ended, idleMs });
      if (ended) return this.#end(tail);
      if (!read.full) return;
    }
    this.#lookAgain(0, tail);
  }

  #patienceMs(links: number): number {
    return links === 0 || this.#rotatedTails().length > rotatedMax ? deletedQuietMs : rotatedQuietMs;
  }

  /** One turn: events, and the position behind them. */
  #take(tail: Tail, { bytes, full, ended, idleMs }: Pick<Piece, "bytes" | "full" | "ended" | "idleMs">): number {
    if (bytes.length === 0) return 0;
    const { path, midway } = tail;
    const taken = this.#options.take({ path, bytes, midway, full, ended, idleMs });
    if (full && taken.bytes === 0) throw new Error(`nothing was taken of ${bytes.length} bytes of ${path}`);
    const moved = taken.bytes > 0 || taken.midway !== midway;
    tail.advance(bytes.subarray(0, taken.bytes), taken.midway);
    if (taken.told || (moved && performance.now() - tail.keptAt > keepMs)) this.#keep(tail);
    if (taken.againMs !== undefined) this.#lookAgain(taken.againMs, tail);
    return taken.bytes;
  }

  async #end(tail: Tail): Promise<void> {
    this.#tails.delete(tail.identity);
    this.#isDone(tail);
    this.#set(tail.identity, undefined);
    await tail.close();
  }

  #isDone(file: { identity: string; born: number }): void {
    this.#done.add(doneKey(file));
    if (this.#done.size > doneMax) this.#done.delete(this.#done.values().next().value!);
    this.#keepOwn();
  }

  #lookAgain(ms: number, { path }: Tail): void {
    this.#touched.add(path);
    const at = performance.now() + ms;
    if (this.#again !== undefined && this.#again.at <= at) return;
    clearTimeout(this.#again?.timer);
    const timer = setTimeout(() => {
      this.#again = undefined;
      this.#wake();
    }, ms);
    this.#again = { at, timer };
  }
}

const lostMessages: Record<LogLostData["reason"], string> = {
  gone: "the file was taken away while nobody watched: what was added to it after the position is not known",
  truncated: "the file was truncated, and no copy of it was found: what was added to it after the position is not known",
  unreadable: "the file could not be read to its end",
  cursor: "the journal does not know the position any more: entries between may have been missed",
};

async function identityAt(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found?.isFile() === true ? identityOf(found) : undefined;
}

function doneKey({ identity, born }: { identity: string; born: number }): string {
  return `${identity}@${born}`;
}
