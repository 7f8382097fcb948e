/**
 * What follows from events: asks `match` and `task` about each, in the journal's order, and gives the changes that must become durable
 * together with the position reached (P2). Performs nothing itself.
 */
import type { ExecutionReport } from "@needfire/shared/action";
import { type Event, resultType } from "@needfire/shared/event";
import { taskOfExecution } from "@needfire/shared/ids";
import { match, singleFiring } from "@needfire/shared/match";
import type { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import type { AgentView } from "@needfire/shared/target";
import { type Execution, hasEnded, startTask, stepTask, type Step, type Task } from "@needfire/shared/task";
import { fromNowhere, type Origin, originOf } from "./origin.ts";
import type { Change, Store } from "./store/store.ts";

/** A command that will have no result, and why. */
export interface Expired {
  execution: Execution;
  reason: string;
}

/** An operator cancels a task. */
export interface Cancel {
  task: string;
  reason: string;
  by: string;
}

export interface ReactOptions {
  store: Pick<Store, "task">;
  reactors(): ReactorIndex;
  agentView(id: string): AgentView;
  clock: { now(): number };
}

/** Tasks that ended and may still be asked for as a cause. */
const tasksRememberedMax = 10_000;

export class React {
  readonly #options: ReactOptions;
  readonly #tasks = new Map<string, Task>();

  constructor(options: ReactOptions, openTasks: Task[]) {
    this.#options = options;
    for (const task of openTasks) this.#tasks.set(task.id, task);
  }

  /** Whether an event of this type can have consequences: the others need not even be unpacked. */
  hears(type: string): boolean {
    return type === resultType || this.#options.reactors().forType(type).length > 0;
  }

  /** What follows from events, then from commands that are given up, then from an operator's word. */
  async judge(events: readonly Event[], expired: readonly Expired[], cancels: readonly Cancel[] = []): Promise<Change[]> {
    const changes: Change[] = [];
    for (const event of events) {
      if (event.type === resultType) await this.#takeReport(event, changes);
      // Hardly any event has a cause: the others are judged without a wait.
      const origin = event.cause === undefined ? fromNowhere(event) : await originOf(event, (id) => this.#task(id));
      this.#judgeEvent(event, origin, changes);
    }
    for (const { execution, reason } of expired) {
      const task = await this.#task(execution.task);
      const input = { kind: "expired", execution: execution.id, reason } as const;
      if (task !== undefined) this.#change(stepTask(task, input, this.#options.clock.now()), false, changes);
    }
    for (const { task: id, reason, by } of cancels) {
      const task = await this.#task(id);
      if (task !== undefined) this.#change(stepTask(task, { kind: "cancel", reason, by }, this.#options.clock.now()), false, changes);
    }
    return changes;
  }

  /** The store did not take these: the reaction was there already. */
  forget(changes: readonly Change[]): void {
    for (const { task } of changes) this.#tasks.delete(task.id);
  }

  /** A task as it is now. */
  task(id: string): Promise<Task | undefined> {
    return this.#task(id);
  }

  /** The agent to which an execution was given; undefined when there is no such execution. */
  async ownerOf(execution: string): Promise<string | undefined> {
    return (await this.#task(taskOfExecution(execution)))?.agent;
  }

  #judgeEvent(event: Event, from: Origin, changes: Change[]): void {
    const { clock, reactors, agentView } = this.#options;
    const origin = { event, agent: from.agent, ancestry: from.ancestry, root: event.id };
    // Why the others did not fire is asked of history (api/decisions.ts), not of the log: a line an event and reactor would drown it.
    for (const decision of match(reactors(), { ...origin, agent: agentView(from.agent) }))
      if (decision.kind === "fire") this.#change(startTask(singleFiring(decision, origin), clock.now()), true, changes);
  }

  async #takeReport(event: Event, changes: Change[]): Promise<void> {
    const report = event.data as unknown as ExecutionReport; // it was checked at the door
    const task = await this.#task(taskOfExecution(report.execution));
    if (task === undefined || task.agent !== event.agent) return;
    this.#change(stepTask(task, { kind: "report", report }, this.#options.clock.now()), false, changes);
  }

  async #task(id: string): Promise<Task | undefined> {
    return this.#tasks.get(id) ?? (await this.#options.store.task(id));
  }

  #change({ task, effects }: Step, isNew: boolean, changes: Change[]): void {
    if (effects.length === 0) return;
    this.#tasks.set(task.id, task);
    if (this.#tasks.size > tasksRememberedMax) this.#forgetEnded();
    changes.push({ isNew, task, effects });
  }

  #forgetEnded(): void {
    for (const [id, task] of this.#tasks) {
      if (hasEnded(task)) this.#tasks.delete(id);
      if (this.#tasks.size <= tasksRememberedMax / 2) break;
    }
  }
}
