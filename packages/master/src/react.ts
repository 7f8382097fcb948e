/**
 * What follows from events and from time: asks the rule engine and `task`, in the journal's order, and gives all that must become durable
 * together with the position reached (P2): tasks, the rules' state, what the master has to say, why nothing happened (P5). Performs nothing
 * itself.
 */
import { type ExecutionReport, specOf } from "@needfire/shared/action";
import { type Event, resultType } from "@needfire/shared/event";
import { isoTime } from "@needfire/shared/clock";
import { idKind, masterAgent, rolloutId, taskOfExecution } from "@needfire/shared/ids";
import { type Rollout, rolloutStepHostsMax } from "@needfire/shared/rollout";
import { hideMarks } from "@needfire/shared/secret";
import { type Aside, JudgingFailed } from "@needfire/shared/rules/aside";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { Rules } from "@needfire/shared/rules/rules";
import {
  type BreakerLimits,
  type Decision,
  type Firing,
  type FleetFiring,
  type Judgement,
  type Notice,
  type Reactor,
  reasons,
  type World,
} from "@needfire/shared/rules/types";
import type { AgentView } from "@needfire/shared/target";
import {
  askAbout,
  callForHelp,
  type Beginning,
  dueOf,
  type Effect,
  type Execution,
  hasEnded,
  type Input,
  isAwaited,
  isOpen,
  listens,
  type MasterEventDraft,
  type Moment,
  type Word,
  startOnHost,
  startTask,
  startTripped,
  stepTask,
  type Step,
  type Task,
} from "@needfire/shared/task";
import { beginningsOf, isOrder, retryOf } from "@needfire/shared/task/order";
import { spanText } from "@needfire/shared/rules/wording";
import { strikeOf, type Trip } from "@needfire/shared/task/breaker";
import { type Admission, Breakers, type Tripped } from "./breakers.ts";
import { Locks } from "./locks.ts";
import { fromNowhere, originOf } from "./origin.ts";
import { PerAgent } from "./per-agent.ts";
import { everybody, type Suspect } from "./quarantine.ts";
import { type RolloutOrder, Rollouts } from "./rollouts.ts";
import type { Causing, Change, Store, Writes } from "./store/store.ts";
import { Tally } from "./tally.ts";

/** A command that will have no result, and why. */
export interface Expired {
  execution: Execution;
  reason: string;
}

/** An operator's word to a task. */
export interface Spoken {
  task: string;
  word: Word;
}

/** A person lets a remedy be tried again. `key`: its values as texts; undefined: the reactor's, with all of its keys. */
export interface BreakerReset {
  reactor: string;
  key: readonly string[] | undefined;
  by: string;
  why: string | undefined;
}

/** Events that were received at one time: of them, those that can have consequences. The time counts also where none can. */
export interface Arrival {
  received: number;
  events: readonly Event[];
}

/** What follows, to be committed as a whole. */
export type Consequences = Required<Pick<Writes, "changes" | "rollouts" | "rules" | "breakers" | "events" | "decisions" | "counts">>;

export interface Asked {
  expired: readonly Expired[];
  words: readonly Spoken[];
  rolloutOrders?: readonly RolloutOrder[];
  /** What is due by now happens, too. Not while there are events that were received before and are not judged yet. */
  now?: number;
}

export interface ReactOptions {
  /** What is not judged. */
  aside?: Aside;
  store: Pick<
    Store,
    | "task"
    | "ruleState"
    | "openTaskOf"
    | "tasksDue"
    | "listeningTasks"
    | "openTasksIn"
    | "openRollouts"
    | "rollout"
    | "hostsOnTurn"
    | "breakers"
    | "tasksMade"
    | "lockingTasks"
  >;
  world: World;
  /** All hosts with an accepted key: of these a rollout's are chosen. */
  hosts(): readonly AgentView[];
  clock: { now(): number };
  /** From 0 to 1, for jitter. */
  random?: () => number;
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
  /** Of them, those that have ended, in that order. */
  readonly #ended = new Set<string>();
  readonly #rules: Rules;
  readonly #rollouts: Rollouts;
  readonly #tally = new Tally();
  readonly #breakers = new Breakers();
  #locks = new Locks();
  /** By reactor. */
  #limits = new Map<string, BreakerLimits>();
  /** Undefined: the store is to be asked. */
  #perAgent: PerAgent | undefined;
  /** By host, tasks whose verification listens for its events. Undefined: the store is to be asked. */
  #listening: Map<string, Set<string>> | undefined;
  /** Open tasks that firings may join, as this turn has left them: before it the store knows. */
  readonly #joins = new Map<string, string | undefined>();
  /** No task is due before; the store may know that it is later. */
  #taskDue: number | undefined;
  #index = new ReactorIndex<Reactor>([]);

