/**
 * Steps of tasks, each with what it entails for others: its rollout counts hosts, its lock goes to the next one, its reactor's breaker is struck.
 * A step that throws is told with the reactor it is of, so that this alone can be set aside.
 */
import { type Aside, JudgingFailed } from "@needfire/shared/rules/aside";
import type { Rollout } from "@needfire/shared/rollout";
import { questionOf } from "@needfire/shared/rollout/start";
import type { Reactor } from "@needfire/shared/rules/types";
import { askAbout, type Input, isOpen, type Moment, stepTask, type Step, type Task } from "@needfire/shared/task";
import { everybody, type Suspect } from "../quarantine.ts";
import type { Rollouts } from "../rollouts.ts";
import type { RolloutChange } from "../store/store.ts";
import { asideEvent, type Consequences } from "./consequences.ts";
import type { KnownTasks } from "./known-tasks.ts";
import type { Restraints } from "./restraints.ts";

export interface StepsOptions {
  tasks: KnownTasks;
  rollouts: Rollouts;
  restraints: Restraints;
  /** What is not judged. */
  aside?: Aside | undefined;
  clock: { now(): number };
  /** From 0 to 1, for jitter. */
  random: () => number;
  /** See `Moment`. */
  guardMs: number;
}

interface Attempt<T> {
  made: Consequences;
  work(): T;
}

type Named = Pick<Reactor, "name" | "version">;

export class Steps {
  readonly #options: StepsOptions;

  constructor(options: StepsOptions) {
    this.#options = options;
  }

  /** A task goes on, if the input concerns it; false: it does not. `what`: the event, execution or task from which that follows. */
  step(task: Task, input: Input, what: string, made: Consequences): boolean {
    const reactor = { name: task.reactor, version: task.reactorVersion };
    const step = this.attempt(reactor, what, { made, work: () => stepTask(task, input, this.moment()) });
    if (step === undefined || step.task === task) return false;
    this.#change(step, false, made);
    if (isOpen(task)) this.#options.rollouts.ended(step.task, made.rollouts);
    return true;
  }

  /** A new task; undefined when it is set aside. */
  begin(reactor: Named, what: string, attempt: Attempt<Step>): Task | undefined {
    const step = this.attempt(reactor, what, attempt);
    if (step === undefined) return undefined;
    this.#change(step, true, attempt.made);
    return step.task;
  }

  /** A new rollout, and the task that asks for somebody's word on it, where that is needed. Undefined: it is set aside. */
  beginRollout(reactor: Named, what: string, { made, work }: Attempt<RolloutChange>): Rollout | undefined {
    const change = this.attempt(reactor, what, { made, work });
    if (change === undefined) return undefined;
    made.rollouts.push(change);
    const { rollout } = change;
    const { asking } = rollout;
    const question = questionOf(rollout, change.begins?.hosts ?? []);
    if (asking !== undefined && question !== undefined)
      this.begin(reactor, rollout.id, { made, work: () => askAbout({ ...rollout, asking }, question, this.moment()) });
    return rollout;
  }

  /** Undefined: this very thing is set aside, which is told. What a reactor has begun goes on when it is set aside as a whole. */
  attempt<T>({ name, version }: Named, what: string, { made, work }: Attempt<T>): T | undefined {
    if (this.#isAside({ name, version }, what, made)) return undefined;
    try {
      return work();
    } catch (error) {
      throw new JudgingFailed({ name, version }, what, error);
    }
  }

  /** Nobody judges this event. */
  isAside(event: string, made: Consequences): boolean {
    return this.#isAside(everybody, event, made);
  }

  moment(): Moment {
    const { clock, random, guardMs, tasks } = this.#options;
    return { now: clock.now(), random: random(), guardMs, holderOf: (lock) => tasks.holderOf(lock) };
  }

  #isAside(reactor: Suspect, what: string, made: Consequences): boolean {
    const aside = this.#options.aside?.of(reactor, what);
    if (aside?.isNews !== true) return false;
    made.events.push(asideEvent(reactor.name, what, { why: aside.why, whole: aside.last }));
    return true;
  }

  #change({ task, effects }: Step, isNew: boolean, { changes }: Consequences): void {
    const { tasks, restraints } = this.#options;
    restraints.stepped(task, effects);
    if (isNew) restraints.begun(task);
    tasks.keep(task);
    changes.push({ isNew, task, effects });
  }
}
