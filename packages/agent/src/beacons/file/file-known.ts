/**
 * What a file beacon knows: how plain files were last seen, what was said of managed ones, and what could not be read. The same lies in the
 * beacon's memory, so that a restart of the agent, however it ended, goes on from there: what changed meanwhile is told, and nothing twice.
 *
 * Rows are set in the turn of the event that tells of them, after its `emit` (P1). A path without a row was not there, once the first look
 * of a scope is complete; a path that no definition was about before is taken as it is found.
 */
import { isDeepStrictEqual } from "node:util";
import type { FileBeacon } from "@needfire/shared/beacons/file";
import type { ManagedFile } from "@needfire/shared/managed-file";
import type { BeaconContext } from "../beacon.ts";
import { type Side, stateKey } from "./file-judge.ts";
import { managedRow, plainRow, type Reported, readFileRow, readScopeRow, type ScopeRow, scopeRow } from "./file-rows.ts";
import { compileScope, type FileScope } from "./file-scope.ts";
import type { Snapshot } from "./file-state.ts";

/** Texts of unmanaged files that are kept for a later diff, in all. */
const keptTextBytesMax = 64 * 1024 * 1024;
/** How often it is noted that all is known, at most: that is what "since" in an event goes back to. */
const noteEveryMs = 60_000;

/** Rows that are no path, which all begin with a slash. */
const keys = { scope: "scope", knownAt: "known-at", unreadable: "unreadable:" };

/** How a plain file was last seen. */
export interface Known extends Side {
  stamp: string | undefined;
}

/** What is known from before the start. `at`: when it was last known to be so. */
export interface Before {
  at: number | undefined;
  /** Whether a path without a row was not there then. */
  wanted(path: string): boolean;
}

export class KnownFiles {
  readonly #definition: FileBeacon;
  readonly #memory: BeaconContext["memory"];
  readonly #limited: (message: string) => void;
  readonly #plain = new Map<string, Known>();
  readonly #managed = new Map<string, Reported | null>();
  readonly #unreadable = new Set<string>();
  /** Stamps of managed files as last judged, so that a look at an untouched file costs no read. */
  readonly #judged = new Map<string, { stamp: string | undefined; file: ManagedFile }>();
  #keptTextBytes = 0;
  #notedAt = Number.NEGATIVE_INFINITY;
  #full = false;

  constructor(definition: FileBeacon, { memory }: Pick<BeaconContext, "memory">, limited: (message: string) => void) {
    this.#definition = definition;
    this.#memory = memory;
    this.#limited = limited;
  }

