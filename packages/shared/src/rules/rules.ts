/**
 * The rule engine: a fold over the journal. Events and the time go in, judgements come out, and what it must remember it hands over as
 * rows. It has no clock, no randomness and no I/O, so that the master, a test and a replay come to the same (P5 gives each decision its
 * reason).
 *
 * P2: `takeDirty` belongs into one transaction with the tasks that followed and the place in the journal. An engine that is made of these
 * rows goes on from there exactly, and what has fired does not fire again.
 */
import { type Aside, JudgingFailed } from "./aside.ts";
import { Hearing } from "./hearing.ts";
import { dropRow, judgeEvent, judgeTime } from "./judge.ts";
import { isRowKey, Keys } from "./keys.ts";
import { type Profile, profilesOf } from "./profile.ts";
import type { ReactorIndex } from "./reactor-index.ts";
import { say, type Turn } from "./turn.ts";
import type { Judgement, Notice, Reactor, Reason, Seen, StateRow, World } from "./types.ts";

export interface RulesOptions {
  /** Of which reasons decisions are made: all, unless told. Firings (`fired`, `planned`) always are. */
  records?: ReadonlySet<Reason>;
  /** Every reactor of its type is asked about an event, also where the index knows that its condition cannot hold: to tell why it did not. */
  asksAll?: boolean;
  /** What is not judged. */
  aside?: Aside;
}

/** A wall clock that goes back further has been set; less is the trembling of several. */
export const stepBackMs = 5_000;
/** Between two notices of one kind about one reactor. */
const noticeEveryMs = 60_000;

/** The row of the engine's clock. */
const clockRow = { reactor: "", shape: "", key: "t[]" } as const;

export class Rules {
  readonly #keys = new Keys();
  readonly #world: World;
  readonly #records: (reason: Reason) => boolean;
  readonly #full = new Map<string, { told: number; dropped: number }>();
  readonly #asksAll: boolean;
  readonly #aside: Aside | undefined;
  #index: ReactorIndex;
  #profiles: ReadonlyMap<string, Profile> = new Map();
  /** The same in the order of the index. */
  #inOrder: readonly Profile[] = [];
  #time = 0;
  #skew = 0;
  #clockIsDirty = false;

  constructor(index: ReactorIndex, world: World, { records, asksAll = false, aside }: RulesOptions = {}) {
    this.#asksAll = asksAll;
    this.#aside = aside;
    this.#world = world;
    this.#records = records === undefined ? () => true : (reason) => records.has(reason);
    this.#index = index;
    this.setReactors(index);
  }

  /** Engine time: it never goes back, whatever the clock does by which events are received. */
  get time(): number {
    return this.#time;
  }

  /** The same by the clock by which events are received. */
  get wallTime(): number {
    return this.#time - this.#skew;
  }

  /** State of reactors whose shape is unchanged stays. */
  setReactors(index: ReactorIndex): void {
    this.#index = index;
    this.#profiles = profilesOf(index.reactors);
    this.#inOrder = index.reactors.map(({ name }) => this.#profiles.get(name)!);
    this.#keys.setReactors(index.reactors);
  }

  /** Replaces all state. */
  load(rows: Iterable<StateRow>): void {
    const found = [...rows];
    const clock = found.find(({ reactor }) => reactor === clockRow.reactor)?.body as { time: number; skew: number } | undefined;
    this.#time = clock?.time ?? 0;
    this.#skew = clock?.skew ?? 0;
    this.#clockIsDirty = false;
    this.#full.clear();
    this.#keys.load(found.filter(({ reactor }) => reactor !== clockRow.reactor));
  }

