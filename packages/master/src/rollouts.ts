/**
 * The rollouts to which something can still happen, as this turn has left them: before it, and of those that have ended, the store knows. Gives
 * what must become durable (P2); who begins is for `react` to begin, in the same transaction.
 */
import { severities } from "@needfire/shared/event";
import {
  type Answer,
  hasRolledOut,
  type HostEnd,
  type HostLeftOut,
  isRolling,
  type Rollout,
  type RolloutInput,
  type RolloutWork,
  type StartedRollout,
  stepRollout,
  workOf,
} from "@needfire/shared/rollout";
import { type Fleet, type PlannedHost, retryRollout, type RolloutRetry, startCombined, startRollout } from "@needfire/shared/rollout/start";
import type { Firing, FleetFiring } from "@needfire/shared/rules/types";
import type { AgentView } from "@needfire/shared/target";
import { isOpen, type Task } from "@needfire/shared/task";
import type { RolloutChange, Store } from "./store/store.ts";

/** A person pauses, resumes or cancels a rollout. */
export interface RolloutOrder {
  rollout: string;
  kind: "pause" | "resume" | "cancel";
  reason: string;
  by: string;
}

export interface RolloutsOptions {
  store: Pick<Store, "rollout" | "openRollouts" | "joinKeysIn">;
  /** All hosts with an accepted key. */
  hosts(): readonly AgentView[];
  /** Why it does not go to a host that fits; undefined: it does. */
  leavesOut(firing: Firing, agent: string): string | undefined;
  /** It is to begin on these hosts, if nothing keeps it. */
  started(rollout: Rollout, agents: readonly string[]): void;
  /** Nothing more of it begins. */
  ended(rollout: Rollout): void;
  clock: { now(): number };
}

/** Rollouts that have not ended. A further one is stopped before it begins, which is told (P4). */
const openRolloutsMax = 1_000;
const manyText = `${openRolloutsMax} rollouts are under way already`;

export class Rollouts {
  readonly #options: RolloutsOptions;
  readonly #open = new Map<string, Rollout>();
  /** Of those whose hosts have each a key of its own, by key: the highest number of a host with it. */
  readonly #keys = new Map<string, Map<string, number>>();

  constructor(options: RolloutsOptions) {
    this.#options = options;
  }

  async load(): Promise<void> {
    const { store } = this.#options;
    this.#open.clear();
    this.#keys.clear();
    for (const rollout of await store.openRollouts()) {
      this.#open.set(rollout.id, rollout);
      if (rollout.combined) this.#keys.set(rollout.id, lastOf(await store.joinKeysIn(rollout.id)));
    }
  }

  /** As it is now. */
  async get(id: string): Promise<Rollout | undefined> {
    return this.#open.get(id) ?? (await this.#options.store.rollout(id));
  }

  /** Those that say that tasks of theirs are under way. */
  get open(): Rollout[] {
    return [...this.#open.values()].filter(({ open, asking }) => open > 0 || asking !== undefined);
  }

  get isDue(): boolean {
    return this.#open.values().some((rollout) => workOf(rollout) !== undefined);
  }

  /** Those for which there is something to do, the most urgent first (P8), of equal ones those that were not touched for longest. */
  due(): Rollout[] {
    const due = [...this.#open.values()].filter((rollout) => workOf(rollout) !== undefined);
    return due.toSorted((a, b) => severities.indexOf(a.priority) - severities.indexOf(b.priority));
  }

  /** The one that a firing joins. */
  joinedBy({ reactor, plan }: Firing): Rollout | undefined {
    if (reactor.mode !== "live" || !plan.ok || plan.joinKey === undefined) return undefined;
    return this.#openWith(reactor.name, plan.joinKey);
  }

  #openWith(reactor: string, joinKey: readonly unknown[]): Rollout | undefined {
    const key = JSON.stringify(joinKey);
    return this.#open.values().find((rollout) => rollout.reactor === reactor && isRolling(rollout) && this.#isOf(rollout, key));
  }

  /** Of firings that go together the key is each host's own: who has begun is joined in its task. */
  #isOf({ id, combined, begun, joinKey }: Rollout, key: string): boolean {
    return combined ? (this.#keys.get(id)?.get(key) ?? -1) >= begun : JSON.stringify(joinKey) === key;
  }

  start(firing: Firing & { fleet: FleetFiring }): RolloutChange {
    const { hosts, clock } = this.#options;
    const fleet = this.#fleetOf(firing, hosts().filter(firing.fleet.fits));
    return this.#started(startRollout(this.#unlessTooMany(firing), fleet, clock.now()));
  }

  /** Of firings that go together. */
  startCombined(firing: Firing & { members: readonly Firing[] }): RolloutChange {
    const { limits } = firing.reactor.combining!;
    return this.#started(startCombined(this.#unlessTooMany(firing), limits, this.#options.clock.now()));
  }

  #unlessTooMany<F extends Firing>(firing: F): F {
    return this.#open.size < openRolloutsMax ? firing : { ...firing, plan: { ok: false, reason: manyText } };
  }

