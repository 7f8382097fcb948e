/**
 * The hosts of something that is done by hand, and where each of them is: to come, ordered, ended. Values and counts only: who asks the master is
 * order.ts, who draws is progress.ts.
 */
import type { TaskView } from "@needfire/shared/api";
import type { OrderView, TargetsView } from "@needfire/shared/api-by-hand";

/** `not_there`: it had no session in its time. `cancelled`: somebody ended it. */
export const endings = ["ok", "failed", "not_there", "cancelled"] as const;
export type Ending = (typeof endings)[number];

export interface Host {
  agent: string;
  connected: boolean;
  task?: string;
  /** The event of the order that it is part of. */
  order?: string;
  /** When it was ordered, by the clock of here. */
  since?: number;
  ended?: { ending: Ending; task: TaskView };
}

export class Fleet {
  readonly #hosts = new Map<string, Host>();
  readonly #byTask = new Map<string, Host>();
  readonly #toCome: string[];
  readonly #looks = new Set<() => void>();

  constructor(agents: TargetsView["agents"]) {
    for (const { id, connected } of agents) this.#hosts.set(id, { agent: id, connected });
    this.#toCome = agents.map(({ id }) => id);
  }

  get size(): number {
    return this.#hosts.size;
  }

  get toCome(): number {
    return this.#toCome.length;
  }

  /** Ordered, and not ended. */
  get underWay(): Host[] {
    return [...this.#byTask.values()].filter(({ ended }) => ended === undefined);
  }

  get ended(): Host[] {
    return [...this.#hosts.values()].filter(({ ended }) => ended !== undefined);
  }

  /** The next to be ordered. */
  take(most: number): string[] {
    return this.#toCome.splice(0, most);
  }

  ordered({ order, tasks }: OrderView, now: number): void {
    for (const { id, agent, connected } of tasks) {
      const host = this.#hosts.get(agent);
      if (host === undefined) continue;
      Object.assign(host, { task: id, order, connected, since: now });
      this.#byTask.set(id, host);
    }
    this.#changed();
  }

  hostOf(task: string): Host | undefined {
    return this.#byTask.get(task);
  }

  came(agent: string, connected: boolean): void {
    const host = this.#hosts.get(agent);
    if (host !== undefined) host.connected = connected;
  }

  /** Undefined: it goes on, or has ended before. */
  look(task: TaskView): Host | undefined {
    const host = this.#byTask.get(task.id);
    const ending = endingOf(task);
    if (host === undefined || host.ended !== undefined || ending === undefined) return undefined;
    host.ended = { ending, task };
    this.#changed();
    return host;
  }

  counts(): Record<Ending, number> {
    const count = (wanted: Ending) => this.ended.filter(({ ended }) => ended?.ending === wanted).length;
    return { ok: count("ok"), failed: count("failed"), not_there: count("not_there"), cancelled: count("cancelled") };
  }

  /** Resolves when something has changed, or with `signal`. */
  change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#looks.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#looks.add(done);
      signal.addEventListener("abort", done, { once: true });
      if (signal.aborted) done();
    });
  }

  #changed(): void {
    for (const look of this.#looks) look();
  }
}

function endingOf({ state, executions }: TaskView): Ending | undefined {
  if (state === "resolved") return "ok";
  if (state === "cancelled") return "cancelled";
  if (state === "expired") return "not_there";
  if (state !== "escalated") return undefined;
  // A master that was started meanwhile cannot be certain that it did not go out.
  const last = executions.at(-1);
  return last?.state === "expired" && last.sent === undefined ? "not_there" : "failed";
}
