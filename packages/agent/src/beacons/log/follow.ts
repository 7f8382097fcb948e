/**
 * Follows files as they are written and rotated, and hands over what was added, in order. The position of each file is kept across restarts,
 * in the turn of the events that came of what lies before it (P1): nothing is told twice, nothing is missed, whichever way the file went:
 * renamed (what is still written to it then is read, too), copied and truncated, compressed, replaced. Where that is not to be had, it says so.
 */
import type { LogLostData } from "@needfire/shared/beacons/log";
import { errorText, systemCode } from "@needfire/shared/errors";
import type { BeaconContext, RunningBeacon } from "../beacon.ts";
import { compileScope, type FileScope } from "../file/file-scope.ts";
import { walk } from "../file/file-walk.ts";
import { type FileWatch, startWatch } from "../file/file-watch.ts";
import { polled } from "../polled.ts";
import { FollowMemory } from "./follow-memory.ts";
import { type Follower, identityAt, Rests, stampMs } from "./follow-rests.ts";
import { isRotated, type Sibling } from "./follow-siblings.ts";
import {
  beginningOf,
  beginsLine,
  bufferBytes,
  type Identified,
  openFile,
  type Piece,
  type Position,
  Tail,
  type Taken,
} from "./follow-tail.ts";

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
  readonly #memory: FollowMemory;
  readonly #rests: Rests;
  readonly #buffer = Buffer.alloc(bufferBytes);
  readonly #tails = new Map<string, Tail>();
  readonly #byPath = new Map<string, Tail>();
  readonly #troubles = new Map<string, string>();
  readonly #touched = new Set<string>();
  #everythingAt = Number.NEGATIVE_INFINITY;
  #everything = true;
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
    this.#memory = new FollowMemory({ memory: context.memory, key, scope: [paths, exclude], known });
    const follower: Follower = {
      open: (path) => this.#open(path),
      add: (tail) => this.#add(tail),
      take: (piece) => this.#options.take(piece),
      lost: (...what) => this.#lost(...what),
    };
    this.#rests = new Rests(follower, { memory: this.#memory, tails: this.#tails, signal: context.signal });
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
    this.#memory.seen = Math.min(begun, this.#memory.lookedAt);
    const { isOpen } = this.#memory;
    const found = await this.#live();
    for (const tail of [...this.#tails.values()]) {
      if (tail.rotated || signal.aborted) continue;
      if (!found.has(tail.identity)) await this.#wasRotated(tail);
      else tail.path = found.get(tail.identity)!;
    }
    for (const [identity, path] of found) if (!this.#tails.has(identity) && !signal.aborted) await this.#begin(path);
    if (isOpen) await this.#rests.findRests();
    // In the order that the lines were written in: what was rotated is older.
    this.#byPath.clear();
    for (const tail of this.#tails.values()) if (!tail.rotated) this.#byPath.set(tail.path, tail);
    for (const tail of [...this.#rotatedTails(), ...this.#byPath.values()]) await this.#drain(tail);
    this.#memory.lookedAt = begun;
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
    if (file === undefined || file === "unreadable") return;
    const row = this.#memory.rows.get(file.identity);
    const resumed = row === undefined ? undefined : await Tail.resume(path, file, row);
    if (resumed !== undefined) this.#memory.rows.delete(file.identity);
    // One of which nothing was read may be another by now, that has got its number on the disk.
    if (row !== undefined && (row.offset === 0 || resumed === undefined)) this.#memory.mayHaveMissed(row);
    if (resumed !== undefined) return this.#add(resumed);
    // Before the position of this one takes the place of the other's.
    if (row !== undefined) await this.#rests.findRest(file.identity, row, "truncated");
    if (this.#context.signal.aborted) return file.handle.close();
    const { recordBytes, from } = this.#options;
    // One whose content was replaced is read from its start; what became of the one before is looked for.
    const isNew =
      row !== undefined || file.born === 0
        ? this.#memory.lookedAt < Number.POSITIVE_INFINITY
        : file.born >= this.#memory.lookedAt - stampMs;
    // Of a rotation under a name like that of a log of its own: what follows in it is found when the log is truncated.
    if (isNew && row === undefined && this.#rests.isCopy(await beginningOf(file))) return file.handle.close();
    const offset = isNew || from === "start" ? 0 : file.size - (file.size % recordBytes);
    const midway = recordBytes === 1 && !(await beginsLine(file, offset));
    this.#add(await Tail.at(path, file, { offset, midway }));
  }

  async #open(path: string): Promise<Identified | "unreadable" | undefined> {
    try {
      const file = await openFile(path);
      if (file !== undefined && this.#tails.has(file.identity)) return void (await file.handle.close());
      return file;
    } catch (error) {
      if (systemCode(error) === "ENOENT") return undefined;
      this.#troubles.set(path, `${path} cannot be read: ${errorText(error)}`);
      return "unreadable";
    }
  }

  #add(tail: Tail): void {
    this.#tails.set(tail.identity, tail);
    this.#keep(tail);
  }

  #keep(tail: Tail): void {
    tail.keptAt = performance.now();
    this.#memory.set(tail.identity, tail.position(this.#memory.seen));
  }

  // Rotation

  async #wasRotated(tail: Tail): Promise<void> {
    tail.rotated = true;
    tail.grewAt = performance.now();
    await this.#rests.readMissed(tail.path, this.#memory.lookedAt);
  }

  /** What was there is gone from a file that is still at its path: it was copied first, or it is lost. */
  async #wasReplaced(tail: Tail): Promise<void> {
    const before = tail.position(this.#memory.seen);
    const anew = () => {
      tail.rewind();
      this.#keep(tail);
    };
    const copy: { of?: Sibling } = {};
    const isFound = await this.#rests.findCopy(tail, before, (one) => {
      copy.of = one;
      anew();
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
    this.#memory.done(tail);
    this.#memory.set(tail.identity, undefined);
    await tail.close();
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
