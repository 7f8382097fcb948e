/**
 * The `certificate` beacon: looks at the certificates of servers and in files, and tells when one expires soon, has expired, is another than
 * before, or is not in order. A server that cannot be reached is no bad certificate: then the beacon says that it cannot see it.
 */
import { type FileHandle, open } from "node:fs/promises";
import { durationMs } from "@needfire/shared/duration";
import { errorText } from "@needfire/shared/errors";
import { globBase } from "@needfire/shared/glob";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { judge, type Known, type Seen } from "./certificate-judge.ts";
import { parseFile } from "./certificate-read.ts";
import { type Look, lookAtServer } from "./certificate-server.ts";
import { within } from "./deadline.ts";
import { compileScope } from "../file/file-scope.ts";
import { walk } from "../file/file-walk.ts";
import { familyNumber, sharedLookup } from "./lookup.ts";
import { polled } from "../polled.ts";
import { Trust } from "./trust.ts";
import { Turns } from "./turns.ts";

type CertificateDefinition = DefinitionOf<"certificate">;

/** Looks under way at the same time. */
const looksAtOnceMax = 16;
/** A server that could not be looked at is looked at again after this, or after the interval if that is shorter. */
const againMs = 60_000;
const fileBytesMax = 4 * 1024 * 1024;
/** Files that one beacon looks at. */
const filesMax = 10_000;
/** Old servers are looked at, too: nothing is sent over the connection. */
const anyTls = { minVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
/** Servers that cannot be looked at, as they are named in `beacon.degraded`. */
const unseenToldMax = 10;

export function start(definition: CertificateDefinition, context: BeaconContext): RunningBeacon {
  const certificates = new Certificates(definition, context);
  const intervalMs = durationMs(definition.interval);
  const every = Math.min(intervalMs, againMs);
  const running = polled(context, { interval: `${every}ms`, restate: () => certificates.restate() }, ({ now, signal }) =>
    certificates.look({ now, dueAfterMs: intervalMs - every / 2, signal }),
  );
  // Nobody waits for servers that do not answer.
  return { ...running, ready: Promise.resolve() };
}

class Certificates {
  readonly #definition: CertificateDefinition;
  readonly #context: BeaconContext;
  readonly #known: Map<string, Known>;
  /** How each was seen last, for whoever asks once more. */
  readonly #seen = new Map<string, { where: Where; seen: Seen }>();
  readonly #lookedAt = new Map<string, number>();
  readonly #unseen = new Map<string, string>();
  readonly #files = new Map<string, { stamp: string; seen: Seen }>();
  readonly #server: Omit<Parameters<typeof lookAtServer>[0], "address" | "signal">;
  readonly #turns = new Turns(looksAtOnceMax);
  #filesDue = Number.NEGATIVE_INFINITY;
  #isCut = false;

  constructor(definition: CertificateDefinition, context: BeaconContext) {
    const { ca, server_name: name, starttls, verify, family } = definition;
    this.#definition = definition;
    this.#context = context;
    this.#known = context.memory.take() as Map<string, Known>; // our own rows
    const trust = new Trust({ ca, server_name: name }, anyTls);
    this.#server = { starttls, verify, trust, family: familyNumber[family], lookup: sharedLookup(family) };
    const servers = new Set(definition.addresses);
    for (const key of this.#known.keys()) if (!key.startsWith("/") && !servers.has(key)) this.#forget(key);
  }

  async look({ now, dueAfterMs, signal }: { now: number; dueAfterMs: number; signal: AbortSignal }): Promise<void> {
    const isDue = (at: number | undefined) => at === undefined || now - at >= dueAfterMs;
    const due = this.#definition.addresses.filter((address) => isDue(this.#lookedAt.get(address)));
    await Promise.all(due.map((address) => this.#turns.take(signal, () => this.#lookAtServer(address, { now, signal }))));
    if (signal.aborted) return;
    if (isDue(this.#filesDue)) {
      await this.#lookAtFiles(signal);
      this.#filesDue = now;
    }
    if (!signal.aborted) this.#context.degraded(this.#unseenText());
  }

  /** Says once more what is wrong. */
  restate(): void {
    for (const [key, { where, seen }] of this.#seen) {
      const { leaf } = this.#known.get(key) ?? {};
      this.#known.set(key, leaf === undefined ? {} : { leaf });
      this.#take(key, where, seen);
    }
  }

  async #lookAtServer(address: string, { now, signal }: { now: number; signal: AbortSignal }): Promise<void> {
    const ms = durationMs(this.#definition.timeout);
    const look: Look = await within(ms, signal, (deadline) => lookAtServer({ ...this.#server, address, signal: deadline }));
    if (signal.aborted) return;
    if (!look.ok) return void this.#unseen.set(address, look.message);
    this.#lookedAt.set(address, now);
    this.#unseen.delete(address);
    this.#take(address, { address }, look.seen);
  }

  async #lookAtFiles(signal: AbortSignal): Promise<void> {
    const { files } = this.#definition;
    if (files.length === 0 && ![...this.#known.keys()].some((key) => key.startsWith("/"))) return;
    const found: string[] = [];
    const scope = compileScope({ paths: files, exclude: [], managed: false }, { has: () => false, paths: () => [] });
    await walk(scope, { visit: (path) => void found.push(path), unreadable: () => undefined, signal });
    this.#isCut = found.length > filesMax;
    const plain = new Set(files.filter((path) => !globBase(path).isGlob));
    const there = new Set<string>();
    for (const path of found.slice(0, filesMax)) {
      const seen = await this.#readFile(path);
      if (signal.aborted) return;
      // What lies among certificates need not be one; what is named itself must.
      if (seen === "directory" || (seen.chain.length === 0 && !plain.has(path) && !this.#known.has(path))) continue;
      there.add(path);
      this.#take(path, { path }, seen);
    }
    for (const key of [...this.#known.keys()]) if (key.startsWith("/") && !there.has(key)) this.#forget(key);
    for (const path of this.#files.keys()) if (!there.has(path)) this.#files.delete(path);
  }

  async #readFile(path: string): Promise<Seen | "directory"> {
    let file: FileHandle | undefined;
    try {
      file = await open(path);
      return await this.#parse(path, file);
    } catch (error) {
      return unreadable(errorText(error));
    } finally {
      await file?.close();
    }
  }

  /** Once for each state of the file. */
  async #parse(path: string, file: FileHandle): Promise<Seen | "directory"> {
    const stats = await file.stat();
    const { dev, ino, size, mtimeMs } = stats;
    if (stats.isDirectory()) return "directory";
    if (!stats.isFile() || size > fileBytesMax) return unreadable(`it is no file of ${fileBytesMax} bytes at most`);
    const stamp = `${dev}:${ino}:${size}:${mtimeMs}`;
    const kept = this.#files.get(path);
    if (kept?.stamp === stamp && kept.seen.invalid?.reason !== "not_yet_valid") return kept.seen;
    const seen = parseFile(await file.readFile(), this.#context.clock.now());
    this.#files.set(path, { stamp, seen });
    return seen;
  }

  /** Events and what is known go to disk together. */
  #take(key: string, where: Where, seen: Seen): void {
    const before = this.#known.get(key);
    const { known, tell } = judge(before ?? {}, seen, { days: this.#definition.days, now: this.#context.clock.now() });
    for (const { type, data } of tell) this.#context.emit({ type, subject: key, data: { ...where, ...data } });
    this.#known.set(key, known);
    this.#seen.set(key, { where, seen });
    if (tell.length > 0 || before === undefined || known.told?.level !== before.told?.level) this.#context.memory.set(key, known);
  }

  #forget(key: string): void {
    this.#known.delete(key);
    this.#seen.delete(key);
    this.#context.memory.set(key, undefined);
  }

  #unseenText(): string | undefined {
    const unseen = [...this.#unseen].map(([address, message]) => `${address} (${message})`).toSorted();
    const more = unseen.length > unseenToldMax ? ` and ${unseen.length - unseenToldMax} more` : "";
    const servers =
      unseen.length === 0 ? [] : [`the certificate cannot be looked at of ${unseen.slice(0, unseenToldMax).join(", ")}${more}`];
    const files = this.#isCut ? [`there are more than ${filesMax} files: only the first of them are looked at`] : [];
    const all = [...servers, ...files];
    return all.length === 0 ? undefined : all.join("; ");
  }
}

type Where = { address: string } | { path: string };

function unreadable(message: string): Seen {
  return { chain: [], invalid: { reason: "unreadable", message } };
}
