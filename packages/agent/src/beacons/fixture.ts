/**
 * For tests: a directory of its own, beacons that really watch it, and the events that they emit, to be waited for. Never part of the
 * program.
 */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { type BeaconDefinition, checkBeacon } from "@needfire/shared/beacon";
import type { FileEventData } from "@needfire/shared/beacons/file";
import { systemClock } from "@needfire/shared/clock";
import type { EventDraft } from "@needfire/shared/event";
import type { ManagedFile } from "@needfire/shared/managed-file";
import { unpack } from "@needfire/shared/pack";
import { BlobStore } from "../blobs.ts";
import { ManagedFiles } from "../managed-files.ts";
import { Remedies } from "../remedies.ts";
import type { AuditLog } from "./file/audit-log.ts";
import { Beacons, type BeaconsOptions } from "./beacons.ts";
import { forgetfulStore, type MemoryStore } from "./remembered.ts";

/** Generous: it is only spent when a test fails. */
const patienceMs = 60_000;

/** Definitions as they come out of YAML, with the schema's defaults. */
export function definition(options: Record<string, unknown>): BeaconDefinition {
  const checked = checkBeacon({ name: "test", ...options });
  if (!checked.ok) throw new Error(checked.message);
  return checked.definition;
}

export function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

export class Fixture {
  readonly dir = mkdtempSync(join(tmpdir(), "needfire-test-"));
  readonly log = pino({ level: "silent" });
  readonly remedies = new Remedies();
  readonly managed: ManagedFiles;
  readonly beacons: Beacons;
  readonly events: EventDraft[] = [];
  readonly #memory: MemoryStore;
  readonly #waiting = new Set<() => void>();
  #taken = 0;
  #version = 0;

  /** `memory`: what beacons of before have left; `audit`: another log than the host's; `start`: instead of the registry's. */
  constructor({
    start,
    memory = forgetfulStore(),
    audit,
  }: { start?: BeaconsOptions["start"]; memory?: MemoryStore; audit?: AuditLog } = {}) {
    this.managed = new ManagedFiles({
      blobs: new BlobStore(this.path("state/blobs")),
      listFile: this.path("state/files.json"),
      log: this.log,
    });
    mkdirSync(this.path("host"));
    this.#memory = memory;
    const emit = (event: EventDraft) => {
      this.events.push(event);
      for (const wake of this.#waiting) wake();
    };
    this.beacons = new Beacons({
      clock: systemClock(),
      log: this.log,
      managed: this.managed,
      remedies: this.remedies,
      pace: { factor: 1 },
      memory,
      emit,
      start,
      audit,
    });
  }

  /** What the beacons in force remember of a kind: rows whose key begins with it. */
  memoryOf(kind: string): Map<string, unknown> {
    const rows = this.beacons.list().flatMap(({ type, name }) => this.#memory.recall(`${type}:${name}`));
    return new Map(rows.filter(({ key }) => key.startsWith(kind)).map(({ key, value }) => [key, unpack(value)]));
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  /** A path in the directory that is watched. */
  host(name: string): string {
    return join(this.dir, "host", name);
  }

  /** Resolves when `what` is so, which may already be. Asked after each event and, for what is not told by one, every few ms. */
  async until(what: () => boolean, expected: string): Promise<void> {
    if (what()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const ask = () => {
      if (what()) resolve();
    };
    const timer = setTimeout(
      () => reject(new Error(`waited in vain for ${expected}; events: ${JSON.stringify(this.events, undefined, 1)}`)),
      patienceMs,
    );
    const often = setInterval(ask, 5);
    this.#waiting.add(ask);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      clearInterval(often);
      this.#waiting.delete(ask);
    }
  }

  /** The next event that nobody has taken yet. */
  async next(): Promise<EventDraft & { data: FileEventData }> {
    await this.until(() => this.events.length > this.#taken, "an event");
    return this.events[this.#taken++] as EventDraft & { data: FileEventData };
  }

  /**
   * Proves silence without a sleep: makes a change that must be told, and takes it as the very next event. Whatever was to come before
   * it would have come before it, since it is judged later.
   */
  async nothingBut(change: () => void, path: string): Promise<void> {
    change();
    const event = await this.next();
    if (event.subject !== path) throw new Error(`expected silence until ${path}, got ${JSON.stringify(event, undefined, 1)}`);
  }

  /** Makes files managed, owned by whoever runs the test, and puts them there as they must be. */
  async manage(contents: Record<string, string>, { secret = false, write = true } = {}): Promise<ManagedFile[]> {
    const owner = String(process.getuid?.() ?? 0);
    const group = String(process.getgid?.() ?? 0);
    const files = Object.entries(contents).map(([path, content]) => {
      if (write) writeFileSync(path, content, { mode: 0o644 });
      return { path, digest: sha256(content), size: Buffer.byteLength(content), mode: 0o644, owner, group, secret };
    });
    const byDigest = new Map(Object.values(contents).map((content) => [sha256(content), Buffer.from(content)]));
    const fetch = async (digest: string, offset: number) => {
      const bytes = byDigest.get(digest) ?? Buffer.alloc(0);
      return { bytes: bytes.subarray(offset, offset + 1_000), total: bytes.length };
    };
    await this.managed.apply(String(++this.#version), files, fetch, new AbortController().signal);
    return files;
  }

  async end(): Promise<void> {
    await this.beacons.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
