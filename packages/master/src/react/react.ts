/**
 * What follows from events and from time: asks the rule engine and `task`, in the journal's order, and gives all that must become durable
 * together with the position reached (P2): tasks, the rules' state, what the master has to say, why nothing happened (P5). Performs nothing
 * itself.
 */
import { type ExecutionReport, specOf } from "@needfire/shared/action";
import { isoTime } from "@needfire/shared/clock";
import { type Event, resultType } from "@needfire/shared/event";
import { idKind, masterAgent, taskOfExecution } from "@needfire/shared/ids";
import type { Rollout } from "@needfire/shared/rollout";
import type { Aside } from "@needfire/shared/rules/aside";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { Rules } from "@needfire/shared/rules/rules";
import type { Reactor, World } from "@needfire/shared/rules/types";
import type { AgentView } from "@needfire/shared/target";
import { type Beginning, type Execution, isAwaited, type MasterEventDraft, startTask, type Task, type Word } from "@needfire/shared/task";
import { nextHandOver } from "@needfire/shared/task/take-over";
import { beginningsOf, isOrder, retryOf, rolloutRetriedType } from "@needfire/shared/task/order";
import type { Tripped } from "../breakers.ts";
import type { LeaseAnswer } from "../leases.ts";
import { fromNowhere, originOf } from "../origin.ts";
import { type RolloutOrder, Rollouts } from "../rollouts.ts";
import type { Causing, Change, Store } from "../store/store.ts";
import { Tally } from "../tally.ts";
import {
  type Arrival,
  type BreakerReset,
  type Consequences,
  keysFullEvent,
  noConsequences,
  recordedReasons,
  resetEvent,
} from "./consequences.ts";
import { Firings } from "./firings.ts";
import { KnownTasks, type TaskStore } from "./known-tasks.ts";
import { Restraints } from "./restraints.ts";
import { Rolling } from "./rolling.ts";
import { Steps } from "./steps.ts";

/** A command that will have no result, and why. `untried`: its time was up, and it certainly never reached its host. */
export interface Expired {
  execution: Execution;
  reason: string;
  untried?: boolean;
}

/** An operator's word to a task. */
export interface Spoken {
  task: string;
  word: Word;
}

export interface Asked {
  expired: readonly Expired[];
  leaseAnswers?: readonly LeaseAnswer[];
  words: readonly Spoken[];
  rolloutOrders?: readonly RolloutOrder[];
  /** What is due by now happens, too. Not while there are events that were received before and are not judged yet. */
  now?: number;
}

export interface ReactOptions {
  /** What is not judged. */
  aside?: Aside;
  store: TaskStore &
    Pick<
      Store,
      | "ruleState"
      | "openTasksIn"
      | "openTaskCounts"
      | "openRollouts"
      | "rollout"
      | "joinKeysIn"
      | "hostsOnTurn"
      | "hostsToRetry"
      | "breakers"
      | "tasksMade"
      | "tasksPromised"
    >;
  world: World;
  /** All hosts with an accepted key: of these a rollout's are chosen. */
  hosts(): readonly AgentView[];
  /** The time after which who waits for a lock stands where somebody new of the next higher priority does. */
  risesAfterMs: number;
  /** See `Moment`. */
  guardMs: number;
  clock: { now(): number };
  /** From 0 to 1, for jitter. */
  random?: () => number;
}

/** Points in time that one turn takes up; the next turn goes on, and what is urgent may come between (P8). */
const duesMax = 1_000;

export class React {
  readonly #options: ReactOptions;
  readonly #rules: Rules;
  readonly #tally = new Tally();
  readonly #tasks: KnownTasks;
  readonly #rollouts: Rollouts;
  readonly #restraints: Restraints;
  readonly #steps: Steps;
  readonly #firings: Firings;
  readonly #rolling: Rolling;
  #index = new ReactorIndex<Reactor>([]);

