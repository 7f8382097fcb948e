/**
 * What keeps a reactor from making tasks: its breaker, and how many it may make for an agent. Firings ask here first, and every task that begins or
 * ends is told here.
 */
import type { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import type { BreakerLimits, Firing, PerAgentLimit } from "@needfire/shared/rules/types";
import type { Effect, Task } from "@needfire/shared/task";
import { strikeOf } from "@needfire/shared/task/breaker";
import { type Admission, Breakers, type Tripped } from "../breakers.ts";
import { PerAgent } from "../per-agent.ts";
import type { BreakerRow, Store } from "../store/store.ts";

export type Restraint = Admission | { kind: "full"; until: number };

type RestraintStore = Pick<Store, "breakers" | "tasksMade">;

export class Restraints {
  readonly #store: RestraintStore;
  readonly #breakers = new Breakers();
  /** By reactor. */
  #breakerLimits = new Map<string, BreakerLimits>();
  #perAgentLimits = new Map<string, PerAgentLimit>();
  /** Undefined: the store is to be asked. */
  #perAgent: PerAgent | undefined;

  constructor(store: RestraintStore) {
    this.#store = store;
  }

  setReactors({ reactors }: Pick<ReactorIndex, "reactors">): void {
    this.#breakerLimits = new Map(reactors.flatMap(({ name, breaker }) => (breaker === undefined ? [] : [[name, breaker]])));
    this.#perAgentLimits = new Map(reactors.flatMap(({ name, perAgent }) => (perAgent === undefined ? [] : [[name, perAgent]])));
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
    for (const each of await this.#store.tasksMade([...this.#perAgentLimits.keys()], now - longestMs)) this.#perAgent.add(each);
  }

  /** Whether a firing may make a task. The end of a problem is no remedy, and a plan does no harm. */
  admit({ reactor, branch, plan, trigger }: Firing, now: number): Restraint {
    const { name, mode, breaker: limits } = reactor;
    if (mode !== "live" || branch !== "do") return { kind: "closed" };
    const { agent, event } = trigger;
    const until = this.#perAgent?.fullUntil(name, agent, now);
    if (until !== undefined) return { kind: "full", until };
    if (limits === undefined) return { kind: "closed" };
    return this.#breakers.admit(name, { agent, subject: event.subject, joinKey: plan.ok ? plan.joinKey : undefined }, { limits, now });
  }

  /** A task was made. */
  begun(task: Task): void {
    if (task.branch === "do" && task.status.state !== "planned") this.#perAgent?.add(task);
  }

  /** What a step may hold against the task's reactor. */
  stepped(task: Task, effects: readonly Effect[]): void {
    const limits = this.#breakerLimits.get(task.reactor);
    // What stops a rollout are failures on its hosts.
    if (limits === undefined || task.rollout !== undefined || !effects.some(isEnd)) return;
    const strike = strikeOf(task);
    if (strike !== undefined) this.#breakers.strike(task.reactor, task, { limits, strike });
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
}

/** Told once of each task that ended by itself. */
function isEnd(effect: Effect): boolean {
  return effect.kind === "emit" && (effect.event.type === "task.resolved" || effect.event.type === "task.escalated");
}
