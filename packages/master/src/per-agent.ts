/**
 * How many tasks a reactor has made for an agent of late, where it may make only so many (`limits.per_agent`). A memory of what the store has:
 * it is filled from there, and nothing is written.
 */
import type { PerAgentLimit } from "@needfire/shared/rules/types";

/** A task that was made: ms since the epoch. */
export interface MadeTask {
  reactor: string;
  agent: string;
  created: number;
}

export class PerAgent {
  readonly #limits: ReadonlyMap<string, PerAgentLimit>;
  readonly #made = new Map<string, number[]>();

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

  /** Until when it may make no more for this agent; undefined: it may. */
  fullUntil(reactor: string, agent: string, now: number): number | undefined {
    const limit = this.#limits.get(reactor);
    const times = limit && this.#made.get(keyOf(reactor, agent));
    const [oldest] = times ?? [];
    if (limit === undefined || oldest === undefined || times!.length < limit.tasks) return undefined;
    const until = oldest + limit.withinMs;
    return until > now ? until : undefined;
  }
}

function keyOf(reactor: string, agent: string): string {
  return `${reactor} ${agent}`;
}