  /**
   * Judges an event: first what is due by then, then the event. To be called in the journal's order. `asked`: called before reactors are
   * asked, and after each with its name, so that whoever has a clock can take the time. Throws `JudgingFailed`; the state is of no use then, and
   * must be loaded anew.
   */
  hear(seen: Seen, asked?: (reactor?: string) => void): Judgement {
    const { event } = seen;
    const judgement = this.tick(event.received);
    if (!this.#index.hearsType(event.type)) return judgement;
    const hearing = new Hearing(this.#world, seen);
    const turn = this.#turn(judgement);
    const hearers = this.#asksAll ? this.#index.ofType(event.type).hearers : this.#index.candidates(event, hearing.agent);
    asked?.();
    for (const { order, entries } of hearers) {
      const profile = this.#inOrder[order]!;
      if (!this.#isAside(turn, profile, event.id)) {
        try {
          judgeEvent(turn, profile, { hearing, entries });
        } catch (error) {
          throw new JudgingFailed(profile.reactor, event.id, error);
        }
      }
      asked?.(profile.reactor.name);
    }
    return judgement;
  }

  /**
   * Judges what is due. `now`: by the clock by which events are received, and only once all that were received before are heard: what
   * comes later with an earlier time is taken for a clock that was set back. Throws `JudgingFailed`, as `hear` does.
   */
  tick(now: number): Judgement {
    const judgement: Judgement = { decisions: [], notices: [] };
    const until = this.#engineTime(now);
    for (let due = this.#keys.takeDue(until); due !== undefined; due = this.#keys.takeDue(until)) {
      this.#moveTo(due.due);
      this.#judgeDue(this.#turn(judgement), this.#profiles.get(due.reactor)!, due);
    }
    this.#moveTo(until);
    if (this.#full.size > 0) this.#tellFull(judgement.notices);
    return judgement;
  }

  #judgeDue(turn: Turn, profile: Profile, { key, state }: { key: string; state: unknown }): void {
    // What it was about is lost with it; the next event of the key begins anew.
    if (this.#isAside(turn, profile, key)) return dropRow(turn, profile, key);
    try {
      judgeTime(turn, profile, { row: key, state });
    } catch (error) {
      throw new JudgingFailed(profile.reactor, key, error);
    }
  }

  /** P4, P5: what is skipped is told, and of an event a decision. */
  #isAside(turn: Turn, { reactor }: Profile, what: string): boolean {
    if (this.#aside === undefined || this.#aside.isEmpty) return false;
    const found = this.#aside.of(reactor, what);
    if (found === undefined) return false;
    const { why, last, isNews } = found;
    if (!isRowKey(what)) say(turn, reactor, { event: what, reason: "set-aside" }, () => why);
    if (isNews) turn.notices.push({ kind: "set-aside", reactor, what, why, whole: last });
    return true;
  }

  /** When `tick` has something to do next, by the clock by which events are received. */
  nextDue(): number | undefined {
    const due = this.#keys.nextDue();
    return due === undefined ? undefined : due - this.#skew;
  }

  /** What has changed since the last call. When there is nothing but the clock's row, it need not be stored for itself. */
  takeDirty(): StateRow[] {
    const rows = this.#keys.takeDirty();
    if (this.#clockIsDirty) rows.push({ ...clockRow, due: undefined, body: { time: this.#time, skew: this.#skew } });
    this.#clockIsDirty = false;
    return rows;
  }

  /** What a time of the wall clock is in engine time: never earlier than before. */
  #engineTime(wall: number): number {
    const time = wall + this.#skew;
    if (time >= this.#time) return time;
    if (this.#time - time > stepBackMs) {
      this.#skew += this.#time - time;
      this.#clockIsDirty = true;
    }
    return this.#time;
  }

  #moveTo(time: number): void {
    if (time <= this.#time) return;
    this.#time = time;
    this.#clockIsDirty = true;
  }

  #turn({ decisions, notices }: Judgement): Turn {
    return {
      decisions,
      notices,
      keys: this.#keys,
      world: this.#world,
      records: this.#records,
      now: this.#time,
      skew: this.#skew,
      dropped: (reactor, keys) => this.#countDropped(reactor, keys, notices),
    };
  }

  /** P4: told at once, and then once a minute how many more. */
  #countDropped(reactor: Reactor, keys: number, notices: Notice[]): void {
    const full = this.#full.get(reactor.name) ?? { told: Number.NEGATIVE_INFINITY, dropped: 0 };
    this.#full.set(reactor.name, { ...full, dropped: full.dropped + keys });
    this.#tellFull(notices);
  }

  #tellFull(notices: Notice[]): void {
    for (const [name, { told, dropped }] of this.#full) {
      if (this.#time - told < noticeEveryMs) continue;
      const reactor = this.#profiles.get(name)?.reactor;
      if (dropped === 0 || reactor === undefined) this.#full.delete(name);
      else {
        notices.push({ kind: "keys-full", reactor, keysMax: reactor.keysMax, dropped });
        this.#full.set(name, { told: this.#time, dropped: 0 });
      }
    }
  }
}
