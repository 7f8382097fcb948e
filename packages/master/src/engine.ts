/**
 * The engine's thread: journal, store and judgement side by side, off the event loop that serves the socket. It works in turns. A turn
 * takes what has come in, gives the events their places in the journal, judges them and what is due by now, and commits what follows together
 * with the position reached. When that is on the disk, and not before, the main thread hears what is to be acknowledged (P1) and performed (P2); the next turn
 * does not wait for it. What arrives meanwhile goes with the next turn, so the load sets the size of the transactions.
 */
import { join } from "node:path";
import { setImmediate as nextTurn, setTimeout as delay } from "node:timers/promises";
import { type Clock, systemClock } from "@needfire/shared/clock";
import { errorText, NeedfireError } from "@needfire/shared/errors";
import { type Event, severities, type Severity } from "@needfire/shared/event";
import type { AgentView } from "@needfire/shared/target";
import type { Execution, MasterEventDraft, Task } from "@needfire/shared/task";
import { eventOfWire } from "@needfire/shared/wire-event";
import { Admission, type AdmittedBatch, type EventsFrame, type Verdict } from "./admission.ts";
import { Durable } from "./durable.ts";
import { type EngineLog, logTo, type LogNotice } from "./engine-log.ts";
import { type Beside, InForce } from "./in-force.ts";
import type { Placed } from "./journal/journal.ts";
import { sealedDirectory } from "./journal/partition.ts";
import { JournalWriter } from "./journal/sqlite.ts";
import { type Retention, Upkeep } from "./journal/upkeep.ts";
import { Outbox } from "./outbox.ts";
import { OwnEvents } from "./own-events.ts";
import { type Arrival, type Cancel, type Expired, React } from "./react.ts";
import { RecordLoss } from "./record-loss.ts";
import { retryMs, Room } from "./room.ts";
import type { RuleFile } from "./rule-files.ts";
import { silenceEvent, Silences, type SilenceWish } from "./silences.ts";
import { Stamp } from "./stamp.ts";
import { Checkpoints } from "./store/checkpoints.ts";
import { Database } from "./store/database.ts";
import { type Damage, damageEvents } from "./store/salvage.ts";
import { StoreWriter } from "./store/sqlite.ts";
import type { Change, Committed, Mark, SilenceRecord, Snapshot, Writes } from "./store/store.ts";
import { startCheckpointer } from "./worker-checkpoint.ts";
import { sealInThread } from "./worker-seal.ts";

/** How long a mark waits for something to be recorded with. */
const marksWaitMs = 500;
/** How long an operator's event may take to reach the journal before its id is given out all the same. */
const emitWaitMs = 2_000;
/** Events that are read at once from the journal, when there is something to catch up with. */
const pageEventsMax = 500;
/** At most so long until the wall clock is looked at again, which may have been set: what is due goes by it. */
const dueLookMs = 1_000;
/** A turn of more events is not the last for now, even when nothing waits at the moment: the next slice is being looked at. */
const aloneEventsMax = 200;
/** Decisions that go at a time for each task that may. */
const decisionsPerTask = 20;
/** Committed events that are passed on for those who watch, a turn; the others are counted. */
const watchedEventsMax = 1_000;

export interface EngineOptions {
  state: string;
  synchronous: "FULL" | "NORMAL";
  retention: Retention;
  /** Events after which a partition of the journal is closed. */
  partitionEventsMax: number;
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
type Asked = Pick<Writes, "marks" | "events" | "keys" | "tokens" | "agents" | "silences" | "versions" | "journal">;

interface Waiting<T, R> {
  what: T;
  resolve(result: R): void;
  reject(error: unknown): void;
}

/** Committed events for those who watch, of so many. */
interface Watched {
  events: Event[];
  total: number;
}

/** The engine as the main thread calls it, each method answering with a promise. */
export class Engine {
  readonly #notify: (notice: EngineNotice) => void;
  readonly #log: EngineLog;
  readonly #clock: Clock;
  readonly #database: Database;
  readonly #checkpoints: Checkpoints;
  readonly #journal: JournalWriter;
  readonly #upkeep: Upkeep;
  readonly #store: StoreWriter;
  readonly #admission: Admission;
  readonly #react: React;
  readonly #outbox: Outbox;
  readonly #durable: Durable;
  readonly #room: Room;
  readonly #snapshot: Snapshot;
  readonly #stop = new AbortController();
  readonly #inForce = new InForce();
  readonly #stamp = new Stamp();
  readonly #own = new OwnEvents();
  readonly #silences = new Silences();
  readonly #loss = new RecordLoss();
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
  /** What was given here and is not answered yet. */
  readonly #taking = new Map<Promise<unknown>, EventsFrame[]>();
  #commits: Waiting<Asked, Committed>[] = [];
  #marks: Mark[] = [];
  #marking: NodeJS.Timeout | undefined;
  /** Until time alone may have consequences. */
  #waitingForDue: NodeJS.Timeout | undefined;
  /** By execution: those that wait for the store are told of again and again. */
  readonly #expired = new Map<string, Expired>();
  #cancels: Waiting<Cancel, Task | undefined>[] = [];
  #running: Promise<void> | undefined;
  #tellingDamage: Promise<void> | undefined;
  /** The turn is one of what overtakes, or has led to it. */
  #isUrgent = false;
  /** The turn is one of many. */
  #isLoaded = false;

