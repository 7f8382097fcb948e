/**
 * The engine's thread: journal, store and judgement side by side, off the event loop that serves the socket. Here is what the main thread may
 * ask of it, and when it works: in turns (turns.ts), each with what has come in by then, so that the load sets the size of the transactions.
 */
import { join } from "node:path";
import { setImmediate as nextTurn, setTimeout as delay } from "node:timers/promises";
import { type Clock, systemClock } from "@needfire/shared/clock";
import { errorText, NeedfireError } from "@needfire/shared/errors";
import type { Severity } from "@needfire/shared/event";
import type { Rollout } from "@needfire/shared/rollout";
import type { AgentView } from "@needfire/shared/target";
import type { MasterEventDraft, Task } from "@needfire/shared/task";
import { Admission, type EventsFrame, type Verdict } from "./admission.ts";
import type { Tripped } from "./breakers.ts";
import { Durable } from "./durable.ts";
import { type EngineLog, logTo, type LogNotice } from "./engine-log.ts";
import { InForce, type InForceOptions, type ReadRules } from "./in-force.ts";
import { type Asked, Inbox } from "./inbox.ts";
import { sealedDirectory } from "./journal/partition.ts";
import { JournalWriter } from "./journal/sqlite.ts";
import { type Retention, Upkeep } from "./journal/upkeep.ts";
import type { LeaseAnswer } from "./leases.ts";
import { Outbox } from "./outbox.ts";
import { Quarantine, type Suspect } from "./quarantine.ts";
import type { BreakerReset } from "./react/consequences.ts";
import { type Expired, type Spoken, React } from "./react/react.ts";
import type { RolloutOrder } from "./rollouts.ts";
import { retryMs, Room } from "./room.ts";
import { silenceEvent, Silences, type SilenceWish } from "./silences.ts";
import { Checkpoints } from "./store/checkpoints.ts";
import { Database } from "./store/database.ts";
import { StoreWriter } from "./store/sqlite.ts";
import type { Committed, Mark, SilenceRecord, Snapshot } from "./store/store.ts";
import { tellDamage } from "./tell-damage.ts";
import { type TurnNotice, Turns } from "./turns.ts";
import { versionsInForce } from "./versions.ts";
import { startCheckpointer } from "./worker-checkpoint.ts";
import { Sealer } from "./worker-seal.ts";

/** How long an operator's event may take to reach the journal before its id is given out all the same. */
const emitWaitMs = 2_000;
/** How long it may take until the tasks of an order are there, before it is answered all the same. */
const orderWaitMs = 10_000;
/** At most so long until the wall clock is looked at again, which may have been set: what is due goes by it. */
const dueLookMs = 1_000;
/** Decisions that go at a time for each task that may. */
const decisionsPerTask = 20;

export interface EngineOptions {
  state: string;
  synchronous: "FULL" | "NORMAL";
  retention: Retention;
  /** Events after which a partition of the journal is closed. */
  partitionEventsMax: number;
  rules: InForceOptions;
  /** The time after which who waits for a lock stands where somebody new of the next higher priority does. */
  risesAfterMs: number;
  /** So long at least a host hears nothing of a rung that is tried before it takes it back. */
  guardMs: number;
  now: number;
}

/** What the engine says unasked. */
export type EngineNotice = TurnNotice | { kind: "full"; error: string | undefined } | LogNotice;

/** What the main thread needs to know at start. */
export type EngineState = Pick<Snapshot, "keys" | "tokens" | "agents" | "openExecutions" | "offers">;

/** The engine as the main thread calls it, each method answering with a promise. */
export class Engine {
  readonly #notify: (notice: EngineNotice) => void;
  readonly #log: EngineLog;
  readonly #clock: Clock;
  readonly #database: Database;
  readonly #checkpoints: Checkpoints;
  readonly #sealer: Sealer;
  readonly #journal: JournalWriter;
  readonly #upkeep: Upkeep;
  readonly #store: StoreWriter;
  readonly #quarantine: Quarantine;
  readonly #react: React;
  readonly #outbox: Outbox;
  readonly #durable: Durable;
  readonly #room: Room;
  readonly #snapshot: Snapshot;
  readonly #inForce: InForce;
  readonly #turns: Turns;
  readonly #silences = new Silences();
  readonly #stop = new AbortController();
  readonly #inbox = new Inbox(() => this.#wake());
  /** Everything that the last life left has been judged. */
  readonly #caughtUp = Promise.withResolvers<void>();
  /** Until time alone may have consequences. */
  #waitingForDue: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #tellingDamage: Promise<void> | undefined;

