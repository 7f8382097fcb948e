/**
 * What the journal needs from time to time: closed partitions are sealed, old ones are dropped, and so is what was noted of agents' numberings
 * that are over. Lives in the thread of the writer, and
 * leaves the work of sealing to another. Sealing waits while much is appended, as long as it can.
 *
 * Keeps P4: what retention drops is told of as `journal.trimmed`, before it goes; an agent whose numberings are too many, as `agent.renumbered`.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { isoTime } from "@needfire/shared/clock";
import { errorText, systemCode } from "@needfire/shared/errors";
import type { MasterEventDraft } from "@needfire/shared/task";
import type { EngineLog } from "../engine-log.ts";
import { originsMax, type Surplus } from "./origins.ts";
import { type Partition, sealedFile } from "./partition.ts";
import { syncDirectoryOf } from "../sync-path.ts";
import type { SealedFile } from "./seal.ts";
import type { JournalWriter } from "./sqlite.ts";

const tickMs = 1_000;
/** Fewer events a second than this, over a few ticks, and the journal is quiet. */
const quietEventsPerSecond = 20_000;
const quietTicks = 3;
/** More closed partitions than this are sealed however much is appended: they are read without an index, and take room in the database. */
const closedMax = 20;
/** After sealing failed, for want of room on the disk as a rule. */
const retryTicks = 30;
/** Origins that are looked for at a time, and that go at a time: the journal is appended to in between. */
const originsPerLook = 20_000;
const originsPerTurn = 1_000;
/** Ended tasks that go at a time. */
const tasksPerTick = 500;

export interface Retention {
  /** Since the events came to the master. */
  keepMs: number;
  /** Of all partitions together. */
  bytesMax: number;
}

export interface UpkeepOptions {
  journal: JournalWriter;
  /** The directory of the sealed partitions. */
  directory: string;
  /** Makes a file of a closed partition ; away from this thread, which appends. */
  seal(partition: Partition): Promise<SealedFile>;
  /** Resolves when the event is durable. */
  emit(event: MasterEventDraft): Promise<unknown>;
  /** Removes tasks that ended before a time, and their executions; returns how many. */
  forgetTasks(before: number, limit: number): number;
  retention: Retention;
  clock: { now(): number };
  log: EngineLog;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<void> = Promise.resolve();
  #appended: number;
  #quiet = 0;
  #pause = 0;
  /** Tasks that ended before it may go. */
  #tasksBefore: number | undefined;
  #isBusy = false;
  #isStopping = false;
  /** There may be origins that nobody needs any more. */
  #originsDue = true;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#appended = options.journal.partitions().at(-1)!.last;
  }

  start(): void {
    this.#cleanUp();
    this.#timer = setInterval(() => {
      if (this.#isBusy) return;
      this.#isBusy = true;
      this.#turn = this.tick().finally(() => {
        this.#isBusy = false;
      });
    }, tickMs);
  }

  /** Lets what it is doing end. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#isStopping = true;
    await this.#turn;
  }

  /** One round. Never throws: what could not be done is tried again. */
  async tick(): Promise<void> {
    const { journal, log } = this.#options;
    const { last } = journal.partitions().at(-1)!;
    this.#quiet = (last - this.#appended) * (1_000 / tickMs) < quietEventsPerSecond ? this.#quiet + 1 : 0;
    this.#appended = last;
    if (this.#pause > 0) {
      this.#pause--;
      return;
    }
    try {
      // One a round, so that others have the processor, too; but while too many wait, one after the other.
      do {
        await this.#sealOne();
        await this.#trim();
        await this.#forgetOrigins();
      } while (this.#closed.length > closedMax && !this.#isStopping);
      this.#forgetTasks();
    } catch (error) {
      this.#pause = retryTicks;
      log.error({ error: errorText(error) }, `the journal's upkeep failed and is tried again in ${(retryTicks * tickMs) / 1_000} s`);
    }
  }

  get #closed(): readonly Partition[] {
    return this.#options.journal.partitions().filter(({ state }) => state === "closed");
  }

  async #sealOne(): Promise<void> {
    const { journal, seal } = this.#options;
    const [oldest] = this.#closed;
    if (oldest === undefined || (this.#quiet < quietTicks && this.#closed.length <= closedMax)) return;
    journal.markSealed(oldest.number, await seal({ ...oldest }));
    this.#originsDue = true;
  }

  async #trim(): Promise<void> {
    const { journal, directory, emit, clock, retention } = this.#options;
    const due = dueToGo(journal.partitions(), retention, clock.now());
    if (due.length === 0) return;
    await emit(trimmed(due, retention));
    journal.forget(due.map(({ number }) => number));
    for (const { number } of due) rmSync(sealedFile(directory, number), { force: true });
    syncDirectoryOf(sealedFile(directory, 0));
    this.#tasksBefore = journal.partitions()[0]!.receivedMin;
    this.#originsDue = true;
  }

  /** All that there are: they go faster than any agent can begin new ones. */
  async #forgetOrigins(): Promise<void> {
    if (!this.#originsDue) return;
    const { journal, emit } = this.#options;
    for (;;) {
      const surplus = journal.surplusOrigins(originsPerLook);
      if (surplus.length === 0) break;
      for (const event of renumbered(surplus)) await emit(event);
      for (let from = 0; from < surplus.length; from += originsPerTurn) {
        journal.forgetOrigins(surplus.slice(from, from + originsPerTurn));
        await nextTurn();
      }
    }
    this.#originsDue = false;
  }

  /** In small pieces, so that nothing waits for them. */
  #forgetTasks(): void {
    if (this.#tasksBefore === undefined || !Number.isFinite(this.#tasksBefore)) return;
    if (this.#options.forgetTasks(this.#tasksBefore, tasksPerTick) < tasksPerTick) this.#tasksBefore = undefined;
  }

  /** What a crash left: files that did not get their name, and files of partitions that were dropped already. */
  #cleanUp(): void {
    const { journal, directory, log } = this.#options;
    const partitions = journal.partitions();
    for (const name of namesIn(directory)) {
      const number = Number(/^([0-9]+)\.db$/.exec(name)?.[1] ?? Number.NaN);
      if (name.endsWith(".tmp") || number < partitions[0]!.number) rmSync(join(directory, name), { force: true });
    }
    const missing = partitions.filter(({ state, number }) => state === "sealed" && !existsSync(sealedFile(directory, number)));
    if (missing.length > 0)
      log.error({ partitions: missing.map(({ number }) => number) }, `sealed partitions of the journal are missing in ${directory}`);
  }
}

