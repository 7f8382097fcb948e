/**
 * What the agent must not lose: events that the master has not yet committed (P1 append, then ack), in four lanes by severity (P8), and
 * the journal of commands that were begun here (P3 at most once on the host), with the leases that will begin some, and what beacons remember. Numbers come from one counter for all lanes; what a limit
 * takes away is counted and told (P4). A file that is damaged, at the start or while it is in use, is set aside, and a new numbering
 * begins in a new one. A spool that was put back to an earlier state is found out by what the master has of it: then, too, a new numbering begins.
 */
import { crc32 } from "node:zlib";
import type { ExecutionReport } from "@needfire/shared/action";
import { errorText, NeedfireError } from "@needfire/shared/errors";
import { type EventDraft, resultType, severities, type Severity } from "@needfire/shared/event";
import { pack } from "@needfire/shared/pack";
import { isBusy } from "@needfire/shared/sqlite-code";
import type { MasterBody } from "@needfire/shared/wire";
import { packDraft, type Spooled } from "./packed-event.ts";
import { type Entry, Pending } from "./pending.ts";
import { countShed, type Shed, type ShedCause, shedEvents, type Tally } from "./shed.ts";
import { eachLane, freshEpoch, isDamaged, type LaneContent, SpoolFile } from "./spool-file.ts";
import { type MemoryRow, WaitingMemory } from "./spool-memory.ts";
import { endOfStep, keepLease, keptLeases, type KeptLease } from "./spool-leases.ts";
import { setAside } from "./spool-salvage.ts";
import { shedBefore, shedFor, type Stock } from "./spool-shed.ts";

export interface SpoolOptions {
  file: string;
  synchronous: "FULL" | "NORMAL";
  /** Over this the oldest events of the lowest lane are shed (P4). Results of commands are always taken. */
  bytesMax: number;
  /** Events that wait for longer are shed. */
  ageMaxMs: number;
  clock: { now(): number };
  /** The disk took nothing, and what waits is tried again; or the file is damaged, and a new one is begun. */
  onTrouble?: (error: unknown) => void;
}

/** Finished commands are remembered this long, and about this many, against redelivery. */
const executionsKeptMs = 7 * 86_400_000;
const executionsKeptMax = 10_000;
/** After so many commands the oldest are looked for and forgotten. */
const pruneEvery = 1_000;
/** What was acknowledged leaves the disk after this time, or with the next write when it is so many: a single write is an event's way out. */
const forgetAfterMs = 1_000;
const forgetEvents = 256;
/** How long to wait before a disk that took nothing is tried again. */
const retryMs = 1_000;
/** How long what is shed is counted before an event says so: shedding must not fill the spool with reports of it. */
const tellShedAfterMs = 10_000;
/** How often the oldest events are looked at. */
const ageCheckMs = 60_000;

/** What one transaction put into the spool, by lane and in order. `after`: the number of the lane's event before them. */
export type Fresh = Record<Severity, { after: number; events: Spooled[] }>;

/** `forgotten`: up to where the file has let go of what is acknowledged. `sent`: the highest that was ever on its way. */
type Lane = LaneContent & { forgotten: number; sent: number };

/** All that a transaction that fails must give back. */
interface State {
  last: number;
  stored: number;
  lanes: Record<Severity, Lane>;
  /** Lives before this one may have said numbers up to this one to the master. */
  said: number;
  shed: Tally;
  shedStored: Tally;
}

/** The last number that the master has of each lane of a numbering. */
type Marks = MasterBody<"marks">;

/** A file that was set aside. `events`: how many were in it and not acknowledged, where that is known. */
interface Lost {
  error: unknown;
  keptAs: string;
  epoch?: string;
  events?: number;
}

export class Spool {
  readonly #options: SpoolOptions;
  readonly #pending = new Pending();
  readonly #memory = new WaitingMemory();
  readonly #appendListeners = new Set<(fresh: Fresh) => void>();
  readonly #epochListeners = new Set<() => void>();
  /** Commands that this process began and has not finished. */
  readonly #running = new Set<string>();
  /** Undefined while a damaged file was set aside and the disk does not let a new one begin. */
  #file: SpoolFile | undefined;
  #epoch: string;
  #state: State;
  #lost: Lost | undefined;
  /** The end of the file was lost, which has been told: what was begun there is not known. */
  #isTorn: boolean;
  #closed = false;
  #flushing = false;
  #tellShedNow = false;
  #finished = 0;
  #retry: NodeJS.Timeout | undefined;
  #forgetting: NodeJS.Timeout | undefined;
  #telling: NodeJS.Timeout | undefined;
  #aging: NodeJS.Timeout | undefined;

