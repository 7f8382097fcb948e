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

/** `done`: identity and birth of files that were read to their end. */
interface OwnRow {
  scope: string;
  done: string[];
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
    this.#lookedAt = same ? Math.max(0, ...[...this.#rows.values()].map(({ seen }) => seen)) : Number.POSITIVE_INFINITY;
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
    const first = this.#rows.size > 0;
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
    if (resumed !== undefined) return this.#add(resumed);
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
    this.#context.memory.set(this.#options.key, { scope: this.#scopeDigest, done: [...this.#done] } satisfies OwnRow);
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
    const current = await identityAt(path);
    for (const one of await siblingsOf(path)) {
      const { identity, born, modified } = one;
      if (identity === current || this.#tails.has(identity) || this.#rows.has(identity) || this.#done.has(doneKey(one))) continue;
      if (modified < since - stampMs || born < since - stampMs) continue;
      if (one.packed && this.#isCopy(await beginningOfPacked(one))) continue;
      await this.#readRest(one, { path, offset: 0, proof: "", midway: false, seen: since }, () => undefined);
    }
  }

  /** What the positions of before belong to that are not at their path any more. */
  async #findRests(): Promise<void> {
    const since = new Map<string, number>();
    for (const [identity, row] of [...this.#rows]) {
      since.set(row.path, Math.max(row.seen, since.get(row.path) ?? 0));
      await this.#findRest(identity, row);
      if (this.#context.signal.aborted) return;
    }
    for (const [path, seen] of since) await this.#readMissed(path, seen);
  }

  async #findRest(identity: string, row: Position): Promise<void> {
    const siblings = await siblingsOf(row.path);
    // Itself under another name before a copy of it, the newest copy before older ones.
    const order = [
      ...siblings.filter((one) => one.identity === identity),
      ...siblings.filter((one) => one.identity !== identity).toReversed(),
    ];
    for (const one of order) {
      if (one.identity !== identity && (row.offset === 0 || this.#tails.has(one.identity))) continue;
      if (await this.#readRest(one, row, () => this.#forget(identity, one.identity))) return;
    }
    if (this.#context.signal.aborted) return;
    this.#lost(row, this.#tails.has(identity) ? "truncated" : "gone");
    this.#forget(identity, undefined);
  }

  #forget(identity: string, found: string | undefined): void {
    this.#rows.delete(identity);
    if (found !== identity && !this.#tails.has(identity)) this.#set(identity, undefined);
  }

  /** False: that is not what the position belongs to. `claimed` is called in the turn in which the position becomes one of this file. */
  async #readRest(sibling: Sibling, row: Position, claimed: () => void): Promise<boolean> {
    if (sibling.packed) return this.#readPacked(sibling, row, claimed);
    const file = await this.#open(sibling.path);
    if (file === undefined) return false;
    const tail = await Tail.resume(row.path, file, row);
    if (tail === undefined || (row.proof === "" && this.#isCopy(await beginningOf(file)))) {
      await file.handle.close();
      return false;
    }
    tail.rotated = true;
    this.#add(tail);
    claimed();
    return true;
  }

  async #readPacked(sibling: Sibling, row: Position, claimed: () => void): Promise<boolean> {
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
      for await (const chunk of unpacked(sibling) ?? []) {
        const behind = passing.pass(chunk);
        if (behind.length === 0) continue;
        if (!prove()) return false;
        rest = Buffer.concat([rest, behind]);
        while (rest.length >= pieceBytesMax) rest = this.#takePacked(sibling, passing, { rest, ended: false });
        if (this.#context.signal.aborted) return true;
      }
    } catch (error) {
      if (!proved) return false;
      this.#lost(passing.position(this.#seen), "unreadable", `${sibling.path} cannot be read to its end: ${errorText(error)}`);
    }
    if (!prove()) return false;
    this.#takePacked(sibling, passing, { rest, ended: true });
    return true;
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
    const siblings = (await siblingsOf(tail.path)).filter(({ identity }) => identity !== tail.identity && !this.#tails.has(identity));
    for (const one of before.offset === 0 ? [] : siblings.toReversed()) {
      if (!(await this.#readRest(one, before, anew))) continue;
      const copy = this.#tails.get(one.identity);
      if (copy !== undefined) await this.#drain(copy);
      return;
    }
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
