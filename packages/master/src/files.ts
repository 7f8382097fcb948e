/**
 * Managed files on the master: reads the map and the sources below the file root, and keeps each content under its digest, so that what
 * an agent is sent is what was announced, whatever happens to the source meanwhile.
 */
import { createHash } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, realpathSync, rmSync, statSync } from "node:fs";
import { join, sep } from "node:path";
import { errorText, systemCode } from "@needfire/shared/errors";
import { type LoadedFile, loadFileMap, type ManagedFile, managedFileBytesMax } from "@needfire/shared/managed-file";
import type { TargetTest } from "@needfire/shared/target";
import { blobChunkBytes } from "@needfire/shared/wire";
import type { Problem } from "@needfire/shared/yaml-file";
import { placeFile } from "./place-file.ts";

export interface SourcedFile {
  managed: ManagedFile;
  test: TargetTest;
  /** As written: tells two entries for one path apart. */
  targets: string;
}

export interface FilesOptions {
  map: string | undefined;
  root: string;
  /** Where contents are kept under their digests. */
  blobs: string;
}

/** A content that is kept. `stamp`: the same one is of the same content. */
interface Published {
  digest: string;
  size: number;
  stamp: string;
}

/** Sources of commands that are remembered. */
const publishedMax = 10_000;

export class Files {
  readonly #options: FilesOptions;
  readonly #published = new Map<string, Published>();
  #files: SourcedFile[] = [];

  constructor(options: FilesOptions) {
    this.#options = options;
    mkdirSync(options.blobs, { recursive: true, mode: 0o700 });
  }

  all(): readonly SourcedFile[] {
    return this.#files;
  }

  /** Reads map and sources again. With a problem in the map the old list stays; a source that cannot be read leaves its own entry as it was. */
  load(): Problem[] {
    const { map } = this.#options;
    if (map === undefined) return [];
    let text: string;
    try {
      text = readFileSync(map, "utf8");
    } catch (error) {
      return [{ file: map, line: 1, column: 1, message: `the map of managed files cannot be read: ${errorText(error)}` }];
    }
    const loaded = loadFileMap(map, text);
    if (!loaded.ok) return loaded.problems;
    const problems: Problem[] = [];
    this.#files = loaded.files.flatMap((file) => {
      const sourced = this.#source(file);
      if (sourced.ok) return [sourced.file];
      problems.push(file.problem(sourced.message));
      const targets = JSON.stringify(file.entry.targets);
      return this.#files.filter((before) => before.managed.path === file.entry.path && before.targets === targets);
    });
    this.#prune();
    return problems;
  }

  /** A piece of a content, or undefined when there is none with that digest. */
  read(digest: string, offset: number): { bytes: Buffer; total: number } | undefined {
    let descriptor: number;
    try {
      descriptor = openSync(join(this.#options.blobs, digest), "r");
    } catch {
      return undefined;
    }
    try {
      const total = statSync(join(this.#options.blobs, digest)).size;
      const bytes = Buffer.alloc(Math.max(0, Math.min(blobChunkBytes, total - offset)));
      const count = bytes.length === 0 ? 0 : readSync(descriptor, bytes, 0, bytes.length, offset);
      return { bytes: bytes.subarray(0, count), total };
    } finally {
      closeSync(descriptor);
    }
  }

  /** Keeps a source of the file root for commands, as it is now. One content of each source is kept, and goes with the next `load` after it. */
  publish(source: string, bytesMax: number): { ok: true; digest: string; size: number } | { ok: false; message: string } {
    const read = this.#read(source, bytesMax);
    if (!read.ok) return read;
    if (this.#published.size >= publishedMax) this.#published.clear();
    this.#published.set(source, read);
    return { ok: true, digest: read.digest, size: read.size };
  }

  #source({ entry, test }: LoadedFile): { ok: true; file: SourcedFile } | { ok: false; message: string } {
    const read = this.#read(entry.source, managedFileBytesMax);
    if (!read.ok) return read;
    const { path: target, owner, group, secret } = entry;
    const { digest, size } = read;
    return {
      ok: true,
      file: {
        managed: { path: target, digest, size, mode: Number.parseInt(entry.mode, 8), owner, group, secret },
        test,
        targets: JSON.stringify(entry.targets),
      },
    };
  }

  /** Keeps the content of a source under its digest. One that was published, and has not changed since, is not read again. */
  #read(source: string, bytesMax: number): (Published & { ok: true }) | { ok: false; message: string } {
    try {
      const root = realpathSync(this.#options.root);
      const path = realpathSync(join(root, source));
      if (!path.startsWith(root + sep)) return { ok: false, message: `the source leads out of the file root ${root}` };
      const stat = statSync(path, { bigint: true });
      // Reading a pipe would never end.
      if (!stat.isFile()) return { ok: false, message: `${path} is not a file` };
      if (stat.size > bytesMax) return { ok: false, message: `the source has ${stat.size} bytes, the limit is ${bytesMax}` };
      const stamp = `${path} ${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
      const before = this.#published.get(source);
      if (before?.stamp === stamp && existsSync(join(this.#options.blobs, before.digest))) return { ok: true, ...before };
      const content = readFileSync(path);
      const digest = createHash("sha256").update(content).digest("hex");
      this.#keep(digest, content);
      return { ok: true, digest, size: content.length, stamp };
    } catch (error) {
      const message =
        systemCode(error) === "ENOENT"
          ? `there is no ${join(this.#options.root, source)}`
          : `the source cannot be read: ${errorText(error)}`;
      return { ok: false, message };
    }
  }

  #keep(digest: string, content: Buffer): void {
    const file = join(this.#options.blobs, digest);
    if (!existsSync(file)) placeFile(file, content);
  }

  /** Contents that no entry names any more go. */
  #prune(): void {
    const wanted = new Set([
      ...this.#files.map(({ managed }) => managed.digest),
      ...[...this.#published.values()].map(({ digest }) => digest),
    ]);
    for (const name of readdirSync(this.#options.blobs)) if (!wanted.has(name)) rmSync(join(this.#options.blobs, name));
  }
}