  private constructor(options: SpoolOptions, file: SpoolFile, lost: Lost | undefined) {
    this.#options = options;
    this.#file = file;
    this.#epoch = file.epoch;
    this.#state = stateOf(file);
    this.#lost = lost;
    this.#isTorn = file.isTorn;
  }

  /**
   * Opens or makes the spool. A damaged file is set aside under a name of its own and a new one begun, with an event that says so.
   * Throws `STATE_LOCKED` when another agent has it.
   */
  static open(options: SpoolOptions): Spool {
    let file: SpoolFile;
    let lost: Lost | undefined;
    try {
      file = openFile(options);
    } catch (error) {
      if (!isDamaged(error)) throw error;
      options.onTrouble?.(error);
      lost = { error, keptAs: setAside(options.file, options.clock.now()) };
      file = openFile(options);
    }
    const spool = new Spool(options, file, lost);
    spool.#begin();
    return spool;
  }

  /** Of the numbering in use; another one after the file was set aside. */
  get epoch(): string {
    return this.#epoch;
  }

  /** Calls `listener` with what is on the disk from now on, so that it need not be read back. */
  onAppend(listener: (fresh: Fresh) => void): void {
    this.#appendListeners.add(listener);
  }

  /** Calls `listener` when a new numbering has begun: what was on its way is gone from here, and every lane begins anew. */
  onNewEpoch(listener: () => void): void {
    this.#epochListeners.add(listener);
  }

