/**
 * What follows from events and from time: asks the rule engine and `task`, in the journal's order, and gives all that must become durable
 * together with the position reached (P2): tasks, the rules' state, what the master has to say, why nothing happened (P5). Performs nothing
 * itself.
 */
import { actions, type ExecutionReport } from "@needfire/shared/action";
import { type Event, resultType } from "@needfire/shared/event";
import { idKind, masterAgent, rolloutId, taskOfExecution } from "@needfire/shared/ids";
import { type Rollout, rolloutStepHostsMax } from "@needfire/shared/rollout";
import { type Aside, JudgingFailed } from "@needfire/shared/rules/aside";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { Rules } from "@needfire/shared/rules/rules";
import {
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
  type Execution,
  hasEnded,
  type Input,
  isAwaited,
  isOpen,
  listens,
  type MasterEventDraft,
  type Moment,
  type Order,
  startOnHost,
  startTask,
  stepTask,
  type Step,
  type Task,
} from "@needfire/shared/task";
import { beginningsOf, isOrder, retryOf } from "@needfire/shared/task/order";
import { fromNowhere, originOf } from "./origin.ts";
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
export interface Ordered {
  task: string;
  order: Order;
}

/** Events that were received at one time: of them, those that can have consequences. The time counts also where none can. */
export interface Arrival {
  received: number;
  events: readonly Event[];
}

/** What follows, to be committed as a whole. */
export type Consequences = Required<Pick<Writes, "changes" | "rollouts" | "rules" | "events" | "decisions" | "counts">>;

export interface Asked {
  expired: readonly Expired[];
  orders: readonly Ordered[];
  rolloutOrders?: readonly RolloutOrder[];
  /** What is due by now happens, too. Not while there are events that were received before and are not judged yet. */
  now?: number;
}

export interface ReactOptions {
  /** What is not judged. */
  aside?: Aside;
  store: Pick<
    Store,
    "task" | "ruleState" | "openTaskOf" | "tasksDue" | "listeningTasks" | "openTasksIn" | "openRollouts" | "rollout" | "hostsOnTurn"
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
  readonly #rules: Rules;
  readonly #rollouts: Rollouts;
  readonly #tally = new Tally();
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
  }

  /** Everything is again as the store has it: at the start, and when what followed from events could not be committed. */
  async restore(): Promise<void> {
    this.#tasks.clear();
    this.#listening = undefined;
    this.#tally.take();
    this.#rules.load(await this.#options.store.ruleState());
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
  async judge(arrivals: readonly Arrival[], { expired, orders, rolloutOrders = [], now }: Asked): Promise<Consequences> {
    const made: Consequences = { changes: [], rollouts: [], rules: [], events: [], decisions: [], counts: [] };
    this.#joins.clear();
    if (this.#listening === undefined) await this.#lookAtTasks();
    for (const { received, events } of arrivals) {
      await this.#take(this.#rules.tick(received), made);
      for (const event of events) await this.#hear(event, made);
    }
    if (now !== undefined) await this.#passTime(now, made);
    for (const { execution, reason } of expired) {
      const task = await this.#task(execution.task);
      if (task !== undefined) this.#step(task, { kind: "expired", execution: execution.id, reason }, execution.id, made);
    }
    for (const { task: id, order } of orders) {
      const task = await this.#task(id);
      if (task !== undefined) this.#step(task, order, id, made);
    }
    for (const { rollout: id, ...order } of rolloutOrders) {
      const rollout = await this.#rollouts.get(id);
      if (rollout !== undefined) this.#rollouts.step(rollout, order, made.rollouts);
    }
    made.rules = this.#rules.takeDirty();
    made.counts = this.#tally.take();
    return made;
  }

  async #lookAtTasks(): Promise<void> {
    const { store } = this.#options;
    this.#listening = byHost(await store.listeningTasks());
    await this.#rollouts.load();
    this.#taskDue = (await store.tasksDue(0, 0)).next;
  }

  /** The store did not take these: the reaction was there already. */
  forget(changes: readonly Change[]): void {
    for (const { task } of changes) this.#tasks.delete(task.id);
    if (changes.length > 0) this.#listening = undefined;
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
      const { firing, reactor } = decision;
      if (firing?.fleet !== undefined) {
        await this.#rollOut(decision, { ...firing, fleet: firing.fleet }, made);
        continue;
      }
      const open = firing && (await this.#openTaskOf(firing));
      if (firing !== undefined && open !== undefined) {
        this.#join(decision, open, made);
        continue;
      }
      const step = firing && this.#attempt(reactor, firing.trigger.event.id, { made, work: () => startTask(firing, this.#now()) });
      if (step !== undefined) this.#change(step, true, made.changes);
      this.#record(made, firing !== undefined && step === undefined ? { ...decision, reason: "set-aside" } : decision, step?.task.id);
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
    return { now: this.#options.clock.now(), random: (this.#options.random ?? Math.random)() };
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
    this.#listen(task);
    this.#awaitDue(task);
    if (task.joinKey !== undefined) this.#joins.set(joinName(task.reactor, task.joinKey), isOpen(task) ? task.id : undefined);
    if (this.#tasks.size > tasksRememberedMax) this.#forgetEnded();
    changes.push({ isNew, task, effects });
  }

  #listen(task: Task): void {
    const ids = this.#listening?.get(task.agent);
    if (!listens(task)) return void ids?.delete(task.id);
    if (ids === undefined) this.#listening?.set(task.agent, new Set([task.id]));
    else ids.add(task.id);
  }

  #forgetEnded(): void {
    for (const [id, task] of this.#tasks) {
      if (hasEnded(task)) this.#tasks.delete(id);
      if (this.#tasks.size <= tasksRememberedMax / 2) break;
    }
  }
}

/** P6: what the master does for a task no host can speak of. */
function ownerIn({ open, agent }: Task, execution: string): string {
  const action = open.find(({ id }) => id === execution)?.action;
  return action !== undefined && actions[action].runsOn === "master" ? masterAgent : agent;
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
