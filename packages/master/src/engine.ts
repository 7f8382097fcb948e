/**
 * The engine's thread: journal, store and judgement side by side, off the event loop that serves the socket. It works in turns. A turn
 * takes what has come in, gives the events their places in the journal, judges them, and commits what follows together with the position
 * reached. When that is on the disk, and not before, the main thread hears what is to be acknowledged (P1) and performed (P2); the next turn
 * does not wait for it. What arrives meanwhile goes with the next turn, so the load sets the size of the transactions.
 */
import { join } from "node:path";
import { setImmediate as nextTurn, setTimeout as delay } from "node:timers/promises";
import { systemClock } from "@needfire/shared/clock";
import { errorText, NeedfireError } from "@needfire/shared/errors";
import { type Event, severities } from "@needfire/shared/event";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { loadReactors } from "@needfire/shared/reactor";
import type { AgentView } from "@needfire/shared/target";
import type { Execution, MasterEventDraft, Task } from "@needfire/shared/task";
import { eventOfWire } from "@needfire/shared/wire-event";
import { Admission, type AdmittedBatch, type EventsFrame, type Verdict } from "./admission.ts";
import { isDiskTrouble } from "./disk-trouble.ts";
import { type EngineLog, logTo, type LogNotice } from "./engine-log.ts";
import type { Placed } from "./journal/journal.ts";
import { sealedDirectory } from "./journal/partition.ts";
import { JournalWriter } from "./journal/sqlite.ts";
import { type Retention, Upkeep } from "./journal/upkeep.ts";
import { Outbox } from "./outbox.ts";
import { type Cancel, type Expired, React } from "./react.ts";
import { Database } from "./store/database.ts";
import { damageEvent } from "./store/salvage.ts";
import { StoreWriter } from "./store/sqlite.ts";
import type { Change, Committed, Mark, Snapshot, Writes } from "./store/store.ts";
import { sealInThread } from "./worker-seal.ts";

/** How long a mark waits for something to be recorded with. */
const marksWaitMs = 500;
/** How long an operator's event may take to reach the journal before its id is given out all the same. */
const emitWaitMs = 2_000;
/** How long to wait before a disk that took nothing is tried again. */
const retryMs = 1_000;
/** Events that are read at once from the journal, when there is something to catch up with. */
const pageEventsMax = 500;
/** What the master has to say waits here while the disk takes nothing. */
const tellMax = 20_000;
/** Committed events that are passed on for those who watch, a turn; the others are counted. */
const watchedEventsMax = 1_000;

export interface EngineOptions {
  state: string;
  synchronous: "FULL" | "NORMAL";
  retention: Retention;
  now: number;
}

/** What the engine says unasked. Everything is durable by then. `missed`: events that watchers are not shown, since there are too many. */
export type EngineNotice =
  | { kind: "perform"; start: Execution[]; ended: string[] }
  | { kind: "committed"; events: Event[]; missed: number }
  | { kind: "full"; error: string | undefined }
  | LogNotice;

/** What the main thread needs to know at start. */
export type EngineState = Pick<Snapshot, "keys" | "tokens" | "agents" | "openExecutions">;
type Asked = Omit<Writes, "now" | "outboxDone" | "cursor" | "changes">;

interface Waiting<T, R> {
  what: T;
  resolve(result: R): void;
  reject(error: unknown): void;
}

/** The engine as the main thread calls it, each method answering with a promise. */
export class Engine {
  readonly #notify: (notice: EngineNotice) => void;
  readonly #log: EngineLog;
  readonly #clock = systemClock();
  readonly #database: Database;
  readonly #journal: JournalWriter;
  readonly #upkeep: Upkeep;
  readonly #store: StoreWriter;
  readonly #admission: Admission;
  readonly #react: React;
  readonly #outbox: Outbox;
  readonly #snapshot: Snapshot;
  readonly #stop = new AbortController();
  readonly #agents = new Map<string, AgentView>();
  #reactors = new ReactorIndex([]);
  #watched = false;
  /** Up to here events have been judged. */
  #position: number;
  /** The journal may have more than has been judged: what the last life left, or what a turn that failed did. */
  #behind = true;
  /** Reactors and agents are known. */
  #started = false;
  readonly #caughtUp = Promise.withResolvers<void>();