/** The oldest sealed partitions that are too old, or too much. A table never goes as it is, and the live one never. */
function dueToGo(partitions: readonly Partition[], { keepMs, bytesMax }: Retention, now: number): Partition[] {
  let bytes = partitions.reduce((sum, partition) => sum + partition.bytes, 0);
  const due: Partition[] = [];
  for (const partition of partitions) {
    if (partition.state !== "sealed" || (partition.receivedMax >= now - keepMs && bytes <= bytesMax)) break;
    due.push(partition);
    bytes -= partition.bytes;
  }
  return due;
}

function trimmed(due: readonly Partition[], { keepMs, bytesMax }: Retention): MasterEventDraft {
  return {
    type: "journal.trimmed",
    severity: "low",
    data: {
      partitions: due.map(({ number }) => number),
      events: due.reduce((sum, { events }) => sum + events, 0),
      bytes: due.reduce((sum, { bytes }) => sum + bytes, 0),
      from: isoTime(Math.min(...due.map(({ receivedMin }) => receivedMin))),
      to: isoTime(Math.max(...due.map(({ receivedMax }) => receivedMax))),
      keep_ms: keepMs,
      bytes_max: bytesMax,
    },
  };
}

/** Of those whose events the journal still has: nobody else's numberings are so many. */
function renumbered(surplus: readonly Surplus[]): MasterEventDraft[] {
  const byAgent = Map.groupBy(
    surplus.filter(({ early }) => early),
    ({ agent }) => agent,
  );
  return [...byAgent].map(([agent, { length }]) => ({
    type: "agent.renumbered",
    severity: "high",
    subject: agent,
    data: { agent, forgotten: length, kept: originsMax },
  }));
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw error;
  }
}