  constructor(options: ReactOptions, openTasks: Task[]) {
    this.#options = options;
    this.#rules = new Rules(this.#index, options.world, {
      records: recorded,
      ...(options.aside === undefined ? {} : { aside: options.aside }),
    });
    const { store, world, clock, hosts } = options;
    const isSilenced = (reactor: string, agent: string) => world.silence(reactor, agent, clock.now()) !== undefined;
    this.#rollouts = new Rollouts({ store, hosts, isSilenced, clock });
    for (const task of openTasks) this.#tasks.set(task.id, task);
  }

  /** State of reactors that are the same in what it depends on stays. */
  setReactors(index: ReactorIndex): void {
    this.#index = index;
    this.#rules.setReactors(index);
    this.#limits = new Map(index.reactors.flatMap(({ name, breaker }) => (breaker === undefined ? [] : [[name, breaker]])));
    this.#perAgent = undefined;
  }

  /** Everything is again as the store has it: at the start, and when what followed from events could not be committed. */
  async restore(): Promise<void> {
    this.#tasks.clear();
    this.#ended.clear();
    this.#listening = undefined;
    this.#perAgent = undefined;
    this.#tally.take();
    this.#rules.load(await this.#options.store.ruleState());
    this.#breakers.load(await this.#options.store.breakers());
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
    const rolloutDue = this.#rollouts.isDue ? 0 : undefined;
    const dues = [this.#rules.nextDue(), this.#taskDue, rolloutDue].filter((due) => due !== undefined);
    return dues.length === 0 ? undefined : Math.min(...dues);
  }

  /** Up to when everything has been judged, by the same clock. */
  get judgedUntil(): number {
    return this.#rules.wallTime;
  }

  /** What follows from events, then from time, then from commands that are given up, then from an operator's word. */
  async judge(arrivals: readonly Arrival[], { expired, words, rolloutOrders = [], now }: Asked): Promise<Consequences> {
    const made: Consequences = { changes: [], rollouts: [], rules: [], breakers: [], events: [], decisions: [], counts: [] };
    this.#joins.clear();
    if (this.#listening === undefined) await this.#lookAtTasks();
    this.#perAgent ??= await this.#countTasks();
    for (const { received, events } of arrivals) {
      await this.#take(this.#rules.tick(received), made);
      for (const event of events) await this.#hear(event, made);
    }
    if (now !== undefined) await this.#passTime(now, made);
    for (const { execution, reason } of expired) {
      const task = await this.#task(execution.task);
      if (task !== undefined) this.#step(task, { kind: "expired", execution: execution.id, reason }, execution.id, made);
    }
    for (const { task: id, word } of words) {
      const task = await this.#task(id);
      if (task !== undefined) this.#step(task, word, id, made);
    }
    for (const { rollout: id, ...order } of rolloutOrders) {
      const rollout = await this.#rollouts.get(id);
      if (rollout !== undefined) this.#rollouts.step(rollout, order, made.rollouts);
    }
    await this.#passLocks(made);
    made.rules = this.#rules.takeDirty();
    made.breakers = this.#breakers.takeDirty();
    made.counts = this.#tally.take();
    return made;
  }

  /** Remedies that are not tried any more. */
  breakers(): Tripped[] {
    return this.#breakers.list();
  }

  /** What had tripped, and may try again from now on: it is stored with what is judged next. */
  reset({ reactor, key, by, why }: BreakerReset): { reset: Tripped[]; events: MasterEventDraft[] } {
    const reset = this.#breakers.reset(reactor, key);
    return { reset, events: reset.map((each) => resetEvent(each, { by, why })) };
  }

  async #lookAtTasks(): Promise<void> {
    const { store } = this.#options;
    this.#listening = byHost(await store.listeningTasks());
    await this.#rollouts.load();
    this.#taskDue = (await store.tasksDue(0, 0)).next;
    this.#locks = new Locks();
    for (const task of await store.lockingTasks()) this.#locks.note(task);
  }

  /** Whoever waits for a lock that nobody holds any more begins. */
  async #passLocks(made: Consequences): Promise<void> {
    for (let id = this.#locks.next(); id !== undefined; id = this.#locks.next()) {
      const task = await this.#task(id);
      if (task !== undefined) this.#step(task, { kind: "turn" }, id, made);
    }
  }

  async #countTasks(): Promise<PerAgent> {
    const limits = new Map(this.#index.reactors.flatMap(({ name, perAgent }) => (perAgent === undefined ? [] : [[name, perAgent]])));
    const counted = new PerAgent(limits);
    if (limits.size === 0) return counted;
    const longestMs = Math.max(...[...limits.values()].map(({ withinMs }) => withinMs));
    const made = await this.#options.store.tasksMade([...limits.keys()], this.#options.clock.now() - longestMs);
    for (const each of made) counted.add(each);
    return counted;
  }

  /** The store did not take these: the reaction was there already. */
  forget(changes: readonly Change[]): void {
    for (const { task } of changes) {
      this.#tasks.delete(task.id);
      this.#ended.delete(task.id);
    }
    if (changes.length > 0) this.#listening = this.#perAgent = undefined;
  }

  /** A task as it is now. */
  task(id: string): Promise<Task | undefined> {
    return this.#task(id);
  }

  /** A rollout as it is now. */
  rollout(id: string): Promise<Rollout | undefined> {
    return this.#rollouts.get(id);
  }

  /** The agent to which an execution was given; undefined when there is no such execution. */
  async ownerOf(execution: string): Promise<string | undefined> {
    const task = await this.#task(taskOfExecution(execution));
    return task && ownerIn(task, execution);
  }

  async #hear(event: Event, made: Consequences): Promise<void> {
    if (this.#isAside(everybody, event.id, made)) return;
    if (event.type === resultType) await this.#takeReport(event, made);
    if (isOrder(event.type)) await this.#obey(event, made);
    // Hardly any event has a cause: the others are judged without a wait.
    const origin = event.cause === undefined ? fromNowhere(event) : await originOf(event, (id) => this.#cause(id));
    await this.#tellListeners(event, origin.agent, made);
    await this.#take(this.#rules.hear({ event, ...origin }, this.#tally.timer()), made);
  }

  /** Tasks that a person makes. Those of an order that came twice are there. */
  async #obey(event: Event, made: Consequences): Promise<void> {
    for (const beginning of await this.#beginnings(event)) {
      if (beginning.order === undefined || (await this.#task(beginning.order.task)) !== undefined) continue;
      const step = this.#attempt(beginning.reactor, event.id, { made, work: () => startTask(beginning, this.#now()) });
      if (step !== undefined) this.#change(step, true, made.changes);
    }
  }

  async #beginnings(event: Event): Promise<Beginning[]> {
    const of = event.data["task"];
    if (typeof of !== "string") return beginningsOf(event);
    const task = await this.#task(of);
    return task === undefined ? [] : [retryOf(event, task)];
  }

  /** The verifications that the event is about go on. */
  async #tellListeners(event: Event, host: string, made: Consequences): Promise<void> {
    const ids = this.#listening?.get(host);
    if (ids === undefined || !this.#index.isAwaited(event.type)) return;
    const { world } = this.#options;
    const agent = world.agentView(host);
    for (const id of [...ids]) {
      const task = await this.#task(id);
      if (task === undefined || !isAwaited(task, { event, agent, route: world.route(event, agent) })) continue;
      this.#step(task, { kind: "event", event: event.id }, event.id, made);
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
      await this.#take(this.#rules.tick(due), made);
    }
    if ((this.#taskDue ?? Number.POSITIVE_INFINITY) <= now) await this.#stepDue(now, made);
    await this.#goOnWithRollouts(made);
  }

  /** As much as goes into one turn: the next one goes on, with those that had to wait (P8). */
  async #goOnWithRollouts(made: Consequences): Promise<void> {
    // Of those that this turn has made the store does not know the hosts yet.
    const fresh = new Set(made.rollouts.flatMap(({ rollout, begins }) => (begins === undefined ? [] : [rollout.id])));
    const before = made.changes.length;
    for (const rollout of this.#rollouts.due()) {
      if (made.changes.length - before >= rolloutStepHostsMax) break;
      if (!fresh.has(rollout.id)) await this.#rollOn(rollout, made);
    }
  }

  /** Whose turn it is begins; what a person cancelled ends; people are called. */
  async #rollOn(rollout: Rollout, made: Consequences): Promise<void> {
    const work = this.#rollouts.step(rollout, { kind: "due" }, made.rollouts);
    if (work?.kind === "begin") await this.#beginOn(rollout, work, made);
    if (work?.kind === "cancel") await this.#cancelIn(rollout, made);
    if (work?.kind === "call") {
      const { reactor: name, reactorVersion: version, id } = rollout;
      const step = this.#attempt({ name, version }, id, { made, work: () => callForHelp(rollout, this.#now()) });
      if (step !== undefined) this.#change(step, true, made.changes);
    }
  }

  async #beginOn(rollout: Rollout, { from, count }: { from: number; count: number }, made: Consequences): Promise<void> {
    const { reactor: name, reactorVersion: version, id } = rollout;
    const hosts = await this.#options.store.hostsOnTurn(id, from, count);
    for (const host of hosts) {
      const step = this.#attempt({ name, version }, host.task, { made, work: () => startOnHost(rollout, host, this.#now()) });
      if (step !== undefined) this.#change(step, true, made.changes);
      if (step !== undefined) this.#rollouts.ended(step.task, made.rollouts);
      else await this.#failOn(id, { agent: host.agent, reason: "what was to be done there was set aside" }, made);
    }
    for (let lost = hosts.length; lost < count; lost++)
      await this.#failOn(id, { agent: "?", reason: "the store, which was damaged, does not know the host any more" }, made);
  }

  async #failOn(id: string, { agent, reason }: { agent: string; reason: string }, made: Consequences): Promise<void> {
    const rollout = await this.#rollouts.get(id);
    const { now } = this.#now();
    if (rollout !== undefined)
      this.#rollouts.step(rollout, { kind: "ended", how: "failed", agent, reason, attempt: 0, at: now }, made.rollouts);
  }

  async #cancelIn({ id, status }: Rollout, made: Consequences): Promise<void> {
    if (status.state !== "cancelled") return;
    const { reason, by } = status;
    const stored = await this.#options.store.openTasksIn(id, rolloutStepHostsMax);
    for (const task of stored) this.#step(this.#tasks.get(task.id) ?? task, { kind: "cancel", reason, by }, task.id, made);
    const rollout = await this.#rollouts.get(id);
    if (stored.length === 0 && rollout !== undefined) this.#rollouts.step(rollout, { kind: "lost" }, made.rollouts);
  }

  /** Durable timers are rows: what of tasks is due by now. */
  async #stepDue(now: number, made: Consequences): Promise<void> {
    const { tasks, next } = await this.#options.store.tasksDue(now, duesMax);
    this.#taskDue = next;
    // What this turn has done to them is not in the store yet.
    for (const stored of tasks) this.#step(this.#tasks.get(stored.id) ?? stored, { kind: "due" }, stored.id, made);
    for (const { task } of made.changes) this.#awaitDue(task);
  }

  #awaitDue(task: Task): void {
    const due = dueOf(task);
    if (due !== undefined) this.#taskDue = Math.min(this.#taskDue ?? due, due);
  }

  async #take({ decisions, notices }: Judgement, made: Consequences): Promise<void> {
    for (const decision of decisions) {
      const { firing } = decision;
      if (firing === undefined) this.#record(made, decision, undefined);
      else if (firing.fleet !== undefined) await this.#rollOut(decision, { ...firing, fleet: firing.fleet }, made);
      else await this.#fire(decision, firing, made);
    }
    for (const notice of notices) made.events.push(noticeEvent(notice));
  }

  /** P2: one rollout for each reactor and event. Nothing begins before it is durable. */
  async #rollOut(decision: Decision, firing: Firing & { fleet: FleetFiring }, made: Consequences): Promise<void> {
    const { reactor, event, at } = decision;
    const open = this.#rollouts.joinedBy(firing);
    if (open !== undefined) {
      this.#rollouts.step(open, { kind: "join" }, made.rollouts);
      return this.#record(made, { reactor, event, at, reason: "joined", detail: `its rollout ${open.id} is open` }, open.id);
    }
    const id = rolloutId(reactor.name, firing.trigger.event.id);
    if ((await this.#rollouts.get(id)) !== undefined) return;
    const change = this.#attempt(reactor, firing.trigger.event.id, { made, work: () => this.#rollouts.start(firing) });
    if (change !== undefined) made.rollouts.push(change);
    const { asking } = change?.rollout ?? {};
    if (change !== undefined && asking !== undefined && firing.plan.ok && firing.plan.approval !== undefined)
      this.#change(askAbout({ ...change.rollout, asking }, firing.plan.approval, this.#now()), true, made.changes);
    this.#record(made, change === undefined ? { ...decision, reason: "set-aside" } : decision, change?.rollout.id);
  }

  /** A firing makes a task, or joins one, or is held by its breaker. */
  async #fire(decision: Decision, firing: Firing, made: Consequences): Promise<void> {
    const open = await this.#openTaskOf(firing);
    if (open !== undefined) return this.#join(decision, open, made);
    const moment = this.#now();
    const until = this.#fullUntil(firing, moment);
    if (until !== undefined) return this.#limit(decision, firing, { made, until });
    const admission = this.#admit(firing, moment);
    if (admission.kind === "open") return this.#hold(decision, admission.trip, made);
    const start = () => (admission.kind === "trips" ? startTripped(firing, admission, moment) : startTask(firing, moment));
    const step = this.#attempt(decision.reactor, firing.trigger.event.id, { made, work: start });
    if (step !== undefined) this.#change(step, true, made.changes);
    if (step === undefined) this.#record(made, { ...decision, reason: "set-aside" }, undefined);
    else if (admission.kind === "trips") this.#hold(decision, admission.own, made, step.task.id);
    else this.#record(made, decision, step.task.id);
  }

  /** Whether a firing may make a task, where its reactor has a breaker. The end of a problem is no remedy, and a plan does no harm. */
  #admit({ reactor, branch, plan, trigger }: Firing, { now }: Moment): Admission {
    const { name, mode, breaker: limits } = reactor;
    if (limits === undefined || mode !== "live" || branch !== "do") return { kind: "closed" };
    const { agent, event } = trigger;
    return this.#breakers.admit(name, { agent, subject: event.subject, joinKey: plan.ok ? plan.joinKey : undefined }, { limits, now });
  }

  /** Until when its reactor may make no more tasks for its agent. */
  #fullUntil({ reactor: { name, mode }, branch, trigger }: Firing, { now }: Moment): number | undefined {
    return mode === "live" && branch === "do" ? this.#perAgent?.fullUntil(name, trigger.agent, now) : undefined;
  }

  /** P5 */
  #limit({ reactor, event, at }: Decision, { trigger: { agent } }: Firing, { made, until }: { made: Consequences; until: number }): void {
    const { tasks, withinMs } = reactor.perAgent!;
    const detail = `limits.per_agent: ${tasks} tasks in ${spanText(withinMs)} for ${agent}`;
    this.#record(made, { reactor, event, at, reason: "throttled", detail, until }, undefined);
  }

  /** P5 */
  #hold({ reactor, event, at }: Decision, { at: since, why }: Trip, made: Consequences, task?: string): void {
    const detail = `its breaker has tripped at ${isoTime(since)}: ${why}; needfire breakers reset ${reactor.name}`;
    this.#record(made, { reactor, event, at, reason: "breaker-open", detail }, task);
  }

  /** The task that a firing joins. */
  async #openTaskOf({ reactor, plan }: Firing): Promise<Task | undefined> {
    if (reactor.mode !== "live" || !plan.ok || plan.joinKey === undefined) return undefined;
    const key = joinName(reactor.name, plan.joinKey);
    const id = this.#joins.has(key) ? this.#joins.get(key) : (await this.#options.store.openTaskOf(reactor.name, plan.joinKey))?.id;
    const task = id === undefined ? undefined : await this.#task(id);
    return task !== undefined && isOpen(task) ? task : undefined;
  }

  #join({ reactor, event, at }: Decision, task: Task, made: Consequences): void {
    this.#step(task, { kind: "join", event }, event, made);
    this.#record(made, { reactor, event, at, reason: "joined", detail: `its task ${task.id} is open` }, task.id);
  }

  #now(): Moment {
    const { clock, random = Math.random } = this.#options;
    return { now: clock.now(), random: random(), holderOf: (lock) => this.#locks.holderOf(lock) };
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
    if (task === undefined || ownerIn(task, report.execution) !== event.agent) return;
    this.#step(task, { kind: "report", report }, event.id, made);
  }

  /** A step of a task. `what`: from which it follows. */
  #step(task: Task, input: Input, what: string, made: Consequences): void {
    const reactor = { name: task.reactor, version: task.reactorVersion };
    const step = this.#attempt(reactor, what, { made, work: () => stepTask(task, input, this.#now()) });
    if (step === undefined || step.task === task) return;
    this.#change(step, false, made.changes);
    if (isOpen(task)) this.#rollouts.ended(step.task, made.rollouts);
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

  async #cause(id: string): Promise<Causing | undefined> {
    return idKind(id) === "rollout" ? this.#rollouts.get(id) : this.#task(id);
  }

  #change({ task, effects }: Step, isNew: boolean, changes: Change[]): void {
    this.#tasks.set(task.id, task);
    if (effects.some(isEnd)) this.#strike(task);
    if (isNew && task.branch === "do" && task.status.state !== "planned") this.#perAgent?.add(task);
    this.#listen(task);
    this.#locks.note(task);
    this.#awaitDue(task);
    if (task.joinKey !== undefined) this.#joins.set(joinName(task.reactor, task.joinKey), isOpen(task) ? task.id : undefined);
    this.#ended.delete(task.id);
    if (hasEnded(task)) this.#ended.add(task.id);
    if (this.#ended.size > tasksRememberedMax) this.#forgetEnded();
    changes.push({ isNew, task, effects });
  }

  /** What may be held against its reactor. */
  #strike(task: Task): void {
    const limits = this.#limits.get(task.reactor);
    // What stops a rollout are failures on its hosts.
    const strike = limits && task.rollout === undefined ? strikeOf(task) : undefined;
    if (strike !== undefined) this.#breakers.strike(task.reactor, task, { limits: limits!, strike });
  }

  #listen(task: Task): void {
    const ids = this.#listening?.get(task.agent);
    if (!listens(task)) return void ids?.delete(task.id);
    if (ids === undefined) this.#listening?.set(task.agent, new Set([task.id]));
    else ids.add(task.id);
  }

  #forgetEnded(): void {
    for (const id of this.#ended) {
      this.#ended.delete(id);
      this.#tasks.delete(id);
      if (this.#ended.size <= tasksRememberedMax / 2) break;
    }
  }
}

/** P6: what the master does for a task no host can speak of. */
function ownerIn({ open, agent }: Task, execution: string): string {
  const action = open.find(({ id }) => id === execution)?.action;
  return action !== undefined && specOf(action).runsOn === "master" ? masterAgent : agent;
}

/** Told once of each task that ended by itself. */
function isEnd(effect: Effect): boolean {
  return effect.kind === "emit" && (effect.event.type === "task.resolved" || effect.event.type === "task.escalated");
}

function resetEvent({ reactor, key, trip: { held } }: Tripped, { by, why }: Pick<BreakerReset, "by" | "why">): MasterEventDraft {
  const data = { reactor, held, by, ...(key === undefined ? {} : { key }), ...(why === undefined ? {} : { why }) };
  return { type: "breaker.reset", severity: "normal", subject: reactor, data: hideMarks(data) };
}

function byHost(tasks: readonly Task[]): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const { agent, id } of tasks) found.set(agent, (found.get(agent) ?? new Set()).add(id));
  return found;
}

function joinName(reactor: string, key: readonly unknown[]): string {
  return `${reactor} ${JSON.stringify(key)}`;
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
