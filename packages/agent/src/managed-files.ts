/**
 * The managed files of this host: what must be where. The list and the content live on this disk, so that watching and restoring work
 * while the master cannot be reached. A file is managed from the moment its content is here, never before.
 */
import { mkdirSync } from "node:fs";
import { readFile, rename } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { FromSchema } from "json-schema-to-ts";
import type { Logger } from "pino";
import { errorText, NeedfireError, systemCode } from "@needfire/shared/errors";
import { type ManagedFile, managedListSchema } from "@needfire/shared/managed-file";
import { doorChecker, problemsText } from "@needfire/shared/schema";
import { Accounts } from "./accounts.ts";
import type { BlobStore } from "./blobs.ts";
import { writeDurably } from "./durable-file.ts";

/** Gets a piece of content from the master: bytes from `offset` on, and how many there are in all. */
export type FetchPiece = (digest: string, offset: number) => Promise<{ bytes: Uint8Array; total: number }>;

type List = FromSchema<typeof managedListSchema>;
const checkList = doorChecker(managedListSchema);

/** Content that stays in memory, so that a drift is told and a file is put back without reading the store: per file, and in all. */
const cachedFileBytesMax = 65_536;
const cachedBytesMax = 8 * 1024 * 1024;

/** The version when something is missing: no master's list has it, so the next session brings the list anew. */
const incomplete = "";

export class ManagedFiles {
  /** Who may own them. */
  readonly accounts: Accounts;
  readonly #blobs: BlobStore;
  readonly #listFile: string;
  readonly #log: Logger;
  readonly #listeners = new Set<() => void>();
  readonly #cache = new Map<string, Buffer>();
  #cachedBytes = 0;
  #version = incomplete;
  #files = new Map<string, ManagedFile>();
  #latest = new AbortController();
  #applying: Promise<void> = Promise.resolve();

  constructor({
    blobs,
    listFile,
    log,
    accounts = new Accounts(),
  }: {
    blobs: BlobStore;
    listFile: string;
    log: Logger;
    accounts?: Accounts;
  }) {
    this.accounts = accounts;
    this.#blobs = blobs;
    this.#listFile = listFile;
    this.#log = log;
  }