  #frames: Waiting<EventsFrame[], Verdict[]>[] = [];
  /** Those that overtake (P8). */
  #urgent: Waiting<EventsFrame[], Verdict[]>[] = [];
  #commits: Waiting<Asked, Committed>[] = [];
  #tell: MasterEventDraft[] = [];
  #untold = 0;
  #marks: Mark[] = [];
  #marking: NodeJS.Timeout | undefined;
  /** By execution: those that wait for the store are told of again and again. */
  readonly #expired = new Map<string, Expired>();
  #cancels: Waiting<Cancel, Task | undefined>[] = [];
  #running: Promise<void> | undefined;
  /** What turns have to say when they are durable. */
  #unsaid: (() => void)[] = [];
  #syncing: Promise<void> | undefined;
  #overtaking: Promise<unknown> | undefined;
  /** The turn is one of what overtakes. */
  #isUrgent = false;
  /** Since when the disk takes nothing. */
  #fullSince: number | undefined;

  constructor({ state, synchronous, retention, now }: EngineOptions, notify: (notice: EngineNotice) => void) {
    this.#notify = notify;
    this.#log = logTo(notify);
    const file = join(state, "master.db");
    this.#database = new Database({ file, synchronous });
    this.#store = new StoreWriter(this.#database, { now });
    this.#journal = new JournalWriter(this.#database);
    this.#upkeep = new Upkeep({
      journal: this.#journal,
      directory: sealedDirectory(file),
      seal: (partition) => sealInThread(file, partition),
      emit: (event) => this.commit({ events: [event] }),
      forgetTasks: (before, limit) => this.#store.forgetTasks(before, limit),
      retention,
      clock: this.#clock,
      log: this.#log,
    });
    this.#snapshot = this.#store.load();
    this.#position = this.#snapshot.cursor;
    this.#outbox = new Outbox(this.#snapshot.outbox);
    this.#react = new React(
      {
        store: this.#store,
        reactors: () => this.#reactors,
        agentView: (id) => this.#agents.get(id) ?? { id, labels: {}, facts: {} },
        clock: this.#clock,
      },
      this.#snapshot.openTasks,
    );
    this.#admission = new Admission({ journal: this.#journal, ownerOf: (execution) => this.#react.ownerOf(execution) });
  }

  state(): EngineState {
    const { keys, tokens, agents, openExecutions } = this.#snapshot;
    return { keys, tokens, agents, openExecutions };
  }

  /** Judges what the last life left, then everything as it comes. Reactors and agents must be known by then. */
  async start(): Promise<void> {
    this.#started = true;
    this.#wake();
    await this.#caughtUp.promise;
    this.#upkeep.start();
    const { damage } = this.#database;
    if (damage === undefined) return;
    this.#log.error({ reason: damage.reason, aside: damage.aside }, "the database was damaged; what could be read of it goes on");
    await this.commit({ events: [damageEvent(damage)] });
    this.#database.forgetDamage();
  }

  /**
   * Events from agents; resolves with a verdict for each frame when what was taken is durable. What is urgent has a turn of its own, the
   * next one. Rejects when the engine stops.
   */
  take(frames: EventsFrame[], urgent = false): Promise<Verdict[]> {
    return this.#wait(urgent ? this.#urgent : this.#frames, frames);
  }

  /** Resolves when the writes are durable; their events reach the journal soon after. Throws `DISK_FULL`: then nothing was taken. */
  commit(writes: Asked): Promise<Committed> {
    if (this.#fullSince !== undefined)
      return Promise.reject(new NeedfireError("DISK_FULL", "the master's disk takes nothing at the moment: see its log"));
    return this.#wait(this.#commits, writes);
  }

  /** Events of the master's own that nobody waits for. */
  tell(events: MasterEventDraft[]): void {
    for (const event of events) {
      if (this.#tell.length < tellMax) this.#tell.push(event);
      else this.#untold++;
    }
    this.#wake();
  }

  /** An event of an operator's: resolves with its id when the journal has it, so that it can be asked for. */
  async emit(event: MasterEventDraft): Promise<string> {
    const { events } = await this.commit({ events: [event] });
    const [made] = events;
    // The outbox has it: a journal that takes nothing at the moment loses nothing, and the operator need not wait for it.
    await Promise.race([this.#outbox.inJournal(made!.sequence), delay(emitWaitMs, undefined, { ref: false })]);
    return made!.id;
  }

  /** Files that have been checked already. */
  setReactors(files: { file: string; text: string }[]): void {
    const reactors = files.flatMap(({ file, text }) => {
      const loaded = loadReactors(file, text);
      return loaded.ok ? loaded.reactors : [];
    });
    this.#reactors = new ReactorIndex(reactors);
  }

  setAgents(views: AgentView[]): void {
    for (const view of views) this.#agents.set(view.id, view);
  }

  /** When commands were sent and confirmed: recorded with the next thing that happens, or by themselves soon. */
  mark(marks: Mark[]): void {
    for (const mark of marks) this.#marks.push(mark);
    this.#marking ??= setTimeout(() => {
      this.#marking = undefined;
      this.#wake();
    }, marksWaitMs);
  }

  expire(expired: Expired[]): void {
    for (const each of expired) this.#expired.set(each.execution.id, each);
    this.#wake();
  }

  /** Resolves with the task as it then is, durably: `cancelled`, unless it had ended before; undefined when there is none. */
  cancel(cancel: Cancel): Promise<Task | undefined> {
    return this.#wait(this.#cancels, cancel);
  }

  /** Whether committed events are wanted on the main thread. */
  watch(wanted: boolean): void {
    this.#watched = wanted;
  }

  async close(): Promise<void> {
    clearTimeout(this.#marking);
    await this.#upkeep.stop();
    this.#stop.abort();
    this.#wake();
    while (this.#running !== undefined) await this.#running;
    await Promise.all([this.#syncing, this.#overtaking]);
    this.#caughtUp.resolve();
    this.#store.close();
  }

  #wait<T, R>(queue: Waiting<T, R>[], what: T): Promise<R> {
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    queue.push({ what, resolve, reject });
    this.#wake();
    return promise;
  }

  #wake(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      // Something may have come between the last look and now.
      if (this.#hasWork && !this.#stop.signal.aborted) this.#wake();
    });
  }

  /** Events are judged as they come. */
  get #live(): boolean {
    return this.#started && !this.#behind;
  }

  get #hasWork(): boolean {
    if (this.#urgent.length + this.#frames.length + this.#commits.length + this.#tell.length > 0 || !this.#outbox.isEmpty) return true;
    const marks = this.#marks.length > 0 && this.#marking === undefined;
    return marks || (this.#started && (this.#behind || this.#expired.size > 0));
  }

  async #run(): Promise<void> {
    do {
      // Messages from the main thread are heard between turns.
      await nextTurn();
      try {
        if (this.#started && this.#behind) await this.#catchUp();
        await this.#turn();
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#log.error({ error: errorText(error) }, "a turn of the engine failed; what it was about is tried again");
        this.#behind = true;
        await delay(retryMs, undefined, { signal: this.#stop.signal }).catch(() => {});
      }
    } while (this.#hasWork);
  }

  async #turn(): Promise<void> {
    this.#isUrgent = this.#urgent.length > 0;
    const frames = this.#isUrgent ? this.#urgent.splice(0) : this.#frames.splice(0, 1);
    const asked = this.#commits.splice(0);
    try {
      const { verdicts, batches, tell } = await this.#admission.admit(frames.flatMap(({ what }) => what));
      const own = this.#outbox.next();
      if (own !== undefined) batches.push(own);
      const placed = batches.length === 0 ? [] : await this.#untilTaken(() => this.#journal.append(batches), asked);
      if (own !== undefined) this.#outbox.appended(own);
      const { heard, watched, position } = this.#look(batches, placed);
      await this.#settle(heard, { asked, tell: [...this.#tell.splice(0), ...tell], position });
      this.#whenDurable(() => {
        if (this.#watched && watched.total > 0)
          this.#notify({ kind: "committed", events: watched.events, missed: watched.total - watched.events.length });
        let at = 0;
        for (const { what, resolve } of frames) resolve(verdicts.slice(at, (at += what.length)));
      });
    } catch (error) {
      // Agents send their events again, and the journal knows which it has.
      for (const { reject } of [...frames, ...asked]) reject(error);
      throw error;
    }
  }

  /** Of what was appended, the events that have consequences, and those that are watched. */
  #look(batches: readonly AdmittedBatch[], placed: readonly Placed[]) {
    const heard: Event[] = [];
    const watched: { events: Event[]; total: number } = { events: [], total: 0 };
    let position = this.#position;
    for (const [index, batch] of batches.entries()) {
      const { skipped, position: first } = placed[index]!;
      const { events } = batch;
      const eventAt = (at: number) => eventOfWire(batch, events[at]!, first + at - skipped);
      if (this.#live) for (const at of this.#heardOf(batch)) if (at >= skipped) heard.push(eventAt(at));
      if (this.#watched) {
        for (let at = skipped; at < events.length && watched.events.length < watchedEventsMax; at++) watched.events.push(eventAt(at));
      }
      watched.total += events.length - skipped;
      if (events.length > skipped) position = first + events.length - skipped - 1;
    }
    return { heard, watched, position: this.#live ? position : this.#position };
  }

  /** Which events of a batch can have consequences. */
  #heardOf({ heard, events }: AdmittedBatch): readonly number[] {
    return heard ?? events.flatMap(([, type], at) => (this.#react.hears(type) ? [at] : []));
  }

  /** Judges, and commits what follows with what was asked for; lets it happen when it is durable (P2). */
  async #settle(
    events: readonly Event[],
    { asked, tell, position }: { asked: Waiting<Asked, Committed>[]; tell: MasterEventDraft[]; position: number },
  ): Promise<void> {
    const expired = this.#live ? [...this.#expired.values()] : [];
    if (this.#live) this.#expired.clear();
    const cancels = this.#live ? this.#cancels.splice(0) : [];
    try {
      const changes = await this.#react.judge(
        events,
        expired,
        cancels.map(({ what }) => what),
      );
      const marks = this.#marks.splice(0);
      clearTimeout(this.#marking);
      this.#marking = undefined;
      const own: Asked & { cursor: number; changes: Change[] } = { cursor: position, changes, marks, events: this.#withUntold(tell) };
      const committed = await this.#commit(own, asked);
      this.#position = position;
      this.#react.forget(changes.filter((_change, index) => committed.taken[index] !== true));
      const cancelled: (() => void)[] = [];
      for (const { what, resolve } of cancels) {
        const task = await this.#react.task(what.task);
        cancelled.push(() => resolve(task));
      }
      this.#whenDurable(() => {
        this.#perform(changes.filter((_change, index) => committed.taken[index]));
        for (const answer of cancelled) answer();
      });
    } catch (error) {
      for (const { reject } of cancels) reject(error);
      throw error;
    }
  }

  /** What was asked for may fail, and its asker hears of it; the engine's own is tried until it is taken. */
  async #commit(own: Omit<Writes, "now">, asked: Waiting<Asked, Committed>[]): Promise<Committed> {
    const write = (writes: Omit<Writes, "now">[]) => {
      const now = this.#clock.now();
      const { reached } = this.#outbox;
      const done = reached === undefined ? {} : { outboxDone: reached };
      const committed = this.#store.commitAll(writes.map((each, index) => ({ ...each, now, ...(index === 0 ? done : {}) })));
      for (const { events } of committed) this.#outbox.add(events);
      return committed;
    };
    try {
      const [first, ...others] = write([own, ...asked.map(({ what }) => what)]);
      this.#whenDurable(() => {
        for (const [index, { resolve }] of asked.entries()) resolve(others[index]!);
      });
      return first!;
    } catch (error) {
      for (const { reject } of asked) reject(error);
      return (await this.#untilTaken(() => write([own]), []))[0]!;
    }
  }

  /**
   * Tries until the disk takes it. Meanwhile nothing is acknowledged, so agents keep what they have (P1), and whoever asks for something
   * to be kept is told that it cannot be. Throws when the engine stops, and when it is not the disk's fault.
   */
  async #untilTaken<T>(work: () => T, asked: Waiting<Asked, Committed>[]): Promise<T> {
    for (;;) {
      try {
        const result = work();
        this.#roomAgain();
        return result;
      } catch (error) {
        if (!isDiskTrouble(error)) throw error;
        if (this.#fullSince === undefined) {
          this.#fullSince = this.#clock.now();
          this.#log.error({ error: errorText(error) }, "the disk takes nothing: agents keep their events until there is room");
          this.#notify({ kind: "full", error: errorText(error) });
        }
        for (const { reject } of [...asked.splice(0), ...this.#commits.splice(0)])
          reject(new NeedfireError("DISK_FULL", `the master's disk takes nothing: ${errorText(error)}`));
        if (this.#stop.signal.aborted) throw new NeedfireError("DISK_FULL", "the engine stopped while the disk was full", { cause: error });
        await delay(retryMs, undefined, { signal: this.#stop.signal }).catch(() => {});
      }
    }
  }

  #whenDurable(say: () => void): void {
    this.#unsaid.push(say);
    if (this.#syncing === undefined && this.#urgent.length + this.#frames.length === 0) {
      // Nobody else waits: a hop to another thread and back would take longer than it saves.
      void this.#journal.sync({ atOnce: true });
      for (const each of this.#unsaid.splice(0)) each();
    } else if (this.#syncing === undefined) this.#syncing = this.#sync();
    else if (this.#isUrgent) {
      // What is urgent does not wait for a sync that began before it.
      const covered = this.#unsaid.splice(0);
      this.#overtaking = Promise.all([this.#overtaking, this.#syncFor(covered)]);
    }
  }

  /** One sync covers all that was committed before it began; what is committed meanwhile waits for the next. */
  async #sync(): Promise<void> {
    while (this.#unsaid.length > 0) await this.#syncFor(this.#unsaid.splice(0));
    this.#syncing = undefined;
  }

  async #syncFor(covered: (() => void)[]): Promise<void> {
    await this.#journal.sync();
    for (const say of covered) say();
  }

  #roomAgain(): void {
    if (this.#fullSince === undefined) return;
    const now = this.#clock.now();
    this.#log.warn({ from: this.#fullSince, to: now }, "the disk takes events again");
    this.tell([{ type: "journal.full", severity: "critical", data: { from: this.#fullSince, to: now } }]);
    this.#fullSince = undefined;
    this.#notify({ kind: "full", error: undefined });
  }

  /** P4: what could not even wait is counted. */
  #withUntold(tell: MasterEventDraft[]): MasterEventDraft[] {
    if (this.#untold === 0) return tell;
    const untold: MasterEventDraft = { type: "journal.dropped", severity: "high", data: { events: this.#untold, waiting_max: tellMax } };
    this.#untold = 0;
    return [...tell, untold];
  }

  #perform(changes: readonly Change[]): void {
    const effects = inPriority(changes).flatMap((change) => change.effects);
    const start = effects.flatMap((effect) => (effect.kind === "execute" ? [effect.execution] : []));
    const ended = effects.flatMap((effect) => (effect.kind === "record" ? [effect.report.execution] : []));
    if (start.length + ended.length > 0) this.#notify({ kind: "perform", start, ended });
  }

  async #catchUp(): Promise<void> {
    for (;;) {
      const page = this.#journal.read(this.#position, pageEventsMax);
      const last = page.at(-1);
      if (last === undefined) break;
      if (this.#stop.signal.aborted) return;
      const heard = page.filter(({ type }) => this.#react.hears(type));
      await this.#settle(heard, { asked: [], tell: [], position: last.position });
    }
    this.#behind = false;
    this.#caughtUp.resolve();
  }
}

/** Of what is sent at once, the critical goes first (P8). */
function inPriority(changes: readonly Change[]): Change[] {
  return changes.toSorted((a, b) => severities.indexOf(a.task.priority) - severities.indexOf(b.task.priority));
}
