/**
 * The engine's turns. A turn takes what has come in, gives the events their places in the journal, judges them and what is due by now, and
 * commits what follows together with the position reached. When that is on the disk, and not before, the main thread hears what is to be
 * acknowledged (P1) and performed (P2). Where a turn fails, the journal is read again from the position that is committed, as at the start:
 * there is one way into judgement.
 */
import type { Clock } from "@needfire/shared/clock";
import { type Event, severities } from "@needfire/shared/event";
import type { Execution, MasterEventDraft, Offer } from "@needfire/shared/task";
import { isOrder } from "@needfire/shared/task/order";
import { eventOfWire } from "@needfire/shared/wire-event";
import type { Admission, AdmittedBatch } from "./admission.ts";
import type { Durable } from "./durable.ts";
import type { Asked, Inbox, Waiting } from "./inbox.ts";
import type { Placed } from "./journal/journal.ts";
import type { JournalWriter } from "./journal/sqlite.ts";
import type { Outbox } from "./outbox.ts";
import type { Quarantine } from "./quarantine.ts";
import type { Arrival } from "./react/consequences.ts";
import type { React } from "./react/react.ts";
import { RecentLoad } from "./recent-load.ts";
import { RecordLoss } from "./record-loss.ts";
import type { Room } from "./room.ts";
import type { Silences } from "./silences.ts";
import { Stamp } from "./stamp.ts";
import type { StoreWriter } from "./store/sqlite.ts";
import type { Change, Committed, Mark, Writes } from "./store/store.ts";

/** While more events come than these in the last moments a turn is not the last for now, even when nothing waits: the next slice is being looked at. */
const aloneEventsMax = 200;
/** Committed events that are passed on for those who watch, a turn; the others are counted. */
const watchedEventsMax = 1_000;

/**
 * What is durable by then. `lend`: what hosts are to have beforehand. `stop`: commands that are not wanted any more. `missed`: events that watchers
 * are not shown, since there are too many.
 */
export type TurnNotice =
  | { kind: "perform"; lend: Offer[]; start: Execution[]; ended: string[]; stop: string[] }
  | { kind: "committed"; events: Event[]; missed: number };

export interface TurnsOptions {
  inbox: Inbox;
  admission: Admission;
  journal: JournalWriter;
  store: StoreWriter;
  outbox: Outbox;
  react: React;
  silences: Silences;
  quarantine: Quarantine;
  room: Room;
  durable: Durable;
  clock: Clock;
  notify(notice: TurnNotice): void;
  /** The journal's upkeep is behind: what is not urgent waits (P4). */
  holdsBack(): boolean;
  /** Up to here events have been judged. */
  position: number;
  signal: AbortSignal;
}

/** Committed events for those who watch, of so many. */
interface Watched {
  events: Event[];
  total: number;
}

export class Turns {
  readonly #options: TurnsOptions;
  readonly #stamp = new Stamp();
  readonly #loss = new RecordLoss();
  #position: number;
  /** The journal may have more than has been judged: what the last life left, or what a turn that failed did. */
  #behind = true;
  /** Reactors and agents are known. */
  #started = false;
  /** Committed events are wanted on the main thread. */
  isWatched = false;
  /** What is being caught up with. */
  #page: readonly Event[] = [];
  /** The turn is one of what overtakes, or has led to it. */
  #isUrgent = false;
  /** What the sieve heard is by the rules in force. */
  #isSieved = true;
  readonly #load = new RecentLoad();

  constructor(options: TurnsOptions) {
    this.#options = options;
    this.#position = options.position;
  }

  /** From here on events are judged. */
  start(): void {
    this.#started = true;
  }

  /** Other rules have come into force: the engine looks at all that this turn took, which may wait for room on the disk, and that the inbox has. */
  unsieve(): void {
    this.#isSieved = false;
    this.#options.inbox.unsieve();
  }

  /** Events are judged as they come. */
  get isLive(): boolean {
    return this.#started && !this.#behind;
  }

  /** There is something to judge, whatever comes in. */
  get hasWork(): boolean {
    return this.#started && (this.#behind || this.#options.inbox.hasFates || this.#options.inbox.hasOrders);
  }

  /** A turn threw. What it was about is judged again from the store; whether there is no use in waiting before. */
  failed(error: unknown): boolean {
    this.#behind = true;
    return this.#options.quarantine.failed(error, this.#page);
  }

