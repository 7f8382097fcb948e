/**
 * What follows from events and from time: asks the rule engine and `task`, in the journal's order, and gives all that must become durable
 * together with the position reached (P2): tasks, the rules' state, what the master has to say, why nothing happened (P5). Performs nothing
 * itself.
 */
import type { ExecutionReport } from "@needfire/shared/action";
import { type Event, resultType } from "@needfire/shared/event";
import { taskOfExecution } from "@needfire/shared/ids";
import { type Aside, JudgingFailed } from "@needfire/shared/rules/aside";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { Rules } from "@needfire/shared/rules/rules";
import { type Decision, type Judgement, type Notice, type Reactor, reasons, type World } from "@needfire/shared/rules/types";
import {
  type Execution,
  hasEnded,
  type Input,
  type MasterEventDraft,
  startTask,
  stepTask,
  type Step,
  type Task,
} from "@needfire/shared/task";
import { fromNowhere, originOf } from "./origin.ts";
import { everybody, type Suspect } from "./quarantine.ts";
import type { Change, Store, Writes } from "./store/store.ts";
import { Tally } from "./tally.ts";

/** A command that will have no result, and why. */
export interface Expired {
  execution: Execution;
  reason: string;
}

/** An operator cancels a task. */
export interface Cancel {
  task: string;
  reason: string;
  by: string;
}

/** Events that were received at one time: of them, those that can have consequences. The time counts also where none can. */
export interface Arrival {
  received: number;
  events: readonly Event[];
}

/** What follows, to be committed as a whole. */
export type Consequences = Required<Pick<Writes, "changes" | "rules" | "events" | "decisions" | "counts">>;

export interface Asked {
  expired: readonly Expired[];
  cancels: readonly Cancel[];
  /** What is due by now happens, too. Not while there are events that were received before and are not judged yet. */
  now?: number;
}

export interface ReactOptions {
  /** What is not judged. */
  aside?: Aside;
  store: Pick<Store, "task" | "ruleState">;
  world: World;
  clock: { now(): number };
}

/** Tasks that ended and may still be asked for as a cause. */
const tasksRememberedMax = 10_000;
/** Decisions that are recorded of one turn: beyond it they are counted (P4). */
const decisionsMax = 1_000;
/** Points in time that one turn takes up; the next turn goes on, and what is urgent may come between (P8). */
const duesMax = 1_000;

/** Not that a condition is false, or lacks its field: that is the ordinary case, and asked again the event gives the same answer. */
const recorded = new Set(reasons.filter((reason) => reason !== "when-false" && reason !== "when-missing-field"));

export class React {
  readonly #options: ReactOptions;
  readonly #tasks = new Map<string, Task>();
  readonly #rules: Rules;
  readonly #tally = new Tally();
  #index = new ReactorIndex<Reactor>([]);