  constructor(options: ReactOptions, openTasks: Task[]) {
    this.#options = options;
    const { store, world, clock, hosts, aside, guardMs, random = Math.random } = options;
    this.#rules = new Rules(this.#index, world, { records: recordedReasons, ...(aside === undefined ? {} : { aside }) });
    const tasks = (this.#tasks = new KnownTasks(store, openTasks, options.risesAfterMs));
    const restraints = (this.#restraints = new Restraints(store));
    const rollouts = (this.#rollouts = new Rollouts({
      store,
      hosts,
      leavesOut: (firing, agent) =>
        silencedText(world.silence(firing.reactor.name, agent, clock.now())) ?? restraints.leavesOut(firing, agent, clock.now()),
      started: (rollout, agents) => restraints.promised(rollout, agents),
      ended: (rollout) => restraints.rolledOut(rollout),
      clock,
    }));
    const steps = (this.#steps = new Steps({ tasks, rollouts, restraints, aside, clock, random, guardMs }));
    this.#firings = new Firings({ tasks, steps, rollouts, restraints, tally: this.#tally });
    this.#rolling = new Rolling({ store, tasks, steps, rollouts });
  }

  /** State of reactors that are the same in what it depends on stays. */
  setReactors(index: ReactorIndex): void {
    this.#index = index;
    this.#rules.setReactors(index);
    this.#restraints.setReactors(index);
  }

  /** Everything is again as the store has it: at the start, and when what followed from events could not be committed. */
  async restore(): Promise<void> {
    this.#tasks.clear();
    this.#tally.take();
    this.#rules.load(await this.#options.store.ruleState());
    await this.#restraints.restore();
    this.#rolling.restore();
  }

  /** Whether an event of this type can have consequences: the others need not even be unpacked. */
  hears(type: string): boolean {
    return type === resultType || isOrder(type) || this.#index.hearsType(type) || this.#index.isAwaited(type);
  }

  /** The reactors that an event may concern. */
  hearersOf(event: Event): Reactor[] {
    return this.#index.candidates(event, this.#options.world.agentView(event.agent)).map(({ reactor }) => reactor);
  }

  /** When time alone has consequences next, by the clock by which events are received. */
  nextDue(): number | undefined {
    // Whose turn it is, it is at once.
    const atOnce = this.#rollouts.isDue || this.#tasks.hasShared ? 0 : undefined;
    const dues = [this.#rules.nextDue(), this.#tasks.nextDue, atOnce].filter((due) => due !== undefined);
    return dues.length === 0 ? undefined : Math.min(...dues);
  }

  /** Up to when everything has been judged, by the same clock. */
  get judgedUntil(): number {
    return this.#rules.wallTime;
  }

  /** What follows from events, then from time, then from commands that are given up, then from what hosts say of leases, then from an operator's word. */
  async judge(arrivals: readonly Arrival[], { expired, leaseAnswers = [], words, rolloutOrders = [], now }: Asked): Promise<Consequences> {
    const made = noConsequences();
    if (this.#tasks.isStale) await this.#rollouts.load();
    await this.#tasks.look();
    await this.#restraints.look(this.#options.clock.now());
    await this.#rolling.findLost(made);
    // P2: only of what is in the store. A task that is made in this turn may prove to be there already.
    if (now !== undefined) await this.#handOver(made);
    for (const { received, events } of arrivals) {
      await this.#firings.take(this.#rules.tick(received), made);
      for (const event of events) await this.#hear(event, made);
    }
    if (now !== undefined) await this.#passTime(now, made);
    for (const { execution, reason, untried = false } of expired) {
      const task = await this.task(execution.task);
      if (task !== undefined) this.#steps.step(task, { kind: "expired", execution: execution.id, reason, untried }, execution.id, made);
    }
    for (const { task: id, word } of [...leaseAnswers, ...words]) {
      const task = await this.task(id);
      if (task !== undefined) this.#steps.step(task, word, id, made);
    }
    for (const { rollout: id, ...order } of rolloutOrders) {
      const rollout = await this.rollout(id);
      if (rollout !== undefined) this.#rollouts.step(rollout, order, made.rollouts);
    }
    await this.#passLocks(made);
    made.rules = this.#rules.takeDirty();
    made.breakers = this.#restraints.takeDirty();
    made.events.push(...this.#restraints.takeFull(this.#options.clock.now()).map(keysFullEvent));
    made.counts = this.#tally.take();
    return made;
  }

  /** Remedies that are not tried any more. */
  breakers(): Tripped[] {
    return this.#restraints.tripped();
  }

  /** What had tripped, and may try again from now on: it is stored with what is judged next. */
  reset({ reactor, key, by, why }: BreakerReset): { reset: Tripped[]; events: MasterEventDraft[] } {
    const reset = this.#restraints.reset(reactor, key);
    return { reset, events: reset.map((each) => resetEvent(each, { by, why })) };
  }

  /** The store did not take these: the reaction was there already. */
  forget(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    this.#tasks.forget(changes.map(({ task }) => task.id));
    this.#restraints.recount();
  }

  /** A task as it is now. */
  task(id: string): Promise<Task | undefined> {
    return this.#tasks.get(id);
  }

  /** A rollout as it is now. */
  rollout(id: string): Promise<Rollout | undefined> {
    return this.#rollouts.get(id);
  }

  /** The agent to which an execution was given; undefined when there is no such execution. */
  async ownerOf(execution: string): Promise<string | undefined> {
    const task = await this.task(taskOfExecution(execution));
    return task && ownerIn(task, execution);
  }

  async #hear(event: Event, made: Consequences): Promise<void> {
    if (this.#steps.isAside(event.id, made)) return;
    if (event.type === resultType) await this.#takeReport(event, made);
    if (isOrder(event.type)) await this.#obey(event, made);
    // Hardly any event has a cause: the others are judged without a wait.
    const origin = event.cause === undefined ? fromNowhere(event) : await originOf(event, (id) => this.#cause(id));
    await this.#tellListeners(event, origin.agent, made);
    await this.#firings.take(this.#rules.hear({ event, ...origin }, this.#tally.timer()), made);
  }

  async #takeReport(event: Event, made: Consequences): Promise<void> {
    const report = event.data as unknown as ExecutionReport; // it was checked at the door
    const task = await this.task(taskOfExecution(report.execution));
    if (task === undefined || ownerIn(task, report.execution) !== event.agent) return;
    this.#steps.step(task, { kind: "report", report }, event.id, made);
  }

  /** Tasks that a person makes. Those of an order that came twice are there. */
  async #obey(event: Event, made: Consequences): Promise<void> {
    if (event.type === rolloutRetriedType) return this.#rolling.retry(event, made);
    for (const beginning of await this.#beginnings(event)) {
      if (beginning.order === undefined || (await this.task(beginning.order.task)) !== undefined) continue;
      this.#steps.begin(beginning.reactor, event.id, { made, work: () => startTask(beginning, this.#steps.moment()) });
    }
  }

  async #beginnings(event: Event): Promise<Beginning[]> {
    const of = event.data["task"];
    if (typeof of !== "string") return beginningsOf(event);
    const task = await this.task(of);
    return task === undefined ? [] : [retryOf(event, task)];
  }

  async #cause(id: string): Promise<Causing | undefined> {
    return idKind(id) === "rollout" ? this.rollout(id) : this.task(id);
  }

  /** The verifications that the event is about go on. */
  async #tellListeners(event: Event, host: string, made: Consequences): Promise<void> {
    if (!this.#index.isAwaited(event.type)) return;
    const ids = this.#tasks.listeners(host);
    if (ids.length === 0) return;
    const { world } = this.#options;
    const agent = world.agentView(host);
    for (const id of ids) {
      const task = await this.task(id);
      if (task === undefined || !isAwaited(task, { event, agent, route: world.route(event, agent) })) continue;
      this.#steps.step(task, { kind: "event", event: event.id }, event.id, made);
    }
  }

  /**
   * Engine time goes to what is due and no further: an event that was received after that, and is judged later, still has its own time, as
   * it will have in a replay.
   */
  async #passTime(now: number, made: Consequences): Promise<void> {
    for (let dues = 0; dues < duesMax; dues++) {
      const due = this.#rules.nextDue();
      if (due === undefined || due > now) break;
      await this.#firings.take(this.#rules.tick(due), made);
    }
    await this.#stepDue(now, made);
    await this.#rolling.goOn(made);
  }

