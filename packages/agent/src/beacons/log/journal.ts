/**
 * Follows the system's journal through `journalctl`: entries in order, with the cursor kept in the turn of the events that came of them (P1).
 * A journalctl that ends is the beacon's failure, and with the beacon it is started again, from the cursor on.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { LogBeacon } from "@needfire/shared/beacons/log";
import { systemCode } from "@needfire/shared/errors";
import type { BeaconContext, RunningBeacon } from "../beacon.ts";

export interface JournalEntry {
  message: string;
  /** ms since the epoch. */
  time: number;
  unit?: string | undefined;
  identifier?: string | undefined;
  pid?: number | undefined;
  priority?: number | undefined;
}

export type JournalMatches = Omit<NonNullable<LogBeacon["journald"]>, "priority"> & { priority?: string };

export interface JournalOptions {
  matches: JournalMatches;
  from: "start" | "end";
  /** What the beacon's memory had at its start. */
  known: ReadonlyMap<string, unknown>;
  /** Within one turn; true: an event was emitted. */
  tell(entry: JournalEntry): boolean;
  /** The cursor is not known to the journal any more. */
  lost(message: string): void;
}

/** One entry as JSON; of a longer one nothing is told. */
const entryBytesMax = 1_048_576;
/** Of an entry's other fields. */
const fieldCharactersMax = 256;
/** A cursor without events is written so often. */
const keepMs = 10_000;
const errorCharactersMax = 2_000;
const cursorKey = "cursor";
const fields = ["MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "_COMM", "_PID", "_SYSTEMD_UNIT", "UNIT"];

export function followJournal(options: JournalOptions, context: BeaconContext): RunningBeacon {
  const following = new FollowedJournal(options, context);
  const ready = following.start();
  return {
    ready,
    async stop() {
      await ready.catch(() => undefined); // told by whoever waits for it
      await following.stop();
    },
  };
}

class FollowedJournal {
  readonly #options: JournalOptions;
  readonly #context: BeaconContext;
  #ended: Promise<void> = Promise.resolve();
  #cursor: string | undefined;
  #kept: string | undefined;
  #keptAt = performance.now();

  constructor(options: JournalOptions, context: BeaconContext) {
    this.#options = options;
    this.#context = context;
    const known = options.known.get(cursorKey);
    this.#cursor = typeof known === "string" ? known : undefined;
    this.#kept = this.#cursor;
  }

  async start(): Promise<void> {
    const { from, lost } = this.#options;
    if (this.#cursor !== undefined && !(await this.#isKnown(this.#cursor))) {
      lost("the journal does not know the position any more: entries between may have been missed");
      this.#cursor = undefined;
    }
    if (this.#cursor === undefined && from === "end") this.#cursor = await this.#newest();
    if (this.#context.signal.aborted) return;
    this.#keep();
    this.#ended = this.#follow();
  }

  /** Following shows the entries of this boot alone: those of before it, that nobody has read, come first. */
  async #follow(): Promise<void> {
    const unread = await this.#read([]);
    const outcome = unread.code === 0 ? await this.#read(["--follow"]) : unread;
    if (this.#context.signal.aborted) return;
    this.#context.fail(outcome.error ?? new Error(`journalctl ended (${outcome.message}): ${outcome.errors}`));
  }

  async stop(): Promise<void> {
    await this.#ended; // the signal has ended journalctl
    this.#keep();
  }

  /** Where the journal ends, whatever is looked for in it. */
  async #newest(): Promise<string | undefined> {
    let output = "";
    const { error } = await this.#run(["--lines=1", "--output-fields=PRIORITY"], (bytes) => {
      if (output.length < entryBytesMax) output += bytes.toString();
    });
    if (error !== undefined) throw error;
    return cursorOf(output);
  }

  async #isKnown(cursor: string): Promise<boolean> {
    const { code, errors } = await this.#run([`--cursor=${cursor}`, "--lines=1", "--output-fields=PRIORITY"], () => undefined);
    return code === 0 || !/cursor/i.test(errors);
  }

  /** Entries behind the cursor, until journalctl ends. */
  async #read(how: string[]): Promise<Ended & { errors: string }> {
    // Not `--after-cursor`: where the entry of the cursor is none of those that are looked for, that passes over the first one that is.
    const start = this.#cursor === undefined ? [] : [`--cursor=${this.#cursor}`];
    const lines = new JsonLines((message) => this.#context.log.warn(message));
    return this.#run(
      [...how, "--all", "--no-tail", `--output-fields=${fields.join(",")}`, ...start, ...matchArguments(this.#options.matches)],
      (bytes) => this.#take(lines.add(bytes)),
    );
  }

  /** One turn: events, and the cursor behind them. */
  #take(entries: Record<string, unknown>[]): void {
    if (this.#context.signal.aborted) return;
    let told = false;
    for (const entry of entries) {
      const { __CURSOR: cursor } = entry;
      if (typeof cursor !== "string" || cursor === this.#cursor) continue;
      this.#cursor = cursor;
      told = this.#options.tell(entryOf(entry)) || told;
    }
    if (told || performance.now() - this.#keptAt > keepMs) this.#keep();
  }

  #keep(): void {
    this.#keptAt = performance.now();
    if (this.#cursor === this.#kept) return;
    this.#kept = this.#cursor;
    this.#context.memory.set(cursorKey, this.#cursor);
  }

  async #run(more: string[], taken: (bytes: Buffer) => void): Promise<Ended & { errors: string }> {
    const { matches } = this.#options;
    const { signal } = this.#context;
    const child = spawnJournalctl([...place(matches), "--quiet", "--no-pager", "--output=json", ...more]);
    const stop = () => kill(child);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    let errors = "";
    child.stdout!.on("data", taken);
    child.stderr!.on("data", (bytes: Buffer) => void (errors = (errors + bytes.toString()).slice(-errorCharactersMax)));
    const outcome = await ended(child);
    signal.removeEventListener("abort", stop);
    return { ...outcome, errors: errors.trim() };
  }
}

interface Ended {
  code: number | null;
  message: string;
  /** It could not be started. */
  error?: Error;
}

/** In a group of its own, so that it goes with all that it may have started. */
function spawnJournalctl(options: string[]): ChildProcess {
  return spawn("journalctl", options, {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    env: { ...process.env, LC_ALL: "C", SYSTEMD_COLORS: "0" },
  });
}

function kill(child: ChildProcess | undefined): void {
  if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if (systemCode(error) !== "ESRCH") throw error;
  }
}