  /** Judges what the journal has and is not judged, when there is such. */
  async catchUp(): Promise<void> {
    if (!this.#started || !this.#behind) return;
    const { react, silences, store, journal, quarantine, signal } = this.#options;
    await react.restore();
    silences.load(store.silences());
    for (;;) {
      this.#page = journal.read(this.#position, quarantine.pageMax);
      const last = this.#page.at(-1);
      if (last === undefined) break;
      if (signal.aborted) return;
      const arrivals = this.#page.map((event) => ({ received: event.received, events: react.hears(event.type) ? [event] : [] }));
      await this.#settle(arrivals, { asked: [], tell: [], position: last.position });
      quarantine.passed(last.position);
    }
    this.#behind = false;
  }

  /** With what has come in. */
  async turn(): Promise<void> {
    const { inbox, admission, outbox, journal, react, clock } = this.#options;
    const { frames, areUrgent } = inbox.nextFrames(this.#options.holdsBack());
    this.#isUrgent = areUrgent;
    this.#isSieved = true;
    const asked = inbox.takeCommits();
    try {
      const { verdicts, batches, tell } = await admission.admit(frames.flatMap(({ what }) => what));
      const own = outbox.next();
      // What the frames hold may be the answer to it.
      if (own !== undefined) batches.unshift(own);
      this.#stamp.apply(batches, { now: clock.now(), judgedUntil: this.isLive ? react.judgedUntil : undefined });
      const placed = batches.length === 0 ? [] : await this.#untilTaken(() => journal.append(batches), asked);
      if (own !== undefined) outbox.appended(own);
      this.#load.add(batches.reduce((events, batch) => events + batch.events.length, 0));
      const { arrivals, watched, position } = this.#look(batches, placed);
      await this.#settle(arrivals, { asked, tell: [...inbox.takeTold(), ...tell], position });
      if (this.isWatched && watched.total > 0) this.#whenDurable(() => this.#show(watched));
      if (frames.length > 0) {
        let at = 0;
        this.#whenDurable(() => {
          for (const { what, resolve } of frames) resolve(verdicts.slice(at, (at += what.length)));
        });
      }
      if (this.isLive) this.#options.quarantine.settled();
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
      if (this.isLive && events.length > skipped) {
        const heard = this.#heardOf(batch).filter((at) => at >= skipped);
        arrivals.push({ received: batch.received, events: heard.map(eventAt) });
      }
      if (this.isWatched) {
        for (let at = skipped; at < events.length && watched.events.length < watchedEventsMax; at++) watched.events.push(eventAt(at));
      }
      watched.total += events.length - skipped;
      if (events.length > skipped) position = first + events.length - skipped - 1;
    }
    return { arrivals, watched, position: this.isLive ? position : this.#position };
  }

  /** Which events of a batch can have consequences. */
  #heardOf({ heard, events }: AdmittedBatch): readonly number[] {
    if (heard !== undefined && this.#isSieved) return heard;
    return events.flatMap(([, type], at) => (this.#options.react.hears(type) ? [at] : []));
  }

  /** Judges, and commits what follows with what was asked for; lets it happen when it is durable (P2). */
  async #settle(
    arrivals: readonly Arrival[],
    { asked, tell, position }: { asked: Waiting<Asked, Committed>[]; tell: MasterEventDraft[]; position: number },
  ): Promise<void> {
    const { inbox, react, silences, clock } = this.#options;
    const expired = this.isLive ? inbox.takeExpired() : [];
    const leaseAnswers = this.isLive ? inbox.takeLeaseAnswers() : [];
    const words = this.isLive ? inbox.takeWords() : [];
    const rolloutOrders = this.isLive ? inbox.takeRolloutOrders() : [];
    const now = this.isLive ? clock.now() : undefined;
    const resets = this.isLive ? inbox.takeResets() : [];
    let marks: Mark[] = [];
    const told = [...tell, ...(now === undefined ? [] : this.#loss.take(now))];
    let committed: Committed | undefined;
    try {
      const reset = resets.map(({ what }) => react.reset(what));
      const { changes, events, ...rest } = await react.judge(arrivals, {
        expired,
        leaseAnswers,
        words: words.map(({ what }) => what),
        rolloutOrders: rolloutOrders.map(({ what }) => what),
        ...(now === undefined ? {} : { now }),
      });
      marks = inbox.takeMarks({ all: asked.length > 0 || !this.#isLoaded, ended: endedIn(changes) });
      const { silences: held, events: ended } = silences.takeChanges(now);
      const own = {
        ...rest,
        silences: held,
        cursor: position,
        changes,
        marks,
        events: [...told, ...reset.flatMap((each) => each.events), ...events, ...ended],
      };
      const { taken, decisionsDropped } = (committed = await this.#commit(own, asked));
      this.#loss.count(rest.counts, decisionsDropped);
      this.#position = position;
      react.forget(changes.filter((_change, index) => taken[index] !== true));
      const begun = changes.filter((_change, index) => taken[index]);
      // P8: whatever the event came by, the router or a reactor has made its remedy critical.
      this.#isUrgent ||= begun.some(({ task }) => task.priority === "critical");
      if (begun.length > 0) this.#whenDurable(() => this.#perform(begun));
      const given = arrivals.flatMap(({ events: heard }) => heard.flatMap(({ type, data }) => (isOrder(type) ? [data["request"]] : [])));
      if (given.length > 0) this.#whenDurable(() => inbox.tasksMade(given));
      const answers = resets.map(
        ({ resolve }, index) =>
          () =>
            resolve(reset[index]!.reset),
      );
      for (const { what, resolve } of words) {
        const task = await react.task(what.task);
        answers.push(() => resolve(task));
      }
      for (const { what, resolve } of rolloutOrders) {
        const rollout = await react.rollout(what.rollout);
        answers.push(() => resolve(rollout));
      }
      if (answers.length > 0) this.#whenDurable(() => answers.forEach((answer) => answer()));
    } catch (error) {
      // P4: what follows from events and time is judged again from the store; this comes from nowhere else.
      if (committed === undefined) inbox.keep({ told, marks, leaseAnswers });
      for (const { reject } of [...words, ...rolloutOrders, ...resets]) reject(error);
      throw error;
    }
  }

  /** What was asked for may fail, and its asker hears of it; the engine's own is tried until it is taken. */
  async #commit(own: Omit<Writes, "now">, asked: Waiting<Asked, Committed>[]): Promise<Committed> {
    const { outbox, store, room, clock } = this.#options;
    const write = (writes: Omit<Writes, "now">[]) => {
      const now = clock.now();
      const { reached } = outbox;
      const done = reached === undefined ? {} : { outboxDone: reached };
      const committed = store.commitAll(writes.map((each, index) => ({ ...each, now, ...(index === 0 ? done : {}) })));
      for (const { events } of committed) outbox.add(events);
      return committed;
    };
    try {
      const [first, ...others] = room.taken(() => write([own, ...asked.map(({ what }) => what)]));
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
    const { room, inbox } = this.#options;
    return room.untilTaken(work, (error) => {
      for (const { reject } of [...asked.splice(0), ...inbox.takeCommits()]) reject(error);
    });
  }

  /**
   * Not called by a turn that only moves the master's own events from the outbox to the journal, or the position on: a power cut lets that be
   * done again, so it needs no sync of its own.
   */
  #whenDurable(saying: () => void): void {
    const { durable, inbox } = this.#options;
    durable.say(saying, { alone: !this.#isLoaded && !inbox.hasFrames, urgent: this.#isUrgent });
  }

  get #isLoaded(): boolean {
    return this.#load.amount > aloneEventsMax;
  }

  #show({ events, total }: Watched): void {
    this.#options.notify({ kind: "committed", events, missed: total - events.length });
  }

  #perform(changes: readonly Change[]): void {
    const effects = inPriority(changes).flatMap((change) => change.effects);
    const ended = endedIn(changes);
    // A host that had it beforehand may have ended it before the task began it.
    const isOver = new Set(ended);
    const start = effects.flatMap((effect) => (effect.kind === "execute" && !isOver.has(effect.execution.id) ? [effect.execution] : []));
    const stop = effects.flatMap((effect) => (effect.kind === "stop" ? [effect.execution] : []));
    const lend = effects.flatMap((effect) => (effect.kind === "lend" ? [effect.offer] : []));
    if (start.length + ended.length + stop.length + lend.length > 0) this.#options.notify({ kind: "perform", lend, start, ended, stop });
  }
}

/** Executions whose result is recorded. */
function endedIn(changes: readonly Change[]): string[] {
  return changes.flatMap(({ effects }) => effects.flatMap((effect) => (effect.kind === "record" ? [effect.report.execution] : [])));
}

/** Of what is sent at once, the critical goes first (P8). */
function inPriority(changes: readonly Change[]): Change[] {
  return changes.toSorted((a, b) => severities.indexOf(a.task.priority) - severities.indexOf(b.task.priority));
}