  async #stepDue(now: number, made: Consequences): Promise<void> {
    const due = await this.#tasks.due(now, duesMax);
    // What this turn has done before is not in the store, by which the next point in time was set.
    for (const { task } of made.changes) this.#tasks.awaitDue(task);
    for (const task of due) this.#steps.step(task, { kind: "due" }, task.id, made);
  }

  /** An undo for a key comes once: later tasks take over those of earlier ones. */
  async #handOver(made: Consequences): Promise<void> {
    for (let dues = 0; dues < duesMax && this.#tasks.hasShared; dues++) {
      const next = nextHandOver(await this.#tasks.nextShared());
      if (next === undefined) continue;
      const { from, to } = next;
      const isGiven = this.#steps.step(from.task, { kind: "taken_over", rung: from.lease.rung, by: to.task.id }, from.task.id, made);
      if (!isGiven) continue; // it is set aside
      this.#steps.step(to.task, { kind: "takes_over", rung: to.lease.rung, from: from.task.id, due: from.lease.due }, to.task.id, made);
    }
  }

  /** Whoever waits for a lock that nobody holds any more begins. */
  async #passLocks(made: Consequences): Promise<void> {
    for (let task = await this.#tasks.nextWithLock(); task !== undefined; task = await this.#tasks.nextWithLock())
      this.#steps.step(task, { kind: "turn" }, task.id, made);
  }
}

function silencedText(silence: ReturnType<World["silence"]>): string | undefined {
  return silence === undefined ? undefined : `silenced until ${isoTime(silence.until)}: ${silence.why}`;
}

/** P6: what the master does for a task no host can speak of. */
function ownerIn({ open, agent }: Task, execution: string): string {
  const action = open.find(({ id }) => id === execution)?.action;
  return action !== undefined && specOf(action).runsOn === "master" ? masterAgent : agent;
}
