/**
 * How many tasks a reactor has made for an agent of late, and how many more are promised there, where it may make only so many (`limits.per_agent`).
 * Promised are the hosts of rollouts that have not begun: they were let through, and nobody asks again when it is their turn. A memory of what the
 * store has: it is filled from there, and nothing is written.
 */
import type { PerAgentLimit } from "@needfire/shared/rules/types";

/** A task that was made: ms since the epoch. */
export interface MadeTask {
  reactor: string;
  agent: string;
  created: number;
}

/** A host of a rollout that is still to begin there. */
export interface PromisedTask {
  reactor: string;
  agent: string;
  rollout: string;
}

/** `until`: then tasks that were made are old enough; undefined: it waits for promises alone. `promised`: how many are counted on top of these. */
export interface Full {
  until: number | undefined;
  promised: number;
}

export class PerAgent {
  readonly #limits: ReadonlyMap<string, PerAgentLimit>;
  readonly #made = new Map<string, number[]>();
  /** The rollouts that are to begin there, each as often as it is to. */
  readonly #promised = new Map<string, string[]>();
  readonly #keysOf = new Map<string, string[]>();

  /** `limits`: by reactor. */
  constructor(limits: ReadonlyMap<string, PerAgentLimit>) {
    this.#limits = limits;
  }

  /** In the order in which they were made. */
  add({ reactor, agent, created }: MadeTask): void {
    const limit = this.#limits.get(reactor);
    if (limit === undefined) return;
    const key = keyOf(reactor, agent);
    const times = this.#made.get(key) ?? [];
    times.push(created);
    // No more than may be needed.
    this.#made.set(key, times.slice(-limit.tasks));
  }

  promise({ reactor, agent, rollout }: PromisedTask): void {
    if (!this.#limits.has(reactor)) return;
    const key = keyOf(reactor, agent);
    append(this.#promised, key, rollout);
    append(this.#keysOf, rollout, key);
  }

  /** It has begun there. */
  keep({ reactor, agent, rollout }: PromisedTask): void {
    const key = keyOf(reactor, agent);
    const rollouts = this.#promised.get(key) ?? [];
    const at = rollouts.indexOf(rollout);
    if (at >= 0) this.#set(key, rollouts.toSpliced(at, 1));
  }

  /** It begins nowhere any more. */
  withdraw(rollout: string): void {
    for (const key of this.#keysOf.get(rollout) ?? [])
      this.#set(
        key,
        (this.#promised.get(key) ?? []).filter((each) => each !== rollout),
      );
    this.#keysOf.delete(rollout);
  }

  /** Why it may make no more for this agent; undefined: it may. */
  full(reactor: string, agent: string, now: number): Full | undefined {
    const limit = this.#limits.get(reactor);
    if (limit === undefined) return undefined;
    const { tasks, withinMs } = limit;
    const key = keyOf(reactor, agent);
    const times = (this.#made.get(key) ?? []).filter((created) => created + withinMs > now);
    const promised = this.#promised.get(key)?.length ?? 0;
    if (times.length + promised < tasks) return undefined;
    // With as many of them gone there is room, as far as what is promised leaves any.
    const oldest = promised < tasks ? times[times.length + promised - tasks] : undefined;
    return { until: oldest === undefined ? undefined : oldest + withinMs, promised };
  }

  #set(key: string, rollouts: string[]): void {
    if (rollouts.length === 0) this.#promised.delete(key);
    else this.#promised.set(key, rollouts);
  }
}

function append(map: Map<string, string[]>, key: string, value: string): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}

function keyOf(reactor: string, agent: string): string {
  return `${reactor} ${agent}`;
}
