/**
 * What the journal needs from time to time: closed partitions are sealed, old ones are dropped, and so is what was noted of agents' numberings
 * that are over. Lives in the thread of the writer, and
 * leaves the work of sealing to another. Sealing waits while much is appended, as long as it can.
 *
 * Keeps P4: what retention drops is told of as `journal.trimmed`; a partition whose file is damaged, as `journal.partition_damaged`; an agent
 * whose numberings are too many, as `agent.renumbered`.
 */
import { closeSync, openSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { isoTime } from "@needfire/shared/clock";
import { errorText, NeedfireError, systemCode } from "@needfire/shared/errors";
import type { MasterEventDraft } from "@needfire/shared/task";
import type { EngineLog } from "../engine-log.ts";
import { originsMax, type Surplus } from "./origins.ts";
import { type Partition, sealedFile } from "./partition.ts";
import { isSound } from "./sealed.ts";
import { syncDirectoryOf } from "../sync-path.ts";
import type { SealedFile } from "./seal.ts";
import type { JournalWriter } from "./sqlite.ts";

const tickMs = 1_000;
/** Fewer events a second than this, over a few ticks, and the journal is quiet. */
const quietEventsPerSecond = 20_000;
const quietTicks = 3;
/** More closed partitions than this are sealed however much is appended: they are read without an index, and take room in the database. */
const closedMax = 20;
/**
 * With more of them than this nothing of what does not overtake is appended until one is sealed: agents keep it (P4, docs/decisions/0027). Not so
 * while sealing fails: then one broken disk would stop the events of the whole fleet.
 */
export const waitingMax = 50;
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
  /** `holdsBack` may have changed. */
  onProgress(): void;
  /** Resolves when the event is durable, and with it, in one transaction, what `journal` does to the catalogue. */
  emit(event: MasterEventDraft, journal?: () => void): Promise<unknown>;
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
  /** Retention has emptied the files of partitions up to this number. */
  #emptied = 0;
  /** Too many wait, which has been told. */
  #behindSince: number | undefined;
  /** Why the last attempt to seal failed. */
  #sealFailure: string | undefined;
  /** Why the last attempt to remove what retention lets go failed; it has been logged. */
  #trimFailure: string | undefined;
  /** Partitions whose damage is to be told of, with the reason. */
  readonly #damaged = new Map<number, string>();
  /** Partitions that were damaged, and were put back. */
  readonly #mended = new Set<number>();

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#appended = options.journal.partitions().at(-1)!.last;
  }

  start(): void {
    try {
      this.#cleanUp();
    } catch (error) {
      // Old files are no reason not to begin: what is damaged is found by whoever asks for it, and retention goes by the catalogue.
      this.#options.log.error({ error: errorText(error) }, "the journal's old files could not be looked through");
    }
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

  /** Whether so many partitions wait to be sealed that what comes should wait, too. */
  get holdsBack(): boolean {
    return !this.#isStopping && this.#sealFailure === undefined && this.#options.journal.waiting > waitingMax;
  }

  /** A sealed partition cannot be read: that is told once, whoever found it, and however often. */
  damaged(number: number, reason: string): void {
    const { journal, log } = this.#options;
    const partition = journal.partitions().find((each) => each.number === number);
    if (partition === undefined || partition.damage !== undefined || this.#damaged.has(number)) return;
    log.error({ partition: number, reason }, "a sealed partition of the journal cannot be read: answers are without its events");
    this.#damaged.set(number, reason);
  }

  /** One round. Never throws: what could not be done is tried again. */
  async tick(): Promise<void> {
    const { journal, log } = this.#options;
    const { last } = journal.partitions().at(-1)!;
    this.#quiet = (last - this.#appended) * (1_000 / tickMs) < quietEventsPerSecond ? this.#quiet + 1 : 0;
    this.#appended = last;
    try {
      // However sealing fares, which needs room: this makes some.
      await this.#tryTrim();
      await this.#tellDamage();
      await this.#tellLag();
      if (this.#pause > 0) {
        this.#pause--;
        return;
      }
      // One a round, so that others have the processor, too; but while too many wait, one after the other.
      do {
        await this.#sealOne();
        await this.#tellLag();
        await this.#tryTrim();
        await this.#forgetOrigins();
      } while (journal.waiting > closedMax && !this.#isStopping);
      this.#forgetTasks();
    } catch (error) {
      if (this.#pause > 0) return;
      this.#pause = retryTicks;
      log.error({ error: errorText(error) }, `the journal's upkeep failed and is tried again in ${(retryTicks * tickMs) / 1_000} s`);
    }
  }

  /** One file that cannot be removed must not keep all others from being sealed, nor the events of the fleet from coming. */
  async #tryTrim(): Promise<void> {
    try {
      await this.#trim();
      this.#trimFailure = undefined;
    } catch (error) {
      const failure = errorText(error);
      if (failure !== this.#trimFailure)
        this.#options.log.error({ error: failure }, "what retention lets go cannot be removed; it is tried again");
      this.#trimFailure = failure;
    }
  }

  async #sealOne(): Promise<void> {
    const { journal, seal, onProgress } = this.#options;
    if (journal.waiting === 0 || (this.#quiet < quietTicks && journal.waiting <= closedMax)) return;
    const oldest = journal.partitions().at(-1 - journal.waiting)!;
    try {
      journal.markSealed(oldest.number, await seal({ ...oldest }));
      this.#sealFailure = undefined;
      this.#originsDue = true;
    } catch (error) {
      this.#sealFailure = errorText(error);
      throw error;
    } finally {
      onProgress();
    }
  }

  /** Once when too many wait, and once when that is over. */
  async #tellLag(): Promise<void> {
    const { journal, emit, clock } = this.#options;
    const { waiting } = journal;
    if (this.#behindSince === undefined && waiting > waitingMax) {
      const events = journal
        .partitions()
        .slice(-1 - waiting, -1)
        .reduce((sum, each) => sum + each.events, 0);
      await emit(behind({ partitions: waiting, events, failure: this.#sealFailure }));
      this.#behindSince = clock.now();
    } else if (this.#behindSince !== undefined && waiting <= closedMax) {
      await emit({ type: "journal.caught_up", severity: "low", data: { from: this.#behindSince, to: clock.now() } });
      this.#behindSince = undefined;
    }
  }

  /**
   * The files are emptied first: that needs no room on a disk that is full, and gives some, also of a file that a reader has open. A file without a
   * byte is the note that this is retention's doing: what a crash or a full disk leaves untold is told later, from the catalogue. The event and the
   * end of the partition in the catalogue are one transaction, so it is told once (P4).
   */
  async #trim(): Promise<void> {
    const { journal, directory, clock, retention } = this.#options;
    const due = dueToGo(journal.partitions(), { ...retention, emptied: this.#emptied, now: clock.now() });
    const gone: Partition[] = [];
    let failure: { error: unknown } | undefined;
    for (const partition of due) {
      try {
        empty(sealedFile(directory, partition.number));
      } catch (error) {
        failure = { error };
        break;
      }
      gone.push(partition);
      this.#emptied = Math.max(this.#emptied, partition.number);
    }
    // What has gone is told of all the same.
    if (gone.length > 0) await this.#tellTrimmed(gone);
    if (failure !== undefined) throw failure.error;
  }

  async #tellTrimmed(gone: readonly Partition[]): Promise<void> {
    const { journal, directory, emit, retention } = this.#options;
    const numbers = gone.map(({ number }) => number);
    try {
      await emit(trimmed(gone, retention), () => journal.forget(numbers));
    } catch (error) {
      // The room that there is now is others' at the moment: it is told with the next round.
      if (error instanceof NeedfireError && error.code === "DISK_FULL") return;
      throw error;
    }
    journal.catalogueChanged();
    for (const number of numbers) rmSync(sealedFile(directory, number), { force: true });
    syncDirectoryOf(sealedFile(directory, 0));
    this.#tasksBefore = journal.partitions()[0]!.receivedMin;
    this.#originsDue = true;
  }

  /** Of what was put back the log says so: should it be damaged again, that is another event. */
  async #tellDamage(): Promise<void> {
    const { journal, directory, emit, log } = this.#options;
    for (const number of this.#mended) {
      journal.forgetDamage(number);
      this.#mended.delete(number);
      log.warn({ partition: number }, "a sealed partition of the journal can be read again");
    }
    for (const [number, reason] of this.#damaged) {
      const partition = journal.partitions().find((each) => each.number === number);
      if (partition !== undefined) {
        await emit(damagedEvent(partition, sealedFile(directory, number), reason), () => journal.noteDamage(number, reason));
        journal.catalogueChanged();
      }
      this.#damaged.delete(number);
    }
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

  /** What a crash left: files that did not get their name, and files of partitions that were dropped already, or are about to be. */
  #cleanUp(): void {
    const { journal, directory } = this.#options;
    const partitions = journal.partitions();
    for (const name of namesIn(directory)) {
      const number = Number(/^([0-9]+)\.db$/.exec(name)?.[1] ?? Number.NaN);
      if (name.endsWith(".tmp") || number < partitions[0]!.number) rmSync(join(directory, name), { force: true });
    }
    const sealed = partitions.filter(({ state }) => state === "sealed");
    const sizes = new Map(sealed.map(({ number }) => [number, sizeOf(sealedFile(directory, number))]));
    // Retention empties the oldest: one without a byte behind one that has some is not its doing.
    for (const { number } of sealed) {
      if (sizes.get(number) !== 0) break;
      this.#emptied = number;
    }
    for (const { number, bytes, damage } of sealed.filter((each) => each.number > this.#emptied)) {
      const size = sizes.get(number);
      if (damage !== undefined && isSound(sealedFile(directory, number))) this.#mended.add(number);
      if (size === undefined) this.damaged(number, "the file is gone");
      else if (size < bytes) this.damaged(number, `the file has ${size} bytes and was written with ${bytes}`);
    }
  }
}

/** The oldest sealed partitions that are too old, too much, or emptied already. A table never goes as it is, and the live one never. */
function dueToGo(
  partitions: readonly Partition[],
  { keepMs, bytesMax, emptied, now }: Retention & { emptied: number; now: number },
): Partition[] {
  let bytes = partitions.reduce((sum, partition) => sum + partition.bytes, 0);
  const due: Partition[] = [];
  for (const partition of partitions) {
    const isWanted = partition.number > emptied && partition.receivedMax >= now - keepMs && bytes <= bytesMax;
    if (partition.state !== "sealed" || isWanted) break;
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

function behind({ partitions, events, failure }: { partitions: number; events: number; failure: string | undefined }): MasterEventDraft {
  const held = failure === undefined ? { held: true } : { held: false, reason: failure.slice(0, 2_000) };
  return { type: "journal.behind", severity: "high", data: { partitions, events, partitions_max: waitingMax, ...held } };
}

function damagedEvent({ number, events, timeMin, timeMax }: Partition, file: string, cause: string): MasterEventDraft {
  return {
    type: "journal.partition_damaged",
    severity: "critical",
    subject: file,
    data: { partition: number, reason: cause.slice(0, 2_000), events, from: isoTime(timeMin), to: isoTime(timeMax) },
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

function empty(file: string): void {
  try {
    truncateSync(file);
  } catch (error) {
    // It is gone already, and leaves the catalogue all the same.
    if (systemCode(error) === "ENOENT") return;
    // Another user's by now, who put it back from a backup: in the master's own directory it can be replaced.
    rmSync(file);
    closeSync(openSync(file, "wx", 0o600));
  }
}

function sizeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.size;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw error;
  }
}