async function ended(child: ChildProcess): Promise<Ended> {
  return new Promise((resolve) => {
    child.once("error", (cause) => {
      const missing = systemCode(cause) === "ENOENT";
      const error = missing ? new Error("there is no journalctl on this host: name files instead", { cause }) : cause;
      resolve({ code: null, message: error.message, error });
    });
    child.once("close", (code, signal) => resolve({ code, message: signal ?? `code ${code}` }));
  });
}

function place({ directory }: JournalMatches): string[] {
  return directory === undefined ? [] : [`--directory=${directory}`];
}

function matchArguments({ units, identifiers, matches, priority = "debug" }: JournalMatches): string[] {
  return [
    ...(priority === "debug" ? [] : [`--priority=${priority}`]),
    ...units.map((unit) => `--unit=${unit}`),
    ...identifiers.map((identifier) => `--identifier=${identifier}`),
    "--",
    ...matches,
  ];
}

function cursorOf(output: string): string | undefined {
  try {
    const { __CURSOR: cursor } = JSON.parse(output.split("\n", 1)[0]!) as Record<string, unknown>;
    return typeof cursor === "string" ? cursor : undefined;
  } catch {
    // An empty journal has none: it is read from its start.
    return undefined;
  }
}

/** Whole lines out of chunks; one that is too long, or no JSON, is passed over. */
class JsonLines {
  readonly #passedOver: (message: string) => void;
  #rest: Buffer[] = [];
  #length = 0;

  constructor(passedOver: (message: string) => void) {
    this.#passedOver = passedOver;
  }

  add(bytes: Buffer): Record<string, unknown>[] {
    const entries: Record<string, unknown>[] = [];
    let at = 0;
    for (let next = bytes.indexOf(10); next >= 0; next = bytes.indexOf(10, at)) {
      this.#put(bytes.subarray(at, next));
      entries.push(...this.#parsed());
      at = next + 1;
    }
    this.#put(bytes.subarray(at));
    return entries;
  }

  #put(bytes: Buffer): void {
    this.#length += bytes.length;
    if (this.#length <= entryBytesMax && bytes.length > 0) this.#rest.push(bytes);
  }

  #parsed(): Record<string, unknown>[] {
    const line = Buffer.concat(this.#rest).toString();
    const tooLong = this.#length > entryBytesMax;
    this.#rest = [];
    this.#length = 0;
    if (tooLong) this.#passedOver(`an entry of the journal has more than ${entryBytesMax} bytes and was passed over`);
    if (tooLong || line === "") return [];
    try {
      return [JSON.parse(line) as Record<string, unknown>];
    } catch {
      this.#passedOver("journalctl wrote a line that is no JSON; it was passed over");
      return [];
    }
  }
}

function entryOf(entry: Record<string, unknown>): JournalEntry {
  const text = (name: string) => textOf(entry[name])?.slice(0, fieldCharactersMax);
  const micros = Number(entry["__REALTIME_TIMESTAMP"]);
  return {
    message: textOf(entry["MESSAGE"]) ?? "",
    time: Number.isFinite(micros) ? micros / 1_000 : Date.now(),
    unit: text("UNIT") ?? text("_SYSTEMD_UNIT"),
    identifier: text("SYSLOG_IDENTIFIER") ?? text("_COMM"),
    pid: integer(text("_PID")),
    priority: integer(text("PRIORITY")),
  };
}

/** A field with bytes that are no text is a list of numbers; one that an entry has several times, a list of fields. */
function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  if (typeof value[0] === "number") return Buffer.from(value as number[]).toString();
  return textOf(value[0]);
}

function integer(text: string | undefined): number | undefined {
  const value = Number(text);
  return text !== undefined && Number.isInteger(value) ? value : undefined;
}