  constructor(
    { state, synchronous, retention, partitionEventsMax, now }: EngineOptions,
    notify: (notice: EngineNotice) => void,
    clock = systemClock(),
  ) {
    this.#notify = notify;
    this.#clock = clock;
    this.#log = logTo(notify);
    const file = join(state, "master.db");
    this.#database = new Database({ file, synchronous });
    this.#checkpoints = new Checkpoints({ database: this.#database, start: () => startCheckpointer(file), log: this.#log });
    this.#durable = new Durable(this.#database);
    this.#room = new Room({
      clock: this.#clock,
      signal: this.#stop.signal,
      onFull: (error) => this.#full(error),
      onRoom: (from, to) => this.#roomAgain(from, to),
    });
    this.#store = new StoreWriter(this.#database, { now });
    const onDamaged = (partition: number, reason: string) => this.partitionDamaged(partition, reason);
    this.#journal = new JournalWriter(this.#database, { partitionEventsMax, onDamaged });
    this.#upkeep = new Upkeep({
      journal: this.#journal,
      directory: sealedDirectory(file),
      seal: (partition) => sealInThread(file, partition),
      onProgress: () => this.#wake(),
      emit: (event, journal) => this.commit({ events: [event], ...(journal === undefined ? {} : { journal }) }),
      forgetTasks: (before, limit) => this.#forgetRecord(before, limit),
      retention,
      clock: this.#clock,
      log: this.#log,
    });
    this.#snapshot = this.#store.load();
    this.#silences.load(this.#store.silences());
    this.#position = this.#snapshot.cursor;
    this.#outbox = new Outbox(this.#snapshot.outbox, {
      // At the end nothing waits for a later turn.
      isAwaited: (type) => this.#stop.signal.aborted || this.#react.hears(type),
      onDue: () => this.#wake(),
    });
    this.#react = new React(
      {
        store: this.#store,
        world: {
          agentView: (id) => this.#inForce.agentView(id),
          route: (event, agent) => this.#inForce.route(event, agent),
          silence: (reactor, agent, now) => this.#silences.holdBack(reactor, agent, now),
        },
        clock: this.#clock,
      },
      this.#snapshot.openTasks,
    );
    this.#admission = new Admission({
      journal: this.#journal,
      ownerOf: (execution) => this.#react.ownerOf(execution),
    });
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
    this.#tellingDamage = this.#tellDamage(damage).catch((error: unknown) =>
      this.#log.error({ error: errorText(error) }, "the damage of the database could not be told of; it will be at the next start"),
    );
  }

  /** P4: told durably before it is forgotten. Nobody waits for it: a full disk must not keep the master from its work. */
  async #tellDamage(damage: Damage): Promise<void> {
    const { signal } = this.#stop;
    for (;;) {
      try {
        await this.commit({ events: damageEvents(damage) });
        break;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof NeedfireError) || error.code !== "DISK_FULL") throw error;
        await delay(retryMs, undefined, { signal }).catch(() => {});
      }
    }
    if (!signal.aborted)
      await this.#room.untilTaken(
        () => this.#database.forgetDamage(),
        () => {},
      );
  }

  /**
   * Events from agents; resolves with a verdict for each frame when what was taken is durable. What is urgent has a turn of its own, the
   * next one. Rejects when the engine stops.
   */
  take(frames: EventsFrame[], urgent = false): Promise<Verdict[]> {
    const taking = this.#wait(urgent ? this.#urgent : this.#frames, frames);
    this.#taking.set(taking, frames);
    const taken = () => void this.#taking.delete(taking);
    taking.then(taken, taken);
    return taking;
  }

  /** The last number of each lane that the journal has of an agent's epoch, with all that was taken of the agent before. */
  async marks(agent: string, epoch: string): Promise<Record<Severity, number>> {
    const under = [...this.#taking].filter(([, frames]) => frames.some((frame) => frame.agent === agent)).map(([taking]) => taking);
    await Promise.allSettled(under);
    const last = (lane: Severity) => this.#journal.last(agent, epoch, lane);
    return { critical: last("critical"), high: last("high"), normal: last("normal"), low: last("low") };
  }

  /** Resolves when the writes are durable; their events reach the journal soon after. Throws `DISK_FULL`: then nothing was taken. */
  commit(writes: Asked): Promise<Committed> {
    if (this.#room.isFull)
      return Promise.reject(new NeedfireError("DISK_FULL", "the master's disk takes nothing at the moment: see its log"));
    return this.#wait(this.#commits, writes);
  }

  /** Events of the master's own that nobody waits for. */
  tell(events: MasterEventDraft[]): void {
    this.#own.add(events);
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

  /** A sealed partition of the journal cannot be read. */
  partitionDamaged(partition: number, reason: string): void {
    this.#upkeep.damaged(partition, reason);
  }

  /** Files that have been checked already. */
  setReactors(files: RuleFile[], beside: Beside = {}): void {
    this.#react.setReactors(this.#inForce.setReactors(files, beside));
    this.#awaitDue();
  }

  setAgents(views: AgentView[]): void {
    this.#inForce.setAgents(views);
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

  /** Resolves when it is durable; from then on it holds back. Throws `BAD_REQUEST`, `CONFLICT`, `DISK_FULL`. */
  async silence(wish: SilenceWish): Promise<SilenceRecord> {
    const silence = this.#silences.make(wish, this.#clock.now());
    await this.commit({ silences: { added: [silence] }, events: [silenceEvent("silence.added", silence)] });
    this.#silences.add(silence);
    this.#awaitDue();
    return silence;
  }

  /** Before its time. Throws `NOT_FOUND`, `DISK_FULL`. */
  async endSilence(id: string, by: string): Promise<SilenceRecord> {
    const silence = this.#silences.get(id);
    await this.commit({ silences: { ended: [id] }, events: [silenceEvent("silence.removed", silence, by)] });
    this.#silences.remove(id);
    return silence;
  }

  silences(): SilenceRecord[] {
    return this.#silences.list();
  }

  /** Whether committed events are wanted on the main thread. */
  watch(wanted: boolean): void {
    this.#watched = wanted;
  }

  async close(): Promise<void> {
    clearTimeout(this.#marking);
    await this.#upkeep.stop();
    this.#stop.abort();
    clearTimeout(this.#waitingForDue);
    this.#outbox.hurry();
    this.#wake();
    while (this.#running !== undefined) await this.#running;
    await this.#tellingDamage;
    await this.#durable.settled();
    await this.#checkpoints.stop();
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
      if (this.#stop.signal.aborted) return;
      if (this.#hasWork) this.#wake();
      else this.#awaitDue();
    });
  }

  /** Looks again when something may be due, unless something else comes before. */
  #awaitDue(): void {
    clearTimeout(this.#waitingForDue);
    const due = this.#nextDue;
    if (due === undefined || !this.#live || this.#stop.signal.aborted) return;
    this.#waitingForDue = setTimeout(
      () => (this.#isDue ? this.#wake() : this.#awaitDue()),
      Math.min(Math.max(due - this.#clock.now(), 0), dueLookMs),
    );
  }

  /** Time alone has consequences by now. */
  get #isDue(): boolean {
    return this.#live && (this.#nextDue ?? Number.POSITIVE_INFINITY) <= this.#clock.now();
  }

  get #nextDue(): number | undefined {
    const dues = [this.#react.nextDue(), this.#silences.nextEnd()].filter((due) => due !== undefined);
    return dues.length === 0 ? undefined : Math.min(...dues);
  }

  /** Events are judged as they come. */
  get #live(): boolean {
    return this.#started && !this.#behind;
  }

  get #hasWork(): boolean {
    const frames = this.#upkeep.holdsBack ? 0 : this.#frames.length;
    if (this.#urgent.length + frames + this.#commits.length > 0 || !this.#own.isEmpty || this.#outbox.isDue) return true;
    const marks = this.#marks.length > 0 && this.#marking === undefined;
    return marks || (this.#started && (this.#behind || this.#expired.size > 0)) || this.#isDue;
  }

  async #run(): Promise<void> {
    do {
      // Messages from the main thread are heard between turns.
      await nextTurn();
      this.#checkpoints.look(this.#urgent.length > 0);
      try {
        if (this.#started && this.#behind) {
          await this.#react.restore();
          this.#silences.load(this.#store.silences());
          await this.#catchUp();
        }
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
    // P8: what overtakes is never held back.
    const frames = this.#isUrgent ? this.#urgent.splice(0) : this.#frames.splice(0, this.#upkeep.holdsBack ? 0 : 1);
    const asked = this.#commits.splice(0);
    try {
      const { verdicts, batches, tell } = await this.#admission.admit(frames.flatMap(({ what }) => what));
      const own = this.#outbox.next();
      // What the frames hold may be the answer to it.
      if (own !== undefined) batches.unshift(own);
      this.#stamp.apply(batches, { now: this.#clock.now(), judgedUntil: this.#live ? this.#react.judgedUntil : undefined });
      const placed = batches.length === 0 ? [] : await this.#untilTaken(() => this.#journal.append(batches), asked);
      if (own !== undefined) this.#outbox.appended(own);
      this.#isLoaded = batches.reduce((events, batch) => events + batch.events.length, 0) > aloneEventsMax;
      const { arrivals, watched, position } = this.#look(batches, placed);
      await this.#settle(arrivals, { asked, tell: [...this.#own.take(), ...tell], position });
      if (this.#watched && watched.total > 0) this.#whenDurable(() => this.#show(watched));
      if (frames.length > 0) {
        let at = 0;
        this.#whenDurable(() => {
          for (const { what, resolve } of frames) resolve(verdicts.slice(at, (at += what.length)));
        });
      }
    } catch (error) {
      // Agents send their events again, and the journal knows which it has.
      for (const { reject } of [...frames, ...asked]) reject(error);
      throw error;
    }
  }

  /** Of what was appended, the events that have consequences, and those that are watched. */
  #look(batches: readonly AdmittedBatch[], placed: readonly Placed[]) {
    const arrivals: Arrival[] = [];
    const watched: Watched = { events: [], total: 0 };
    let position = this.#position;
    for (const [index, batch] of batches.entries()) {
      const { skipped, position: first } = placed[index]!;
      const { events } = batch;
      const eventAt = (at: number) => eventOfWire(batch, events[at]!, first + at - skipped);
      if (this.#live && events.length > skipped) {
        const heard = this.#heardOf(batch).filter((at) => at >= skipped);
        arrivals.push({ received: batch.received, events: heard.map(eventAt) });
      }
      if (this.#watched) {
        for (let at = skipped; at < events.length && watched.events.length < watchedEventsMax; at++) watched.events.push(eventAt(at));
      }
      watched.total += events.length - skipped;
      if (events.length > skipped) position = first + events.length - skipped - 1;
    }
    return { arrivals, watched, position: this.#live ? position : this.#position };
  }

  /** Which events of a batch can have consequences. */
  #heardOf({ heard, events }: AdmittedBatch): readonly number[] {
    return heard ?? events.flatMap(([, type], at) => (this.#react.hears(type) ? [at] : []));
  }

  /** Judges, and commits what follows with what was asked for; lets it happen when it is durable (P2). */
  async #settle(
    arrivals: readonly Arrival[],
    { asked, tell, position }: { asked: Waiting<Asked, Committed>[]; tell: MasterEventDraft[]; position: number },
  ): Promise<void> {
    const expired = this.#live ? [...this.#expired.values()] : [];
    if (this.#live) this.#expired.clear();
    const cancels = this.#live ? this.#cancels.splice(0) : [];
    const now = this.#live ? this.#clock.now() : undefined;
    const marks = this.#takeMarks();
    const said = [...tell, ...(now === undefined ? [] : this.#loss.take(now))];
    let committed: Committed | undefined;
    try {
      const { changes, events, ...rest } = await this.#react.judge(arrivals, {
        expired,
        cancels: cancels.map(({ what }) => what),
        ...(now === undefined ? {} : { now }),
      });
      const { silences, events: ended } = this.#silences.takeChanges(now);
      const own = { ...rest, silences, cursor: position, changes, marks, events: [...said, ...events, ...ended] };
      const { taken, decisionsDropped } = (committed = await this.#commit(own, asked));
      this.#loss.count(rest.counts, decisionsDropped);
      this.#position = position;
      this.#react.forget(changes.filter((_change, index) => taken[index] !== true));
      const begun = changes.filter((_change, index) => taken[index]);
      // P8: whatever the event came by, the router or a reactor has made its remedy critical.
      this.#isUrgent ||= begun.some(({ task }) => task.priority === "critical");
      if (begun.length > 0) this.#whenDurable(() => this.#perform(begun));
      const cancelled: (() => void)[] = [];
      for (const { what, resolve } of cancels) {
        const task = await this.#react.task(what.task);
        cancelled.push(() => resolve(task));
      }
      if (cancelled.length > 0) this.#whenDurable(() => cancelled.forEach((answer) => answer()));
    } catch (error) {
      // P4: what follows from events and time is judged again from the store; this comes from nowhere else.
      if (committed === undefined) this.#keepForLater(said, marks);
      for (const { reject } of cancels) reject(error);
      throw error;
    }
  }

  #takeMarks(): Mark[] {
    clearTimeout(this.#marking);
    this.#marking = undefined;
    return this.#marks.splice(0);
  }

  #keepForLater(said: readonly MasterEventDraft[], marks: Mark[]): void {
    this.#own.add(said);
    if (marks.length > 0 && !this.#stop.signal.aborted) this.mark(marks);
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
      if (asked.length + (own.events ?? []).length > 0)
        this.#whenDurable(() => {
          for (const [index, { resolve }] of asked.entries()) resolve(others[index]!);
        });
      return first!;
    } catch (error) {
      for (const { reject } of asked) reject(error);
      return (await this.#untilTaken(() => write([own]), []))[0]!;
    }
  }

  /** Whoever asks for something to be kept does not wait for room. */
  #untilTaken<T>(work: () => T, asked: Waiting<Asked, Committed>[]): Promise<T> {
    return this.#room.untilTaken(work, (error) => {
      for (const { reject } of [...asked.splice(0), ...this.#commits.splice(0)]) reject(error);
    });
  }

  #full(error: string): void {
    this.#log.error({ error }, "the disk takes nothing: agents keep their events until there is room");
    this.#notify({ kind: "full", error });
  }

  #roomAgain(from: number, to: number): void {
    this.#log.warn({ from, to }, "the disk takes events again");
    this.tell([{ type: "journal.full", severity: "critical", data: { from, to } }]);
    this.#notify({ kind: "full", error: undefined });
  }

  /**
   * Not called by a turn that only moves the master's own events from the outbox to the journal, or the position on: a power cut lets that be
   * done again, so it needs no sync of its own.
   */
  #whenDurable(saying: () => void): void {
    const alone = !this.#isLoaded && this.#urgent.length + this.#frames.length === 0;
    this.#durable.say(saying, { alone, urgent: this.#isUrgent });
  }

  /** Tasks that ended before a time, decisions of before, which are more, and files that were gone by then. Gives `limit` when there may be more of either. */
  #forgetRecord(before: number, limit: number): number {
    this.#store.forgetVersions(before);
    const decisions = this.#store.forgetDecisions(before, limit * decisionsPerTask);
    return decisions === limit * decisionsPerTask ? limit : this.#store.forgetTasks(before, limit);
  }

  #show({ events, total }: Watched): void {
    this.#notify({ kind: "committed", events, missed: total - events.length });
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
      const arrivals = page.map((event) => ({ received: event.received, events: this.#react.hears(event.type) ? [event] : [] }));
      await this.#settle(arrivals, { asked: [], tell: [], position: last.position });
    }
    this.#behind = false;
    this.#caughtUp.resolve();
  }
}

/** Of what is sent at once, the critical goes first (P8). */
function inPriority(changes: readonly Change[]): Change[] {
  return changes.toSorted((a, b) => severities.indexOf(a.task.priority) - severities.indexOf(b.task.priority));
}
