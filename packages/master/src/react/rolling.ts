/**
 * Rollouts go on: the hosts whose turn it is begin, what a person cancelled ends, people are called. As much of it as goes into one turn: the next
 * one goes on, with those that had to wait (P8).
 */
import type { Event } from "@needfire/shared/event";
import { approvalTaskId, type Rollout, rolloutStepHostsMax } from "@needfire/shared/rollout";
import { callForHelp, isOpen, startOnHost } from "@needfire/shared/task";
import { orderedRolloutId, type RolloutRetryWish } from "@needfire/shared/task/order";
import type { Rollouts } from "../rollouts.ts";
import type { Store } from "../store/store.ts";
import type { Consequences } from "./consequences.ts";
import type { KnownTasks } from "./known-tasks.ts";
import type { Steps } from "./steps.ts";

export interface RollingOptions {
  store: Pick<Store, "hostsOnTurn" | "openTasksIn" | "openTaskCounts" | "hostsToRetry">;
  tasks: KnownTasks;
  steps: Steps;
  rollouts: Rollouts;
}

export class Rolling {
  readonly #options: RollingOptions;
  #mayHaveLost = true;

  constructor(options: RollingOptions) {
    this.#options = options;
  }

  /** The store may have been damaged since: rollouts are looked at before they go on. */
  restore(): void {
    this.#mayHaveLost = true;
  }

  /** A rollout whose tasks are gone would wait for them for ever: they have failed. */
  async findLost(made: Consequences): Promise<void> {
    if (!this.#mayHaveLost) return;
    this.#mayHaveLost = false;
    const { store, tasks, rollouts } = this.#options;
    const { open } = rollouts;
    if (open.length === 0) return;
    const counts = await store.openTaskCounts();
    for (const rollout of open) {
      const { id, asking } = rollout;
      const asks = asking === undefined ? undefined : await tasks.get(asking);
      const isAsking = asks !== undefined && isOpen(asks);
      const missing = rollout.open - (counts.get(id) ?? 0) + (isAsking ? 1 : 0);
      const question = asking !== undefined && !isAsking;
      if (missing > 0 || question) rollouts.step(rollout, { kind: "lost", tasks: Math.max(0, missing), question }, made.rollouts);
    }
  }

  async goOn(made: Consequences): Promise<void> {
    // Of those that this turn has made the store does not know the hosts yet.
    const fresh = new Set(made.rollouts.flatMap(({ rollout, begins }) => (begins === undefined ? [] : [rollout.id])));
    const before = made.changes.length;
    for (const rollout of this.#options.rollouts.due()) {
      if (made.changes.length - before >= rolloutStepHostsMax) break;
      if (!fresh.has(rollout.id)) await this.#goOnWith(rollout, made);
    }
  }

  /** A person wants one tried again. What came twice is there. */
  async retry(event: Event, made: Consequences): Promise<void> {
    const { store, tasks, steps, rollouts } = this.#options;
    const { rollout: of, request, by, why, unresolved = false } = event.data as unknown as RetriedData;
    const before = await rollouts.get(of);
    const id = before && orderedRolloutId(request, before);
    if (before === undefined || id === undefined || (await rollouts.get(id)) !== undefined) return;
    const again = await store.hostsToRetry(before, { unresolved });
    // Where it does not stand in the rollout, it was made before that was kept there.
    const asks = before.asks ?? (await tasks.get(approvalTaskId(before)))?.asks;
    const work = () => rollouts.retry(before, again, { id, event: event.id, by, why, asks });
    steps.beginRollout(reactorOf(before), event.id, { made, work });
  }

  async #goOnWith(rollout: Rollout, made: Consequences): Promise<void> {
    const { rollouts, steps } = this.#options;
    const work = rollouts.step(rollout, { kind: "due" }, made.rollouts);
    if (work?.kind === "begin") await this.#begin(rollout, work, made);
    if (work?.kind === "cancel") await this.#cancel(rollout, made);
    if (work?.kind === "call") steps.begin(reactorOf(rollout), rollout.id, { made, work: () => callForHelp(rollout, steps.moment()) });
  }

  async #begin(rollout: Rollout, { from, count }: { from: number; count: number }, made: Consequences): Promise<void> {
    const { store, rollouts, steps } = this.#options;
    const hosts = await store.hostsOnTurn(rollout.id, from, count);
    for (const host of hosts) {
      const work = () => startOnHost(rollout, host, steps.moment());
      const task = steps.begin(reactorOf(rollout), host.task, { made, work });
      if (task !== undefined) rollouts.ended(task, made.rollouts);
      else await this.#fail(rollout.id, { agent: host.agent, reason: "what was to be done there was set aside" }, made);
    }
    for (let lost = hosts.length; lost < count; lost++)
      await this.#fail(rollout.id, { agent: "?", reason: "the store, which was damaged, does not know the host any more" }, made);
  }

  async #fail(id: string, { agent, reason }: { agent: string; reason: string }, made: Consequences): Promise<void> {
    const { rollouts, steps } = this.#options;
    const rollout = await rollouts.get(id);
    if (rollout === undefined) return;
    const { now } = steps.moment();
    rollouts.step(rollout, { kind: "ended", how: "failed", agent, reason, attempt: 0, at: now }, made.rollouts);
  }

  async #cancel({ id, status }: Rollout, made: Consequences): Promise<void> {
    if (status.state !== "cancelled") return;
    const { store, tasks, steps } = this.#options;
    const { reason, by } = status;
    const open = await store.openTasksIn(id, rolloutStepHostsMax);
    for (const task of open) steps.step(tasks.latest(task), { kind: "cancel", reason, by }, task.id, made);
  }
}

/** What `rolloutRetryEvent` says. */
type RetriedData = { rollout: string } & Omit<RolloutRetryWish, "unresolved"> & { unresolved?: boolean };

function reactorOf({ reactor: name, reactorVersion: version }: Rollout): { name: string; version: string } {
  return { name, version };
}
