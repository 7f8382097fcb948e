/**
 * What keeps a reactor from making tasks: its breaker, and how many it may make for an agent. Firings ask here first, and every task that begins or
 * ends is told here.
 */
import type { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { isoTime } from "@needfire/shared/clock";
import { isRolling, type Rollout } from "@needfire/shared/rollout";
import type { BreakerLimits, Firing, PerAgentLimit } from "@needfire/shared/rules/types";
import { spanText } from "@needfire/shared/rules/wording";
import type { Effect, Task } from "@needfire/shared/task";
import { type Strike, strikeOf, strikeOfRollout } from "@needfire/shared/task/breaker";
import { type Admission, Breakers, type KeysFull, type Tripped } from "../breakers.ts";
import { type Full, PerAgent } from "../per-agent.ts";
import type { BreakerRow, Store } from "../store/store.ts";

export type Restraint = Admission | ({ kind: "full" } & Full);

type RestraintStore = Pick<Store, "breakers" | "tasksMade" | "tasksPromised">;

export class Restraints {
  readonly #store: RestraintStore;
  readonly #breakers = new Breakers();
  /** By reactor. */
  #breakerLimits = new Map<string, BreakerLimits>();
  #perAgentLimits = new Map<string, PerAgentLimit>();
  /** Reactors of which a firing is for many hosts. */
  #fleets: ReadonlySet<string> = new Set();
  /** Undefined: the store is to be asked. */
  #perAgent: PerAgent | undefined;

  constructor(store: RestraintStore) {
    this.#store = store;
  }

  setReactors({ reactors }: Pick<ReactorIndex, "reactors">): void {
    this.#breakerLimits = new Map(reactors.flatMap(({ name, breaker }) => (breaker === undefined ? [] : [[name, breaker]])));
    this.#perAgentLimits = new Map(reactors.flatMap(({ name, perAgent }) => (perAgent === undefined ? [] : [[name, perAgent]])));
    this.#fleets = new Set(reactors.flatMap(({ name, fleet }) => (fleet === undefined ? [] : [name])));
    this.recount();
  }

  /** Everything is again as the store has it. */
  async restore(): Promise<void> {
    this.recount();
    this.#breakers.load(await this.#store.breakers());
  }

  /** Tasks of which one was told here do not exist. */
  recount(): void {
    this.#perAgent = undefined;
  }

  /** To be called before each turn. */
  async look(now: number): Promise<void> {
    if (this.#perAgent !== undefined) return;
    this.#perAgent = new PerAgent(this.#perAgentLimits);
    if (this.#perAgentLimits.size === 0) return;
    const longestMs = Math.max(...[...this.#perAgentLimits.values()].map(({ withinMs }) => withinMs));
    const reactors = [...this.#perAgentLimits.keys()];
    for (const each of await this.#store.tasksMade(reactors, now - longestMs)) this.#perAgent.add(each);
    for (const each of await this.#store.tasksPromised(reactors)) this.#perAgent.promise(each);
  }

  /** Whether a firing may make a task. The end of a problem is no remedy, and a plan does no harm. */
  admit({ reactor, branch, plan, trigger, fleet }: Firing, now: number): Restraint {
    const { name, mode, breaker: limits } = reactor;
    if (mode !== "live" || branch !== "do") return { kind: "closed" };
    const { agent, event } = trigger;
    // Of a rollout single hosts are left out.
    const full = fleet === undefined ? this.#perAgent?.full(name, agent, now) : undefined;
    if (full !== undefined) return { kind: "full", ...full };
    if (limits === undefined) return { kind: "closed" };
    return this.#breakers.admit(name, { agent, subject: event.subject, joinKey: plan.ok ? plan.joinKey : undefined }, { limits, now });
  }

  /** Why a rollout leaves out this host; undefined: it does not. */
  leavesOut({ reactor: { name, mode, perAgent }, branch }: Firing, agent: string, now: number): string | undefined {
    if (perAgent === undefined || mode !== "live" || branch !== "do") return undefined;
    const full = this.#perAgent?.full(name, agent, now);
    if (full === undefined) return undefined;
    const until = full.until === undefined ? "" : `, until ${isoTime(full.until)}`;
    return `${perAgentText(perAgent, full)}${until}`;
  }

  /** A rollout was made: it counts for its hosts from now on, and not from when it is their turn. */
  promised(rollout: Rollout, agents: readonly string[]): void {
    const { id, reactor, branch } = rollout;
    if (branch === "do" && isRolling(rollout)) for (const agent of agents) this.#perAgent?.promise({ reactor, agent, rollout: id });
  }

  /** A task was made. One that asks for a rollout, or calls people for it, does nothing on a host. */
  begun({ branch, status, rollout, rungs, ...made }: Task): void {
    if (branch !== "do" || status.state === "planned" || (rollout !== undefined && rungs.length === 0)) return;
    this.#perAgent?.add(made);
    if (rollout !== undefined) this.#perAgent?.keep({ ...made, rollout });
  }

  /** What a step may hold against the task's reactor. */
  stepped(task: Task, effects: readonly Effect[]): void {
    if (!effects.some(isEnd)) return;
    // A rollout is held against it as a whole; where firings go together each host's is its own.
    if (task.rollout === undefined || !this.#fleets.has(task.reactor)) this.#strike(task, strikeOf(task));
  }

  /** A rollout has ended. */
  rolledOut(rollout: Rollout): void {
    this.#perAgent?.withdraw(rollout.id);
    if (!rollout.combined) this.#strike(rollout, strikeOfRollout(rollout));
  }

  /** Remedies that are not tried any more. */
  tripped(): Tripped[] {
    return this.#breakers.list();
  }

  /** What had tripped, and may try again from now on. */
  reset(reactor: string, key: readonly string[] | undefined): Tripped[] {
    return this.#breakers.reset(reactor, key);
  }

  takeDirty(): BreakerRow[] {
    return this.#breakers.takeDirty();
  }

  /** P4: keys of breakers that were forgotten. */
  takeFull(now: number): KeysFull[] {
    return this.#breakers.takeFull(now);
  }

  #strike(about: Task | Rollout, strike: Strike | undefined): void {
    const limits = this.#breakerLimits.get(about.reactor);
    if (limits !== undefined && strike !== undefined) this.#breakers.strike(about.reactor, about, { limits, strike });
  }
}

export function perAgentText({ tasks, withinMs }: PerAgentLimit, { promised }: Pick<Full, "promised">): string {
  const to = promised === 0 ? "" : `, with ${promised} that ${promised === 1 ? "is" : "are"} still to begin in rollouts`;
  return `limits.per_agent: ${tasks} tasks in ${spanText(withinMs)}${to}`;
}

/** Told once of each task that ended by itself. */
function isEnd(effect: Effect): boolean {
  return effect.kind === "emit" && (effect.event.type === "task.resolved" || effect.event.type === "task.escalated");
}