  /** Takes up what was in force when the agent last ran. A damaged list is set aside, and the master's next one replaces it. */
  async load(): Promise<void> {
    const list = await this.#readList();
    if (list === undefined) return;
    const present = list.files.filter(({ digest }) => this.#blobs.has(digest));
    if (present.length < list.files.length)
      this.#log.error({ missing: list.files.length - present.length }, "content of managed files is missing on this host");
    this.#files = new Map(present.map((file) => [file.path, file]));
    this.#version = present.length === list.files.length ? list.version : incomplete;
  }

  /**
   * Takes a new list: fetches the content that is not here yet, then puts the list in force and on disk, then tells the listeners. A
   * file whose content cannot be had stays as it was before. A later call ends an earlier one, which then resolves without effect.
   * Throws what `fetch` throws when the master is gone, and the signal's reason.
   */
  apply(version: string, files: ManagedFile[], fetch: FetchPiece, signal: AbortSignal): Promise<void> {
    this.#latest.abort();
    const mine = new AbortController();
    this.#latest = mine;
    const applied = this.#applying.then(() => this.#apply({ version, files }, fetch, { signal, superseded: mine.signal }));
    this.#applying = applied.catch(() => undefined); // the caller hears of it; the next call must run all the same
    return applied;
  }

  get version(): string {
    return this.#version;
  }

  get(path: string): ManagedFile | undefined {
    return this.#files.get(path);
  }

  all(): ManagedFile[] {
    return [...this.#files.values()];
  }

  /** What must be in it. Throws `NOT_FOUND` or `BLOB_MISMATCH` when this host's copy is lost; the next session then brings it anew. */
  async content({ digest }: ManagedFile): Promise<Buffer> {
    const cached = this.#cache.get(digest);
    if (cached !== undefined) return cached;
    try {
      const bytes = await this.#blobs.read(digest);
      this.#remember(digest, bytes);
      return bytes;
    } catch (error) {
      if (this.all().some((file) => file.digest === digest)) this.#version = incomplete;
      throw error;
    }
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async #apply(list: List, fetch: FetchPiece, { signal, superseded }: { signal: AbortSignal; superseded: AbortSignal }): Promise<void> {
    const files = new Map<string, ManagedFile>();
    let complete = true;
    for (const file of list.files) {
      if (superseded.aborted) return;
      signal.throwIfAborted();
      const problem =
        resolve(file.path) === file.path ? await this.#obtain(file, fetch, superseded) : "its path is not a plain absolute one";
      if (problem === undefined) {
        files.set(file.path, file);
        continue;
      }
      complete = false;
      this.#log.error({ path: file.path }, `a managed file is left as it was: ${problem}`);
      const old = this.#files.get(file.path);
      if (old !== undefined) files.set(file.path, old);
    }
    if (superseded.aborted) return;
    const version = complete ? list.version : incomplete;
    await this.#persist({ version, files: [...files.values()] });
    this.#files = files;
    this.#version = version;
    for (const listener of this.#listeners) listener();
    await this.#blobs.prune(new Set([...files.values()].map(({ digest }) => digest)));
  }

  /** Makes sure that a file's content is here; or says why it cannot be. */
  async #obtain({ digest, size }: ManagedFile, fetch: FetchPiece, superseded: AbortSignal): Promise<string | undefined> {
    if (this.#blobs.has(digest)) return undefined;
    const writer = this.#blobs.writer(digest, size);
    try {
      for (let offset = 0; offset < size && !superseded.aborted;) {
        const { bytes, total } = await fetch(digest, offset);
        if (total !== size) return `the master has ${total} bytes of it where the list says ${size}`;
        if (bytes.length === 0) return `the master's copy ends at ${offset} of ${size} bytes`;
        await writer.append(bytes);
        offset += bytes.length;
      }
      if (superseded.aborted) return "a newer list came";
      await writer.finish();
      return undefined;
    } catch (error) {
      if (error instanceof NeedfireError && (error.code === "NOT_FOUND" || error.code === "BLOB_MISMATCH")) return error.message;
      throw error;
    } finally {
      await writer.abort();
    }
  }

  #remember(digest: string, bytes: Buffer): void {
    if (bytes.length > cachedFileBytesMax) return;
    if (this.#cachedBytes + bytes.length > cachedBytesMax) {
      this.#cache.clear();
      this.#cachedBytes = 0;
    }
    this.#cache.set(digest, bytes);
    this.#cachedBytes += bytes.length;
  }

  async #persist(list: List): Promise<void> {
    mkdirSync(dirname(this.#listFile), { recursive: true, mode: 0o700 });
    await writeDurably(this.#listFile, Buffer.from(JSON.stringify(list)), { mode: 0o600 });
  }

  async #readList(): Promise<List | undefined> {
    let text: string;
    try {
      text = await readFile(this.#listFile, "utf8");
    } catch (error) {
      if (systemCode(error) === "ENOENT") return undefined;
      throw error;
    }
    const parsed = parseList(text);
    if (parsed.ok) return parsed.list;
    const aside = `${this.#listFile}.damaged`;
    await rename(this.#listFile, aside);
    this.#log.error({ file: aside }, `the list of managed files was damaged and is set aside: ${parsed.reason}`);
    return undefined;
  }
}

function parseList(text: string): { ok: true; list: List } | { ok: false; reason: string } {
  try {
    const checked = checkList(JSON.parse(text));
    return checked.ok ? { ok: true, list: checked.value } : { ok: false, reason: problemsText(checked.problems) };
  } catch (error) {
    return { ok: false, reason: errorText(error) };
  }
}
