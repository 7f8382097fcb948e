/**
 * What becomes of firings: a task, a rollout, a join with one of these that is open, or nothing, since a limit or a breaker holds them back. Every
 * one is recorded with its reason (P5).
 */
import { isoTime } from "@needfire/shared/clock";
import { rolloutId } from "@needfire/shared/ids";
import type { Decision, Firing, FleetFiring, Judgement } from "@needfire/shared/rules/types";
import { startTask, startTripped, type Task } from "@needfire/shared/task";
import type { Trip } from "@needfire/shared/task/breaker";
import type { Tripping } from "../breakers.ts";
import type { Rollouts } from "../rollouts.ts";
import type { Tally } from "../tally.ts";
import { type Consequences, noticeEvent, record } from "./consequences.ts";
import type { KnownTasks } from "./known-tasks.ts";
import { perAgentText, type Restraints } from "./restraints.ts";
import type { Steps } from "./steps.ts";

export interface FiringsOptions {
  tasks: KnownTasks;
  steps: Steps;
  rollouts: Rollouts;
  restraints: Restraints;
  tally: Tally;
}

export class Firings {
  readonly #options: FiringsOptions;

  constructor(options: FiringsOptions) {
    this.#options = options;
  }

  /** What the rule engine has decided. */
  async take({ decisions, notices }: Judgement, made: Consequences): Promise<void> {
    for (const decision of decisions) {
      const { firing } = decision;
      if (firing === undefined) this.#record(made, decision);
      else if (firing.fleet !== undefined) await this.#rollOut(decision, { ...firing, fleet: firing.fleet }, made);
      else await this.#fire(decision, firing, made);
    }
    for (const notice of notices) made.events.push(noticeEvent(notice));
  }

  /** A firing makes a task, or joins one, or is held back. */
  async #fire(decision: Decision, firing: Firing, made: Consequences): Promise<void> {
    const { steps, restraints } = this.#options;
    const open = await this.#openTaskOf(firing);
    if (open !== undefined) return this.#join(decision, open, made);
    const moment = steps.moment();
    const restraint = restraints.admit(firing, moment.now);
    if (restraint.kind === "full") return this.#limit(decision, firing, { made, until: restraint.until });
    if (restraint.kind === "open") return this.#hold(decision, restraint.trip, made);
    if (restraint.kind === "trips") return this.#trip(decision, firing, { restraint, made });
    const task = steps.begin(decision.reactor, firing.trigger.event.id, { made, work: () => startTask(firing, moment) });
    if (task === undefined) this.#record(made, { ...decision, reason: "set-aside" });
    else this.#record(made, decision, task.id);
  }

  /** Its breaker trips with it: what it makes is a task that calls people, and nothing else. */
  #trip(decision: Decision, firing: Firing, { restraint, made }: { restraint: Tripping; made: Consequences }): void {
    const { steps } = this.#options;
    const work = () => startTripped(firing, restraint, steps.moment());
    const task = steps.begin(decision.reactor, firing.trigger.event.id, { made, work });
    if (task === undefined) this.#record(made, { ...decision, reason: "set-aside" });
    else this.#hold(decision, restraint.own, made, task.id);
  }

  /** P2: one rollout for each reactor and event. Nothing begins before it is durable. */
  async #rollOut(decision: Decision, firing: Firing & { fleet: FleetFiring }, made: Consequences): Promise<void> {
    const { rollouts, steps, restraints } = this.#options;
    const { reactor, event, at } = decision;
    const open = rollouts.joinedBy(firing);
    if (open !== undefined) {
      rollouts.step(open, { kind: "join" }, made.rollouts);
      return this.#record(made, { reactor, event, at, reason: "joined", detail: `its rollout ${open.id} is open` }, open.id);
    }
    const trigger = firing.trigger.event.id;
    if ((await rollouts.get(rolloutId(reactor.name, trigger))) !== undefined) return;
    const restraint = restraints.admit(firing, steps.moment().now);
    if (restraint.kind === "open") return this.#hold(decision, restraint.trip, made);
    if (restraint.kind === "trips") return this.#trip(decision, firing, { restraint, made });
    const rollout = steps.beginRollout(reactor, trigger, { made, work: () => rollouts.start(firing) });
    if (rollout === undefined) return this.#record(made, { ...decision, reason: "set-aside" });
    this.#record(made, decision, rollout.id);
  }

  /** The task that a firing joins. */
  async #openTaskOf({ reactor, plan }: Firing): Promise<Task | undefined> {
    if (reactor.mode !== "live" || !plan.ok || plan.joinKey === undefined) return undefined;
    return this.#options.tasks.openWith(reactor.name, plan.joinKey);
  }

  #join({ reactor, event, at }: Decision, task: Task, made: Consequences): void {
    this.#options.steps.step(task, { kind: "join", event }, event, made);
    this.#record(made, { reactor, event, at, reason: "joined", detail: `its task ${task.id} is open` }, task.id);
  }

  #limit({ reactor, event, at }: Decision, { trigger: { agent } }: Firing, { made, until }: { made: Consequences; until: number }): void {
    const detail = `${perAgentText(reactor.perAgent!)} for ${agent}`;
    this.#record(made, { reactor, event, at, reason: "throttled", detail, until });
  }

  #hold({ reactor, event, at }: Decision, { at: since, why }: Trip, made: Consequences, task?: string): void {
    const detail = `its breaker has tripped at ${isoTime(since)}: ${why}; needfire breakers reset ${reactor.name}`;
    this.#record(made, { reactor, event, at, reason: "breaker-open", detail }, task);
  }

  #record(made: Consequences, decision: Decision, task?: string): void {
    record(made, this.#options.tally, decision, task);
  }
}
