/**
 * Says who changed a path, where auditd writes that down. Reads what its log has got since the last question, when it is asked and not
 * before, so that a host where nothing changes pays nothing. Writes nothing, and adds no rules (audit-rules.ts does, when it is told to).
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { type AuditedChange, AuditRecords } from "./audit-records.ts";

export const auditLogPath = "/var/log/audit/audit.log";
/** A record is waited for so long after the change, since auditd may come later than the notification. */
const waitMsMax = 200;
const pollMs = 10;
/** Older records are not of the change that is asked about. */
const ageMsMax = 30_000;
/** How much of the log is read for one question; if more was written since the last one, the end of it. */
const readBytesMax = 2 * 1024 * 1024;
/** Of a log that is opened for the first time, so much of its end is read. */
const openBytes = 262_144;
/** A log that is not there is not looked for more often. */
const retryMs = 1_000;
const chunkBytes = 65_536;
const lineLengthMax = 65_536;
/** Paths and files of which changes are kept, and changes of each. */
const keysMax = 20_000;
const changesMax = 8;

/** A path, or the file that was or is there, since a record may name it by a way that is not known here. */
export interface AuditQuestion {
  path: string;
  file: string | undefined;
  /** What is looked for among the changes, which come newest first. */
  fits(change: AuditedChange): boolean;
}

export class AuditLog {
  readonly #path: string;
  /** The login session of this process: undefined when it has none, as a daemon. */
  readonly #ownSession: number | undefined;
  readonly #waiting = new Set<() => void>();
  readonly #changes = new Map<string, AuditedChange[]>();
  #records = new AuditRecords();
  #fd: number | undefined;
  #inode = 0;
  #position = 0;
  #retryAt = Number.NEGATIVE_INFINITY;
  #rest = "";
  #poll: NodeJS.Timeout | undefined;

  constructor(path = auditLogPath) {
    this.#path = path;
    this.#ownSession = ownSession();
  }

  /** Whether there is a log that may be read. */
  get readable(): boolean {
    return this.#fd !== undefined || this.#open(true);
  }

  /** Who made the newest change that fits; when there is none yet and `wait`, it is waited for a moment. */
  async who(question: AuditQuestion, wait: boolean): Promise<AuditedChange | undefined> {
    const until = performance.now() + waitMsMax;
    for (;;) {
      this.#read();
      const found = this.#find(question);
      if (found !== undefined || !wait || performance.now() >= until || !this.readable) return found;
      await this.#moment();
    }
  }

  /**
   * Whether a change came from another login than this agent's: then no command of this agent made it, nor anything that the command
   * started, since a session is handed on to all that a process starts.
   */
  isForeign({ session }: AuditedChange): boolean {
    return session !== undefined && session !== this.#ownSession;
  }

  close(): void {
    clearInterval(this.#poll);
    this.#close();
    this.#wake();
  }

  #find({ path, file, fits }: AuditQuestion): AuditedChange | undefined {
    const since = Date.now() - ageMsMax;
    const isIt = (change: AuditedChange) => change.time >= since && fits(change);
    const byPath = this.#changes.get(path)?.findLast(isIt);
    return byPath ?? (file === undefined ? undefined : this.#changes.get(file)?.findLast(isIt));
  }

  /** All who wait are woken by one timer. */
  #moment(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    this.#poll ??= setInterval(() => this.#wake(), pollMs);
    return promise;
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
    if (waiting.length > 0) return;
    clearInterval(this.#poll);
    this.#poll = undefined;
  }

  #read(): void {
    try {
      if (this.#fd === undefined && !this.#open(true)) return;
      this.#readOn();
      // auditd has begun a new one: the rest of the old one is read now.
      if (statSync(this.#path, { throwIfNoEntry: false })?.ino === this.#inode) return;
      this.#close();
      if (this.#open(false)) this.#readOn();
    } catch {
      this.#close(); // it is opened again with the next question
    }
  }

  #open(atEnd: boolean): boolean {
    const now = performance.now();
    if (now < this.#retryAt) return false;
    this.#retryAt = now + retryMs;
    try {
      this.#fd = openSync(this.#path, "r");
      const { ino, size } = fstatSync(this.#fd);
      this.#inode = ino;
      this.#retryAt = now;
      this.#skipTo(atEnd ? Math.max(0, size - openBytes) : 0);
      return true;
    } catch {
      this.#close();
      return false;
    }
  }

  #close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #readOn(): void {
    const fd = this.#fd;
    if (fd === undefined) return;
    const { size } = fstatSync(fd);
    if (size < this.#position) this.#skipTo(0);
    if (size - this.#position > readBytesMax) this.#skipTo(size - readBytesMax);
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, Math.max(1, size - this.#position)));
    for (let left = size - this.#position; left > 0;) {
      const got = readSync(fd, chunk, 0, Math.min(chunk.length, left), this.#position);
      if (got === 0) return;
      this.#position += got;
      left -= got;
      // All in it is ASCII: what is not stands in hexadecimal.
      this.#take(chunk.toString("latin1", 0, got));
    }
  }

  #skipTo(position: number): void {
    this.#position = position;
    this.#rest = "";
    this.#records = new AuditRecords();
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    const rest = lines.pop() ?? "";
    this.#rest = rest.length > lineLengthMax ? "" : rest;
    for (const line of lines) {
      const change = this.#records.take(line);
      if (change === undefined) continue;
      if (change.path !== undefined) this.#keep(change.path, change);
      if (change.file !== undefined) this.#keep(change.file, change);
    }
  }

  #keep(key: string, change: AuditedChange): void {
    const changes = this.#changes.get(key) ?? [];
    // The key that was changed last is the last to go.
    this.#changes.delete(key);
    this.#changes.set(key, changes);
    if (changes.push(change) > changesMax) changes.shift();
    const [oldest] = this.#changes.keys();
    if (oldest !== undefined && this.#changes.size > keysMax) this.#changes.delete(oldest);
  }
}

function ownSession(): number | undefined {
  try {
    const session = Number(readFileSync("/proc/self/sessionid", "utf8"));
    return session === 4_294_967_295 ? undefined : session;
  } catch {
    return undefined;
  }
}