  constructor(options: ReactOptions, openTasks: Task[]) {
    this.#options = options;
    this.#rules = new Rules(this.#index, options.world, {
      records: recorded,
      ...(options.aside === undefined ? {} : { aside: options.aside }),
    });
    for (const task of openTasks) this.#tasks.set(task.id, task);
  }

  /** State of reactors that are the same in what it depends on stays. */
  setReactors(index: ReactorIndex): void {
    this.#index = index;
    this.#rules.setReactors(index);
  }

  /** Everything is again as the store has it: at the start, and when what followed from events could not be committed. */
  async restore(): Promise<void> {
    this.#tasks.clear();
    this.#tally.take();
    this.#rules.load(await this.#options.store.ruleState());
  }

  /** Whether an event of this type can have consequences: the others need not even be unpacked. */
  hears(type: string): boolean {
    return type === resultType || this.#index.hearsType(type);
  }

  /** The reactors that an event may concern. */
  hearersOf(event: Event): Reactor[] {
    return this.#index.candidates(event, this.#options.world.agentView(event.agent)).map(({ reactor }) => reactor);
  }

  /** When time alone has consequences next, by the clock by which events are received. */
  nextDue(): number | undefined {
    return this.#rules.nextDue();
  }

  /** Up to when everything has been judged, by the same clock. */
  get judgedUntil(): number {
    return this.#rules.wallTime;
  }

  /** What follows from events, then from time, then from commands that are given up, then from an operator's word. */
  async judge(arrivals: readonly Arrival[], { expired, cancels, now }: Asked): Promise<Consequences> {
    const made: Consequences = { changes: [], rules: [], events: [], decisions: [], counts: [] };
    for (const { received, events } of arrivals) {
      this.#take(this.#rules.tick(received), made);
      for (const event of events) await this.#hear(event, made);
    }
    if (now !== undefined) this.#passTime(now, made);
    for (const { execution, reason } of expired) {
      const task = await this.#task(execution.task);
      if (task !== undefined) this.#step(task, { kind: "expired", execution: execution.id, reason }, execution.id, made);
    }
    for (const { task: id, reason, by } of cancels) {
      const task = await this.#task(id);
      if (task !== undefined) this.#step(task, { kind: "cancel", reason, by }, id, made);
    }
    made.rules = this.#rules.takeDirty();
    made.counts = this.#tally.take();
    return made;
  }

  /** The store did not take these: the reaction was there already. */
  forget(changes: readonly Change[]): void {
    for (const { task } of changes) this.#tasks.delete(task.id);
  }

  /** A task as it is now. */
  task(id: string): Promise<Task | undefined> {
    return this.#task(id);
  }

  /** The agent to which an execution was given; undefined when there is no such execution. */
  async ownerOf(execution: string): Promise<string | undefined> {
    return (await this.#task(taskOfExecution(execution)))?.agent;
  }

  async #hear(event: Event, made: Consequences): Promise<void> {
    if (this.#isAside(everybody, event.id, made)) return;
    if (event.type === resultType) await this.#takeReport(event, made);
    // Hardly any event has a cause: the others are judged without a wait.
    const origin = event.cause === undefined ? fromNowhere(event) : await originOf(event, (id) => this.#task(id));
    this.#take(this.#rules.hear({ event, ...origin }, this.#tally.timer()), made);
  }

  /**
   * Engine time goes to what is due and no further: an event that was received after that, and is judged later, still has its own time, as
   * it will have in a replay.
   */
  #passTime(now: number, made: Consequences): void {
    for (let dues = 0; dues < duesMax; dues++) {
      const due = this.#rules.nextDue();
      if (due === undefined || due > now) return;
      this.#take(this.#rules.tick(due), made);
    }
  }

  #take({ decisions, notices }: Judgement, made: Consequences): void {
    for (const decision of decisions) {
      const { firing, reactor } = decision;
      const step =
        firing && this.#attempt(reactor, firing.trigger.event.id, { made, work: () => startTask(firing, this.#options.clock.now()) });
      if (step !== undefined) this.#change(step, true, made.changes);
      this.#record(made, firing !== undefined && step === undefined ? { ...decision, reason: "set-aside" } : decision, step?.task.id);
    }
    for (const notice of notices) made.events.push(noticeEvent(notice));
  }

  /** P5, as far as there is room for it. */
  #record({ decisions }: Consequences, decision: Decision, task: string | undefined): void {
    this.#tally.decided(decision);
    const { event, reactor, at, reason, detail, until } = decision;
    const { name, version } = reactor;
    if (decisions.length < decisionsMax) decisions.push({ event, reactor: name, version, at, reason, detail, until, task });
    else this.#tally.unrecorded(name);
  }

  async #takeReport(event: Event, made: Consequences): Promise<void> {
    const report = event.data as unknown as ExecutionReport; // it was checked at the door
    const task = await this.#task(taskOfExecution(report.execution));
    if (task === undefined || task.agent !== event.agent) return;
    this.#step(task, { kind: "report", report }, event.id, made);
  }

  /** A step of a task. `what`: from which it follows. */
  #step(task: Task, input: Input, what: string, made: Consequences): void {
    const reactor = { name: task.reactor, version: task.reactorVersion };
    const step = this.#attempt(reactor, what, { made, work: () => stepTask(task, input, this.#options.clock.now()) });
    if (step !== undefined) this.#change(step, false, made.changes);
  }

  /** Undefined: this very thing is set aside, which is told. What a reactor has begun goes on when it is set aside as a whole. */
  #attempt<T>(
    { name, version }: Pick<Reactor, "name" | "version">,
    what: string,
    { made, work }: { made: Consequences; work(): T },
  ): T | undefined {
    if (this.#isAside({ name, version }, what, made)) return undefined;
    try {
      return work();
    } catch (error) {
      throw new JudgingFailed({ name, version }, what, error);
    }
  }

  #isAside(reactor: Suspect, what: string, made: Consequences): boolean {
    const aside = this.#options.aside?.of(reactor, what);
    if (aside?.isNews !== true) return false;
    made.events.push(asideEvent(reactor.name, what, { why: aside.why, whole: aside.last }));
    return true;
  }

  async #task(id: string): Promise<Task | undefined> {
    return this.#tasks.get(id) ?? (await this.#options.store.task(id));
  }

  #change({ task, effects }: Step, isNew: boolean, changes: Change[]): void {
    if (effects.length === 0) return;
    this.#tasks.set(task.id, task);
    if (this.#tasks.size > tasksRememberedMax) this.#forgetEnded();
    changes.push({ isNew, task, effects });
  }

  #forgetEnded(): void {
    for (const [id, task] of this.#tasks) {
      if (hasEnded(task)) this.#tasks.delete(id);
      if (this.#tasks.size <= tasksRememberedMax / 2) break;
    }
  }
}

function asideEvent(reactor: string, what: string, { why, whole }: { why: string; whole: boolean }): MasterEventDraft {
  return { type: "reactor.set_aside", severity: "high", subject: reactor, data: { reactor, what, why, whole } };
}

/** P4, P7: what a limit cut off, or a fault, is told. */
function noticeEvent(notice: Notice): MasterEventDraft {
  const { name } = notice.reactor;
  if (notice.kind === "keys-full") {
    const { keysMax, dropped } = notice;
    return { type: "reactor.keys_full", severity: "high", subject: name, data: { reactor: name, keys_max: keysMax, dropped } };
  }
  if (notice.kind === "set-aside") return asideEvent(name, notice.what, notice);
  const { chain, root, why } = notice;
  // Of the root, not of the event that was cut: with the chain's ancestry, a reactor that tells of it would be cut itself.
  return { type: "reactor.loop_cut", severity: "high", subject: name, cause: root, data: { reactor: name, chain: [...chain], root, why } };
}