  /** Takes up what was known when the beacon last ran. */
  restore(scope: FileScope): Before {
    const rows = this.#memory.take();
    const before = readScopeRow(rows.get(keys.scope));
    const at = rows.get(keys.knownAt);
    for (const [key, value] of rows) {
      if (key.startsWith("/")) this.#restorePath(key, value, scope);
      else if (key.startsWith(keys.unreadable)) this.#unreadable.add(key.slice(keys.unreadable.length));
    }
    const complete = before?.complete ?? false;
    // In the turn in which what is out of scope goes: otherwise going back to the old scope would find it created.
    if (before === undefined || !isDeepStrictEqual({ ...before, complete }, scopeRow(this.#definition, complete))) this.#setScope(false);
    return { at: typeof at === "number" ? at : undefined, wanted: before?.complete === true ? this.#wantedBy(before) : () => false };
  }

  /** The first look is over: from here on a path without a row is not there. */
  complete(): void {
    this.#setScope(!this.#full);
  }

  /** All was looked at since `at`, by the time of day. */
  noteAt(at: number): void {
    const now = performance.now();
    if (now - this.#notedAt < noteEveryMs) return;
    this.#notedAt = now;
    this.#set(keys.knownAt, at);
  }

  get(path: string): Known | undefined {
    return this.#plain.get(path);
  }

  /** All plain paths there are. */
  paths(): string[] {
    return [...this.#plain.keys()];
  }

  /** Whether the text of a plain file should be read even though it has not changed: a diff of the next change needs it. */
  wantsText({ state, text }: Known): boolean {
    const { secret, diff_bytes_max: textBytesMax } = this.#definition;
    if (secret || text !== undefined || state?.type !== "file" || state.size > textBytesMax) return false;
    return this.#keptTextBytes + state.size <= keptTextBytesMax;
  }

  /** After the `emit` of what differs, in the same turn. */
  keep(path: string, { state, text, noText, stamp }: Snapshot): void {
    const before = this.#plain.get(path)?.state ?? null;
    this.#dropPlain(path);
    this.#dropManaged(path);
    if (state === null) return this.#set(path, undefined);
    const kept = text !== undefined && !this.#definition.secret && this.#keptTextBytes + text.length <= keptTextBytesMax;
    if (kept) this.#keptTextBytes += text.length;
    this.#plain.set(path, { state, stamp, ...(kept ? { text } : { noText: noText ?? "not kept" }) });
    if (before === null || stateKey(before) !== stateKey(state)) this.#set(path, plainRow(state, stamp));
  }

  forget(path: string): void {
    this.#dropPlain(path);
    this.#dropManaged(path);
    this.#set(path, undefined);
  }

  /** What was last said of a managed file: undefined when it was never judged, null when it was as it should be. */
  reported(path: string): Reported | null | undefined {
    return this.#managed.get(path);
  }

  /** As `keep`, of a managed file. */
  report(path: string, reported: Reported | null): void {
    const before = this.#managed.get(path);
    this.#dropPlain(path);
    this.#managed.set(path, reported);
    if (before === undefined || !isDeepStrictEqual(before, reported)) this.#set(path, managedRow(reported));
  }

  /** Paths of managed files that were judged. */
  managedPaths(): string[] {
    return [...this.#managed.keys()];
  }

  /** The stamp of a managed file's last judgement by what it must be now. */
  judgedStamp(file: ManagedFile): string | undefined {
    const judged = this.#judged.get(file.path);
    return judged?.file === file ? judged.stamp : undefined;
  }

  judged(file: ManagedFile, stamp: string | undefined): void {
    this.#judged.set(file.path, { stamp, file });
  }

  /** What is not as it should be is to be said again: the paths to judge. Of directories that cannot be listed the next look says it. */
  unsay(): string[] {
    const drifted = [...this.#managed].filter(([, reported]) => reported !== null).map(([path]) => path);
    for (const path of drifted) {
      this.#managed.set(path, null);
      this.#judged.delete(path);
    }
    const unreadable = [...this.#unreadable].filter((key) => this.#plain.has(key));
    this.#unreadable.clear();
    for (const path of unreadable) this.#plain.set(path, { ...this.#plain.get(path)!, stamp: undefined });
    return [...drifted, ...unreadable];
  }

  /** Whether it has been told already that this cannot be read. */
  isUnreadable(key: string): boolean {
    return this.#unreadable.has(key);
  }

  unreadable(key: string): void {
    this.#unreadable.add(key);
    this.#set(keys.unreadable + key, true);
  }

  readable(key: string): void {
    if (this.#unreadable.delete(key)) this.#set(keys.unreadable + key, undefined);
  }

  unreadables(): string[] {
    return [...this.#unreadable];
  }

  #restorePath(path: string, value: unknown, scope: FileScope): void {
    const row = readFileRow(value);
    if (row === undefined || !scope.wants(path)) return this.#set(path, undefined);
    if (row.kind === "managed") this.#managed.set(path, row.reported);
    else this.#plain.set(path, { state: row.state, stamp: row.stamp, noText: "not kept" });
  }

  #wantedBy({ paths, exclude }: ScopeRow): (path: string) => boolean {
    // What was managed then has a row; what is managed now is judged by what it must be.
    const scope = compileScope({ ...this.#definition, paths, exclude, managed: false }, { has: () => false, paths: () => [] });
    return (path) => scope.wants(path) && !this.#managed.has(path);
  }

  #setScope(complete: boolean): void {
    this.#set(keys.scope, scopeRow(this.#definition, complete));
  }

  #set(key: string, value: unknown): void {
    if (this.#memory.set(key, value) || this.#full) return;
    this.#full = true;
    this.#setScope(false);
    this.#limited("more paths than can be remembered: of those left over it will not be told what changed while the agent is down");
  }

  #dropPlain(path: string): void {
    this.#keptTextBytes -= this.#plain.get(path)?.text?.length ?? 0;
    this.#plain.delete(path);
  }

  #dropManaged(path: string): void {
    this.#managed.delete(path);
    this.#judged.delete(path);
  }
}