  /** Events that are here: not acknowledged, or acknowledged within the last second. */
  count(): number {
    return severities.reduce((sum, lane) => sum + this.#state.lanes[lane].events, this.#pending.count);
  }

  /** The number up to which the master has a lane, from before a restart too. */
  acknowledged(lane: Severity): number {
    return this.#state.lanes[lane].acknowledged;
  }

  /** The number of a lane's last event. */
  last(lane: Severity): number {
    return this.#state.lanes[lane].last;
  }

  /**
   * The master told the last number that it has of each lane of a numbering. True: events may be sent now, in that numbering. False: it has
   * some that were never sent from here, so this spool was put back to an earlier state, and what it makes would stand under numbers that the
   * master takes for repetitions (P1); or records of commands may be missing, which the master must not send as new ones (P3). A new numbering
   * has begun for all that the master does not have. Throws what the disk says.
   */
  meet({ epoch, ...marks }: Marks): boolean {
    const isAhead = () => severities.some((lane) => marks[lane] > this.#saidIn(lane));
    this.#whole(() => {
      if (epoch !== this.#epoch) return;
      if (isAhead() || this.#isTorn) this.#turn(marks);
      else this.#open().markSaid();
    });
    return epoch === this.#epoch;
  }

  /** Takes an event. All of one turn go to disk in one transaction, before anybody is told of them. */
  append(draft: EventDraft): void {
    this.#take({ lane: draft.severity, event: packDraft(draft), always: false });
    // A disk that took nothing is not tried again with each event.
    if (this.#flushing || this.#retry !== undefined) return;
    this.#flushing = true;
    queueMicrotask(() => this.flush());
  }

  /** What a beacon remembers, also what has not gone to disk yet. Nothing, when the disk cannot say: it begins anew. */
  recall(beacon: string): MemoryRow[] {
    try {
      return this.#whole(() => this.#memory.recall(beacon, this.#open().memory));
    } catch (error) {
      this.#options.onTrouble?.(error);
      return [];
    }
  }

  /** Goes to disk with the events of this turn, or soon: without an event nothing is told twice when it is lost. Undefined: the row goes. */
  remember(beacon: string, key: string, value: Uint8Array | undefined): void {
    this.#memory.remember(beacon, key, value);
    this.#forgetLater();
  }

  /** What other beacons remember goes. */
  forgetOthers(beacons: ReadonlySet<string>): void {
    this.#memory.forgetOthers(beacons);
    this.#forgetLater();
  }

  /** Writes what waits. What the disk does not take (it is full, say) is kept and tried again. */
  flush(): void {
    this.#flushing = false;
    if (this.#pending.count === 0) return;
    const entries = this.#pending.take();
    let fresh: Fresh;
    try {
      fresh = this.#whole(() => this.#transaction(() => this.#writeAll(entries)));
    } catch (error) {
      for (const entry of entries) this.#pending.add(entry);
      return this.#tryAgain(error);
    }
    clearTimeout(this.#retry);
    this.#retry = undefined;
    for (const listener of this.#appendListeners) listener(fresh);
  }

  /** Events of a lane after the number `after`, in order, at most `limit` of them and `bytesMax` bytes (but one at least). */
  read(lane: Severity, page: { after: number; limit: number; bytesMax: number }): Spooled[] {
    const { epoch } = this;
    try {
      // Numbers of a file that was set aside meanwhile say nothing in the new one.
      return this.#whole(() => (this.#epoch === epoch ? this.#open().read(lane, page) : []));
    } catch (error) {
      this.#tryAgain(error);
      return [];
    }
  }

  /** Events of the lane up to `sequence` are on their way: they are shed after those that are not. */
  noteSent(lane: Severity, sequence: number): void {
    const at = this.#state.lanes[lane];
    at.sent = Math.max(at.sent, sequence);
  }

  /**
   * The master has committed everything of the lane up to `sequence`. P1: only now is it forgotten, and without a transaction of its own:
   * an acknowledgement that a crash loses costs a repetition, which the master drops, while a sync to the disk would hold up a command.
   */
  acknowledge({ epoch, lane, sequence }: { epoch: string; lane: Severity; sequence: number }): void {
    const at = this.#state.lanes[lane];
    if (epoch !== this.#epoch || sequence <= at.acknowledged) return;
    at.acknowledged = sequence;
    this.#forgetLater();
  }

  /**
   * P3: notes that a command is about to run, and the lane of its result. False when it was begun before: it must not run again. Throws
   * when the disk takes nothing.
   */
  begin({ execution, action, priority }: { execution: string; action: string; priority: Severity }): boolean {
    const now = this.#options.clock.now();
    const isNew = this.#whole(() => this.#open().statements.begin.run(execution, action, priority, now).changes === 1);
    if (isNew) {
      this.#running.add(execution);
      this.#open().markBegun(execution);
    }
    return isNew;
  }

  /** Notes the end of a command and spools its result, both or neither. */
  finish(report: ExecutionReport, { priority, subject }: { priority: Severity; subject?: string }): void {
    this.#running.delete(report.execution);
    this.#take({ lane: priority, event: packDraft(resultEvent(report, subject)), always: true, finished: report });
    this.flush();
  }

  /** Keeps a lease, which may be here already. False: what it would do next was begun before. Throws when the disk takes nothing. */
  lend(lease: KeptLease): boolean {
    return this.#whole(() => keepLease(this.#open().leases, lease));
  }

  /** The leases that are here, in the order in which they came. */
  leases(): KeptLease[] {
    return this.#whole(() => keptLeases(this.#open().leases));
  }

  /** Which commands were begun before is not known for certain: records of them are missing. */
  get isTorn(): boolean {
    return this.#isTorn;
  }

  /** A command that the last life began goes on in this one. False: there is none without a result. */
  resume(execution: string): boolean {
    const isOpen = this.#whole(() => this.#open().unfinished()).some((row) => row.execution === execution);
    if (isOpen) this.#running.add(execution);
    return isOpen;
  }

  /** Reports every command that was under way when the agent died, or whose end was lost with a damaged file. */
  reportInterrupted(): string[] {
    const ended = this.#options.clock.now();
    const rows = this.#whole(() => this.#open().unfinished());
    const interrupted: string[] = [];
    for (const { execution, action, lane, begun } of rows) {
      if (this.#running.has(execution)) continue;
      interrupted.push(execution);
      const report: ExecutionReport = {
        execution,
        action,
        outcome: "interrupted",
        changed: true,
        message: "the agent stopped while this ran, or lost the record of its end; how far it came is not known",
        started: begun,
        ended,
      };
      this.#take({ lane, event: packDraft(resultEvent(report, undefined)), always: true, finished: report });
    }
    this.flush();
    return interrupted;
  }

  /** Sheds what has waited for too long. */
  shedAged(): void {
    this.#tidy(() => {
      const { clock, ageMaxMs } = this.#options;
      for (const each of shedBefore(this.#stock, clock.now() - ageMaxMs)) this.#countShed("age", each);
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#tellShedNow = true;
    this.flush();
    this.#tidy(() => {});
    for (const timer of [this.#retry, this.#forgetting, this.#telling]) clearTimeout(timer);
    clearInterval(this.#aging);
    // With something left in memory, or no file to leave it to, the end is not a clean one.
    this.#file?.close(this.#pending.count === 0 ? this.#state.stored : undefined);
    this.#file = undefined;
  }

  #begin(): void {
    this.#aging = setInterval(() => this.shedAged(), ageCheckMs).unref();
    this.#sayWhatIsLost();
    this.#tellShedNow = true;
    this.#tidy(() => this.#open().statements.forgetBefore.run(this.#options.clock.now() - executionsKeptMs));
    this.flush();
    this.shedAged();
  }

  /** None beyond this number of the lane has ever been on its way to the master. */
  #saidIn(lane: Severity): number {
    return Math.max(this.#state.said, this.#state.lanes[lane].sent);
  }

  #turn(marks: Record<Severity, number>): void {
    const file = this.#open();
    const now = this.#options.clock.now();
    const epoch = freshEpoch(now, this.#epoch);
    // Up to there both lives were one.
    const known = eachLane((lane) => Math.max(this.acknowledged(lane), Math.min(marks[lane], this.#saidIn(lane))));
    const after = Math.max(...severities.map((lane) => this.#saidIn(lane)));
    const lanes = Object.fromEntries(severities.flatMap((lane) => (marks[lane] > this.#saidIn(lane) ? [[lane, marks[lane]]] : [])));
    this.#transaction(() => {
      file.turn(epoch, known);
      const content = eachLane((lane) => ({ ...file.content(lane, this.#state.last), forgotten: 0, sent: 0 }));
      this.#state = { ...this.#state, said: 0, lanes: content };
      const events = severities.reduce((sum, lane) => sum + content[lane].events, this.#pending.count);
      const data = { epoch: this.#epoch, after, until: Math.max(after, ...Object.values(lanes)), lanes, events };
      const draft: EventDraft = { type: "spool.turned_back", time: now, severity: "high", data };
      this.#writeEvent(this.#reportEntry(draft), noneFresh(content));
    });
    file.turned(epoch);
    this.#epoch = epoch;
    this.#isTorn = false;
    for (const listener of this.#epochListeners) listener();
  }

  #reportEntry(draft: EventDraft): Entry {
    return { lane: draft.severity, event: packDraft(draft), always: true };
  }

  #take(entry: Entry): void {
    // A burst within one turn is no trouble of the disk.
    if (this.#pending.full && this.#retry === undefined) this.flush();
    if (this.#pending.full && !entry.always) {
      const shed = this.#pending.shed(entry.lane) ?? entry;
      this.#countShed("memory", { lane: shed.lane, time: shed.event[2] });
      if (shed === entry) return;
    }
    this.#pending.add(entry);
  }

  #writeAll(entries: Entry[]): Fresh {
    const { lanes } = this.#state;
    const fresh = noneFresh(lanes);
    const tally = this.#state.shed;
    for (const entry of entries) {
      if (entry.finished !== undefined) this.#writeEnd(entry.finished);
      this.#writeEvent(entry, fresh);
    }
    // What was shed may be among them: then they are read from the disk.
    return this.#state.shed === tally ? fresh : noneFresh(lanes);
  }

  /** The number is that of its result, which is never shed and so comes next. */
  #writeEnd({ ended, execution, outcome }: ExecutionReport): void {
    const { statements, leases } = this.#open();
    statements.finish.run(ended, this.#state.last + 1, execution);
    endOfStep(leases, execution, outcome);
    if (++this.#finished % pruneEvery === 0) statements.prune.run(executionsKeptMax);
  }

  #writeEvent({ lane, event, always }: Entry, fresh: Fresh): void {
    event[0] = this.#state.last + 1;
    const packed = pack(event);
    if (!always && !this.#makeRoom(lane, packed.length)) return this.#countShed("bytes", { lane, time: event[2] });
    this.#state.last = event[0];
    this.#open().lanes[lane].insert.run(event[0], event[2], always ? 1 : 0, crc32(packed), packed);
    const at = this.#state.lanes[lane];
    at.last = event[0];
    at.events += 1;
    at.bytes += packed.length;
    if (always) at.alwaysBytes += packed.length;
    fresh[lane].events.push({ event, bytes: packed.length });
  }

  /** False: there is none to be had, or only in higher lanes. */
  #makeRoom(lane: Severity, bytes: number): boolean {
    const { lanes } = this.#state;
    const excess = () => severities.reduce((sum, each) => sum + lanes[each].bytes, bytes) - this.#options.bytesMax;
    // What the master has is not shed.
    if (excess() > 0) this.#forgetFrom(1);
    if (excess() <= 0) return true;
    const shed = shedFor(this.#stock, { lane, bytes: excess() });
    for (const each of shed ?? []) this.#countShed("bytes", each);
    return shed !== undefined;
  }

  get #stock(): Stock {
    return { lanes: this.#state.lanes, rows: this.#open().lanes };
  }

  #countShed(cause: ShedCause, shed: Shed): void {
    this.#state.shed = countShed(this.#state.shed, cause, shed);
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      this.#tellShedNow = true;
      this.#tidy(() => {});
    }, tellShedAfterMs);
  }

  #tellShed(): Fresh {
    const { shed, lanes } = this.#state;
    const fresh = noneFresh(lanes);
    this.#state.shed = {};
    for (const draft of shedEvents(shed, this.#options, this.#options.clock.now())) this.#writeEvent(this.#reportEntry(draft), fresh);
    return fresh;
  }

  #forgetLater(): void {
    this.#forgetting ??= setTimeout(() => {
      this.#forgetting = undefined;
      this.#tidy(() => {});
    }, forgetAfterMs);
  }

  /** A transaction for the spool's own sake, whose failure costs nothing: it is made up for by the next. */
  #tidy(work: () => void): void {
    let told: Fresh | undefined;
    try {
      this.#whole(() =>
        this.#transaction(() => {
          this.#forgetFrom(1);
          work();
          if (this.#tellShedNow && Object.keys(this.#state.shed).length > 0) told = this.#tellShed();
        }),
      );
      this.#tellShedNow = false;
    } catch (error) {
      return this.#tryAgain(error);
    }
    if (told !== undefined) for (const listener of this.#appendListeners) listener(told);
  }

  #tryAgain(error: unknown): void {
    this.#options.onTrouble?.(error);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#tidy(() => {});
      this.flush();
    }, retryMs);
  }

  /** Every transaction takes much that was acknowledged off the disk, too, and notes the last number and what was shed. */
  #transaction<T>(work: () => T): T {
    const file = this.#open();
    const before = copyOf(this.#state);
    const { database } = file;
    let result: T;
    try {
      database.exec("BEGIN IMMEDIATE");
      this.#forgetFrom(forgetEvents);
      result = work();
      this.#memory.write(file.memory);
      this.#noteNumbers();
      database.exec("COMMIT");
    } catch (error) {
      this.#state = before;
      if (database.isTransaction) database.exec("ROLLBACK");
      throw error;
    }
    this.#memory.written();
    file.mark(this.#state.stored);
    return result;
  }

  /** Lanes of which so many numbers were acknowledged; other lanes have some of them. */
  #forgetFrom(numbersMin: number): void {
    for (const lane of severities) {
      const { acknowledged, forgotten } = this.#state.lanes[lane];
      if (acknowledged - forgotten >= numbersMin) this.#forget(lane);
    }
  }

  #forget(lane: Severity): void {
    const at = this.#state.lanes[lane];
    const { lanes, statements } = this.#open();
    const freed = lanes[lane].upTo.get(at.acknowledged);
    lanes[lane].forget.run(at.acknowledged);
    statements.acknowledge.run(lane, at.acknowledged);
    at.events -= Number(freed?.["events"]);
    at.bytes -= Number(freed?.["bytes"]);
    at.alwaysBytes -= Number(freed?.["always"]);
    at.forgotten = at.acknowledged;
    at.last = Math.max(at.last, at.acknowledged);
  }

  #noteNumbers(): void {
    const state = this.#state;
    if (state.last === state.stored && state.shed === state.shedStored) return;
    this.#open().statements.number.run(state.last, Object.keys(state.shed).length === 0 ? "" : JSON.stringify(state.shed));
    state.stored = state.last;
    state.shedStored = state.shed;
  }

  /** The file; a new one, when the old one was set aside and the disk did not let another begin at once. */
  #open(): SpoolFile {
    if (this.#file === undefined && this.#closed) throw new Error("the spool is closed");
    if (this.#file === undefined) this.#beginAnew();
    return this.#file!;
  }

  /** Does `work`, and does it again in a new file when it comes upon damage in this one. */
  #whole<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!isDamaged(error)) throw error;
      this.#options.onTrouble?.(error);
      this.#replace(error);
      return work();
    }
  }

  #replace(error: unknown): void {
    const events = this.count() - this.#pending.count;
    this.#file?.abandon();
    this.#file = undefined;
    this.#lost = { error, keptAs: setAside(this.#options.file, this.#options.clock.now()), epoch: this.#epoch, events };
    this.#beginAnew();
  }

  /** In a new file, after one was set aside. What runs goes on; what else was begun and has no result is reported as interrupted. */
  #beginAnew(): void {
    this.#file = openFile(this.#options, this.#epoch);
    this.#epoch = this.#file.epoch;
    this.#state = { ...stateOf(this.#file), shed: this.#state.shed };
    this.#sayWhatIsLost();
    for (const listener of this.#epochListeners) listener();
    queueMicrotask(() => {
      if (!this.#closed) this.reportInterrupted();
    });
  }

  /** Into memory: it goes to disk with the next transaction. */
  #sayWhatIsLost(): void {
    const file = this.#file;
    const lost = this.#lost;
    this.#lost = undefined;
    if (file === undefined || (lost === undefined && file.missing === undefined)) return;
    this.#take(
      this.#reportEntry({
        type: "spool.damaged",
        time: this.#options.clock.now(),
        severity: "high",
        data: {
          message: lost === undefined ? file.missing : errorText(lost.error),
          kept_as: lost?.keptAs,
          epoch: lost?.epoch ?? file.epochBefore,
          events: lost?.events,
          executions: file.inherited,
        },
        ...(lost === undefined ? {} : { subject: lost.keptAs }),
      }),
    );
  }
}

/** Throws `STATE_LOCKED` when another agent has it. */
function openFile({ file, synchronous, clock }: SpoolOptions, epochBefore?: string): SpoolFile {
  try {
    return new SpoolFile({ file, synchronous, now: clock.now(), ...(epochBefore === undefined ? {} : { epochBefore }) });
  } catch (error) {
    if (!isBusy(error)) throw error;
    throw new NeedfireError("STATE_LOCKED", `another agent uses ${file}: stop it first`, { cause: error });
  }
}

function stateOf(file: SpoolFile): State {
  const lanes = eachLane((lane) => {
    const content = file.content(lane);
    return { ...content, forgotten: content.acknowledged, sent: 0 };
  });
  return { last: file.last, stored: file.stored, lanes, said: file.said, shed: file.shed, shedStored: file.shed };
}

function noneFresh(lanes: Record<Severity, Lane>): Fresh {
  return eachLane((lane) => ({ after: lanes[lane].last, events: [] }));
}

function copyOf(state: State): State {
  return { ...state, lanes: eachLane((lane) => ({ ...state.lanes[lane] })) };
}

function resultEvent(report: ExecutionReport, subject: string | undefined): EventDraft {
  return {
    type: resultType,
    time: report.ended,
    severity: "normal",
    cause: report.execution,
    data: { ...report },
    ...(subject === undefined ? {} : { subject }),
  };
}
