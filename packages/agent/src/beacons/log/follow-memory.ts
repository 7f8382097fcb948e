/**
 * What a follower of files keeps across restarts: positions, what was read to its end, and since when something may have been missed. All that
 * is set in one turn goes to the disk with the events of that turn.
 */
import { createHash } from "node:crypto";
import type { BeaconMemory } from "../remembered.ts";
import type { Position } from "./follow-tail.ts";

/** Files that were read to their end and are not to be read again; the last ones. */
const doneMax = 100;

/**
 * `done`: identity and birth of files that were read to their end. `missed`: by path, files that came into being since, and are not known, were
 * never looked at; ms since the epoch. It stands here until they are found: the positions that say the same are forgotten one by one.
 */
interface OwnRow {
  scope: string;
  done: string[];
  missed: Record<string, number>;
}

/** A file, and when it was born in ms since the epoch. */
interface Born {
  identity: string;
  born: number;
}

export interface FollowMemoryOptions {
  memory: Pick<BeaconMemory, "set">;
  /** Of what lies between the rows of several followers of one beacon. */
  key: string;
  /** What is followed: of another one nothing is known. */
  scope: unknown;
  /** What the beacon's memory had at its start. */
  known: ReadonlyMap<string, unknown>;
}

export class FollowMemory {
  readonly #options: FollowMemoryOptions;
  readonly #scope: string;
  readonly #done: Set<string>;
  readonly #missed: Map<string, number>;
  /** Of before this start, not yet found again. */
  readonly rows: Map<string, Position>;
  /** When everything was looked at last; files that came into being later are new. Ms since the epoch; Infinity: never. */
  lookedAt: number;
  /** What a position is kept with; see `Position`. */
  seen = 0;

  constructor(options: FollowMemoryOptions) {
    const { key, scope, known } = (this.#options = options);
    const own = [...known].filter(([name]) => name.startsWith(`${key}/`));
    this.rows = new Map(own.map(([name, row]) => [name.slice(key.length + 1), row as Position]));
    this.#scope = createHash("sha256").update(JSON.stringify(scope)).digest("base64url");
    const before = known.get(key) as OwnRow | undefined;
    const isSame = before?.scope === this.#scope;
    this.#done = new Set(before?.done);
    this.#missed = new Map(Object.entries(before?.missed ?? {}));
    const seen = [...this.#missed.values(), ...[...this.rows.values()].map((row) => row.seen)];
    this.lookedAt = isSame ? Math.max(0, ...seen) : Number.POSITIVE_INFINITY;
    if (!isSame) this.#keepOwn();
  }

  /** There is something of before this start that is not found again. */
  get isOpen(): boolean {
    return this.rows.size + this.#missed.size > 0;
  }

  set(identity: string, position: Position | undefined): void {
    this.#options.memory.set(`${this.#options.key}/${identity}`, position);
  }

  isDone(file: Born): boolean {
    return this.#done.has(doneKey(file));
  }

  /** It was read to its end. */
  done(file: Born): void {
    this.#done.add(doneKey(file));
    if (this.#done.size > doneMax) this.#done.delete(this.#done.values().next().value!);
    this.#keepOwn();
  }

  /** Paths, and since when whole files may have come and gone there. */
  get missed(): ReadonlyMap<string, number> {
    return this.#missed;
  }

  mayHaveMissed({ path, seen }: Position): void {
    const before = this.#missed.get(path) ?? 0;
    if (seen <= before) return;
    this.#missed.set(path, seen);
    this.#keepOwn();
  }

  /** All of them were read. */
  foundMissed(): void {
    this.#missed.clear();
    this.#keepOwn();
  }

  #keepOwn(): void {
    const row: OwnRow = { scope: this.#scope, done: [...this.#done], missed: Object.fromEntries(this.#missed) };
    this.#options.memory.set(this.#options.key, row);
  }
}

function doneKey({ identity, born }: Born): string {
  return `${identity}@${born}`;
}