  #started({ rollout, events, ...begins }: StartedRollout): RolloutChange {
    if (rollout.combined)
      this.#keys.set(rollout.id, lastOf(begins.hosts.map(({ firing }, number) => ({ number, joinKey: firing?.joinKey }))));
    this.#keep(rollout);
    this.#options.started(
      rollout,
      begins.hosts.map(({ agent }) => agent),
    );
    return { rollout, events, begins };
  }

  /** Once more, where it failed. What keeps it from beginning is told by the rollout itself. */
  retry(before: Rollout, failed: readonly PlannedHost[], wish: Omit<RolloutRetry, "problem">): RolloutChange {
    const keys = [before.joinKey, ...failed.map(({ firing }) => firing?.joinKey)].filter((key) => key !== undefined);
    const open = keys.map((key) => this.#openWith(before.reactor, key)).find((each) => each !== undefined);
    const problem =
      failed.length === 0
        ? "there is no host on which it failed"
        : open !== undefined
          ? `${open.id} is open for the same`
          : this.#open.size >= openRolloutsMax
            ? manyText
            : undefined;
    return this.#started(retryRollout(before, failed, { ...wish, problem }, this.#options.clock.now()));
  }

  /** What is to be done with it now; undefined: nothing. */
  step(before: Rollout, input: RolloutInput, changes: RolloutChange[]): RolloutWork | undefined {
    const { rollout, events, work } = stepRollout(before, input, this.#options.clock.now());
    if (rollout !== before) {
      this.#keep(rollout);
      changes.push({ rollout, events });
      if (isRolling(before) && !isRolling(rollout)) this.#options.ended(rollout);
    }
    return work;
  }

  /** One of its tasks is not tried any more. */
  ended(task: Task, changes: RolloutChange[]): void {
    const rollout = this.#open.get(task.rollout ?? "");
    if (rollout === undefined || isOpen(task)) return;
    const isAnswer = rollout.asking === task.id;
    this.step(rollout, isAnswer ? { kind: "answered", ...answerOf(task) } : { kind: "ended", ...endOf(task) }, changes);
  }

  #fleetOf(firing: Firing, fitting: readonly AgentView[]): Fleet {
    const hosts: AgentView[] = [];
    const leftOut: HostLeftOut[] = [];
    for (const view of fitting) {
      const reason = this.#options.leavesOut(firing, view.id);
      if (reason === undefined) hosts.push(view);
      else leftOut.push({ agent: view.id, reason });
    }
    return { hosts, leftOut };
  }

  /** Of those that have ended nothing is kept here. */
  #keep(rollout: Rollout): void {
    // So that it stands at the end.
    this.#open.delete(rollout.id);
    if (hasRolledOut(rollout)) this.#keys.delete(rollout.id);
    else this.#open.set(rollout.id, rollout);
  }
}

/** By key, the last host with it. */
function lastOf(hosts: readonly { number: number; joinKey: unknown[] | undefined }[]): Map<string, number> {
  const keyed = hosts.flatMap(({ number, joinKey }) => (joinKey === undefined ? [] : [[JSON.stringify(joinKey), number] as const]));
  return new Map(keyed.toSorted(([, a], [, b]) => a - b));
}

function answerOf({ status }: Task): Answer {
  if (status.state === "resolved") return { how: "approved" };
  if (status.state === "cancelled") return { how: "denied", reason: status.reason, by: status.by };
  return { how: "unanswered", reason: "reason" in status && status.reason !== undefined ? status.reason : `it is ${status.state}` };
}

function endOf({ status, agent, attempt, history, updated: at }: Task): HostEnd {
  if (status.state === "resolved") return { how: "resolved", agent, verified: status.verified };
  if (status.state === "cancelled") return { how: "cancelled", agent };
  const reason = "reason" in status && status.reason !== undefined ? status.reason : `it is ${status.state}`;
  const output = history.at(-1)?.output;
  return {
    how: status.state === "expired" ? "expired" : "failed",
    agent,
    attempt,
    at,
    reason,
    ...(output === undefined ? {} : { output }),
  };
}