  constructor(
    { state, synchronous, retention, partitionEventsMax, rules, risesAfterMs, guardMs, now }: EngineOptions,
    notify: (notice: EngineNotice) => void,
    clock = systemClock(),
  ) {
    this.#notify = notify;
    this.#clock = clock;
    this.#log = logTo(notify);
    const file = join(state, "master.db");
    this.#database = new Database({ file, synchronous });
    this.#checkpoints = new Checkpoints({ database: this.#database, start: () => startCheckpointer(file), log: this.#log });
    this.#sealer = new Sealer(file);
    this.#durable = new Durable(this.#database);
    this.#room = new Room({
      clock: this.#clock,
      signal: this.#stop.signal,
      makeRoom: () => this.#database.makeRoom(),
      onFull: (error) => this.#full(error),
      onRoom: (from, to) => this.#roomAgain(from, to),
    });
    this.#store = new StoreWriter(this.#database, { now });
    this.#inForce = new InForce(rules, { lastGood: (path) => this.#store.lastText(path), awaited: this.#store.awaitedTypes() });
    const onDamaged = (partition: number, reason: string) => this.partitionDamaged(partition, reason);
    this.#journal = new JournalWriter(this.#database, { partitionEventsMax, onDamaged });
    this.#upkeep = new Upkeep({
      journal: this.#journal,
      directory: sealedDirectory(file),
      seal: (partition) => this.#sealer.seal(partition),
      onProgress: () => this.#wake(),
      emit: (event, journal) => this.commit({ events: [event], ...(journal === undefined ? {} : { journal }) }),
      forgetTasks: (before, limit) => this.#forgetRecord(before, limit),
      retention,
      clock: this.#clock,
      log: this.#log,
    });
    this.#snapshot = this.#store.load();
    this.#silences.load(this.#store.silences());
    this.#outbox = new Outbox(this.#snapshot.outbox, {
      // At the end nothing waits for a later turn.
      isAwaited: (type) => this.#stop.signal.aborted || this.#react.hears(type),
      onDue: () => this.#wake(),
    });
    this.#quarantine = new Quarantine((event) => this.#react.hearersOf(event));
    this.#react = new React(
      {
        aside: this.#quarantine.aside,
        store: this.#store,
        world: {
          agentView: (id) => this.#inForce.agentView(id),
          route: (event, agent) => this.#inForce.route(event, agent),
          silence: (reactor, agent, now) => this.#silences.holdBack(reactor, agent, now),
        },
        hosts: () => this.#inForce.hosts(),
        risesAfterMs,
        guardMs,
        clock: this.#clock,
      },
      this.#snapshot.openTasks,
    );
    const admission = new Admission({
      journal: this.#journal,
      ownerOf: (execution) => this.#react.ownerOf(execution),
    });
    this.#turns = new Turns({
      inbox: this.#inbox,
      admission,
      journal: this.#journal,
      store: this.#store,
      outbox: this.#outbox,
      react: this.#react,
      silences: this.#silences,
      quarantine: this.#quarantine,
      room: this.#room,
      durable: this.#durable,
      clock,
      notify,
      holdsBack: () => this.#upkeep.holdsBack,
      position: this.#snapshot.cursor,
      signal: this.#stop.signal,
    });
  }

  state(): EngineState {
    const { keys, tokens, agents, openExecutions, offers } = this.#snapshot;
    return { keys, tokens, agents, openExecutions, offers };
  }

  /** Judges what the last life left, then everything as it comes. Reactors and agents must be known by then. */
  async start(): Promise<void> {
    this.#turns.start();
    this.#wake();
    await this.#caughtUp.promise;
    this.#upkeep.start();
    const { damage } = this.#database;
    if (damage === undefined) return;
    this.#log.error({ reason: damage.reason, aside: damage.aside }, "the database was damaged; what could be read of it goes on");
    const emit = (events: MasterEventDraft[], journal: () => void) => this.commit({ events, journal });
    const telling = tellDamage({ damage, emit, forget: () => this.#database.forgetDamage(), signal: this.#stop.signal });
    this.#tellingDamage = telling.catch((error: unknown) =>
      this.#log.error({ error: errorText(error) }, "the damage of the database could not be told of; it will be at the next start"),
    );
  }

  /**
   * Events from agents; resolves with a verdict for each frame when what was taken is durable. What is urgent has a turn of its own, the
   * next one. Rejects when the engine stops.
   */
  take(frames: EventsFrame[], urgent = false): Promise<Verdict[]> {
    return this.#inbox.take(frames, urgent);
  }

  /** The last number of each lane that the journal has of an agent's epoch, with all that was taken of the agent before. */
  async marks(agent: string, epoch: string): Promise<Record<Severity, number>> {
    await Promise.allSettled(this.#inbox.underWay(agent));
    const last = (lane: Severity) => this.#journal.last(agent, epoch, lane);
    return { critical: last("critical"), high: last("high"), normal: last("normal"), low: last("low") };
  }

  /** Resolves when the writes are durable; their events reach the journal soon after. Throws `DISK_FULL`: then nothing was taken. */
  commit(writes: Asked): Promise<Committed> {
    if (this.#room.isFull)
      return Promise.reject(new NeedfireError("DISK_FULL", "the master's disk takes nothing at the moment: see its log"));
    return this.#inbox.commit(writes);
  }

  /** Events of the master's own that nobody waits for. */
  tell(events: MasterEventDraft[]): void {
    this.#inbox.tell(events);
  }

  /** An event of an operator's: resolves with its id when the journal has it, so that it can be asked for. */
  async emit(event: MasterEventDraft): Promise<string> {
    const { events } = await this.commit({ events: [event] });
    const [made] = events;
    // The outbox has it: a journal that takes nothing at the moment loses nothing, and the operator need not wait for it.
    await Promise.race([this.#outbox.inJournal(made!.sequence), delay(emitWaitMs, undefined, { ref: false })]);
    return made!.id;
  }

  /** What a person wants done, as an event: resolves with its id when the tasks that follow from it are durable. Throws `DISK_FULL`. */
  async enact(event: MasterEventDraft): Promise<string> {
    const { made, forget } = this.#inbox.tasksOf(String(event.data["request"]));
    try {
      const { events } = await this.commit({ events: [event] });
      // Durable already: where the engine is behind, the tasks come later.
      await Promise.race([made, delay(orderWaitMs, undefined, { ref: false })]);
      return events[0]!.id;
    } finally {
      forget();
    }
  }

  /** A sealed partition of the journal cannot be read. */
  partitionDamaged(partition: number, reason: string): void {
    this.#upkeep.damaged(partition, reason);
  }

  /** Looks at the files of reactors and the router. What is read is in force from `enforceRules` on. */
  readRules(): ReadRules {
    return this.#inForce.read();
  }

  /** To be called when the main thread goes over to what was read: from here on it looks at events with the same eyes. */
  enforceRules(): void {
    this.#react.setReactors(this.#inForce.enforce());
    this.#turns.unsieve();
    this.#awaitDue();
  }

  /** Resolves when it is recorded which versions of reactors are in force. Throws `DISK_FULL`. */
  async keepVersions(): Promise<void> {
    const before = this.#store.versionsAt(this.#clock.now()) ?? [];
    await this.commit({ versions: versionsInForce(this.#inForce.files, this.#inForce.reactors, before) });
  }

  setAgents(views: AgentView[]): void {
    this.#inForce.setAgents(views);
  }

  /** Hosts whose key was accepted, or is not any more. */
  setHosts(ids: string[], accepted: boolean): void {
    this.#inForce.setHosts(ids, accepted);
  }

  /** When commands were sent and confirmed: recorded with the next thing that happens, or by themselves soon. */
  mark(marks: Mark[]): void {
    this.#inbox.mark(marks);
  }

  expire(expired: Expired[]): void {
    this.#inbox.expire(expired);
  }

  /** What hosts say of leases. */
  answerLeases(answers: LeaseAnswer[]): void {
    this.#inbox.answerLeases(answers);
  }

  /** Resolves with the task as it then is, durably, which says whether the word came to anything; undefined when there is none. */
  say(spoken: Spoken): Promise<Task | undefined> {
    return this.#inbox.say(spoken);
  }

  /** Resolves with the rollout as it then is, durably; undefined when there is none. */
  orderRollout(order: RolloutOrder): Promise<Rollout | undefined> {
    return this.#inbox.orderRollout(order);
  }

  /** The id of the open task of a reactor with this key. */
  openTaskOf(reactor: string, joinKey: readonly unknown[]): string | undefined {
    return this.#store.openTaskOf(reactor, joinKey)?.id;
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

  /** Reactors that are judged no more, since judging them went on failing. */
  setAside(): readonly Suspect[] {
    return this.#quarantine.aside.whole;
  }

  silences(): SilenceRecord[] {
    return this.#silences.list();
  }

  /** Remedies that are not tried any more, the one that tripped first first. */
  breakers(): Tripped[] {
    return this.#react.breakers();
  }

  /** Resolves with what had tripped, when it is durable that it may try again. */
  resetBreaker(reset: BreakerReset): Promise<Tripped[]> {
    return this.#inbox.resetBreaker(reset);
  }

  /** Whether committed events are wanted on the main thread. */
  watch(wanted: boolean): void {
    this.#turns.isWatched = wanted;
  }

  async close(): Promise<void> {
    this.#inbox.close();
    await this.#upkeep.stop();
    await this.#sealer.stop();
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

  #wake(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      // Something may have come between the last look and now.
      if (this.#stop.signal.aborted) return;
      if (this.#hasWork) this.#wake();
      else this.#awaitDue();
    });
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    do {
      // Messages from the main thread are heard between turns.
      await nextTurn();
      this.#checkpoints.look(this.#inbox.hasUrgent);
      try {
        await this.#turns.catchUp();
        if (this.#turns.isLive) this.#caughtUp.resolve();
        await this.#turns.turn();
      } catch (error) {
        if (signal.aborted) return;
        this.#log.error({ error: errorText(error) }, "a turn of the engine failed; what it was about is tried again");
        if (!this.#turns.failed(error)) await delay(retryMs, undefined, { signal }).catch(() => {});
      }
    } while (this.#hasWork);
  }

  get #hasWork(): boolean {
    return this.#inbox.hasWork(this.#upkeep.holdsBack) || this.#outbox.isDue || this.#turns.hasWork || this.#isDue;
  }

  /** Looks again when something may be due, unless something else comes before. */
  #awaitDue(): void {
    clearTimeout(this.#waitingForDue);
    const due = this.#nextDue;
    if (due === undefined || !this.#turns.isLive || this.#stop.signal.aborted) return;
    this.#waitingForDue = setTimeout(
      () => (this.#isDue ? this.#wake() : this.#awaitDue()),
      Math.min(Math.max(due - this.#clock.now(), 0), dueLookMs),
    );
  }

  /** Time alone has consequences by now. */
  get #isDue(): boolean {
    return this.#turns.isLive && (this.#nextDue ?? Number.POSITIVE_INFINITY) <= this.#clock.now();
  }

  get #nextDue(): number | undefined {
    const dues = [this.#react.nextDue(), this.#silences.nextEnd()].filter((due) => due !== undefined);
    return dues.length === 0 ? undefined : Math.min(...dues);
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

  /** Tasks that ended before a time, decisions of before, which are more, and files that were gone by then. Gives `limit` when there may be more of either. */
  #forgetRecord(before: number, limit: number): number {
    this.#store.forgetVersions(before);
    this.#store.forgetRollouts(before, limit);
    const decisions = this.#store.forgetDecisions(before, limit * decisionsPerTask);
    return decisions === limit * decisionsPerTask ? limit : this.#store.forgetTasks(before, limit);
  }
}
