/**
 * What becomes of firings: a task, a rollout, a join with one of these that is open, or nothing, since a limit or a breaker holds them back. Every
 * one is recorded with its reason (P5).
 */
import { isoTime } from "@needfire/shared/clock";
import { rolloutId, taskId } from "@needfire/shared/ids";
import { together } from "@needfire/shared/rules/together";
import type { Decision, Firing, FleetFiring, Judgement } from "@needfire/shared/rules/types";
import { hostsText } from "@needfire/shared/rules/wording";
import { startTask, startTripped, type Task } from "@needfire/shared/task";
import type { Trip } from "@needfire/shared/task/breaker";
import type { Tripping } from "../breakers.ts";
import type { Rollouts } from "../rollouts.ts";
import type { Tally } from "../tally.ts";
import { type Consequences, noticeEvent, record } from "./consequences.ts";
import type { KnownTasks } from "./known-tasks.ts";
import type { Full } from "../per-agent.ts";
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
      else if (firing.members !== undefined) await this.#combine(decision, firing.members, made);
      else if (firing.fleet !== undefined) await this.#rollOut(decision, { ...firing, fleet: firing.fleet }, made);
      else await this.#fire(decision, firing, made);
    }
    for (const notice of notices) made.events.push(noticeEvent(notice));
  }

  /** A firing makes a task, or joins one, or is held back. */
  async #fire(decision: Decision, firing: Firing, made: Consequences): Promise<void> {
    if (await this.#isAdmitted(decision, firing, made)) this.#begin(decision, firing, made);
  }

  /** Those of several hosts that do the same: those that nothing holds back make one rollout. */
  async #combine(decision: Decision, members: readonly Firing[], made: Consequences): Promise<void> {
    const { rollouts, steps } = this.#options;
    const admitted: Firing[] = [];
    for (const member of members) {
      if (await this.#hasTask(member)) continue;
      if (await this.#isAdmitted(decisionOf(decision, member), member, made)) admitted.push(member);
    }
    const [first, ...others] = admitted;
    if (first === undefined) return;
    if (others.length === 0) return this.#begin(decisionOf(decision, first), first, made);
    const firing = { ...together(admitted), members: admitted };
    if ((await rollouts.get(rolloutId(firing.reactor.name, first.trigger.event.id))) !== undefined) return;
    const rollout = steps.beginRollout(firing.reactor, first.trigger.event.id, { made, work: () => rollouts.startCombined(firing) });
    const reason = rollout === undefined ? "set-aside" : decision.reason === "planned" ? "planned" : "combined";
    const detail = `one rollout on ${hostsText(admitted.map(({ trigger: { agent } }) => agent))}`;
    for (const member of admitted) this.#record(made, { ...decisionOf(decision, member), reason, detail }, rollout?.id);
  }

  /** P2: of a damaged store the rules may have forgotten that it fired. */
  async #hasTask({ reactor, trigger }: Firing): Promise<boolean> {
    return (await this.#options.tasks.get(taskId(reactor.name, trigger.event.id))) !== undefined;
  }

  /** P2: one rollout for each reactor and event. */
  async #rollOut(decision: Decision, firing: Firing & { fleet: FleetFiring }, made: Consequences): Promise<void> {
    const { rollouts, steps, restraints } = this.#options;
    const { reactor } = decision;
    if (this.#hasJoinedRollout(decision, firing, made)) return;
    const trigger = firing.trigger.event.id;
    if ((await rollouts.get(rolloutId(reactor.name, trigger))) !== undefined) return;
    const restraint = restraints.admit(firing, steps.moment().now);
    if (restraint.kind === "open") return void this.#hold(decision, restraint.trip, made);
    if (restraint.kind === "trips") return void this.#trip(decision, firing, { restraint, made });
    const rollout = steps.beginRollout(reactor, trigger, { made, work: () => rollouts.start(firing) });
    if (rollout === undefined) return this.#record(made, { ...decision, reason: "set-aside" });
    this.#record(made, decision, rollout.id);
  }

  /** Whether it may make a task. Where not, what became of it is recorded. */
  async #isAdmitted(decision: Decision, firing: Firing, made: Consequences): Promise<boolean> {
    const { steps, restraints } = this.#options;
    if (this.#hasJoinedRollout(decision, firing, made)) return false;
    const open = await this.#openTaskOf(firing);
    if (open !== undefined) return this.#join(decision, open, made);
    const moment = steps.moment();
    const restraint = restraints.admit(firing, moment.now);
    if (restraint.kind === "full") return this.#limit(decision, firing, { made, full: restraint });
    if (restraint.kind === "open") return this.#hold(decision, restraint.trip, made);
    if (restraint.kind === "trips") return this.#trip(decision, firing, { restraint, made });
    return true;
  }

  #begin(decision: Decision, firing: Firing, made: Consequences): void {
    const { steps } = this.#options;
    const work = () => startTask(firing, steps.moment());
    const task = steps.begin(decision.reactor, firing.trigger.event.id, { made, work });
    if (task === undefined) this.#record(made, { ...decision, reason: "set-aside" });
    else this.#record(made, decision, task.id);
  }

  /** Its breaker trips with it: what it makes is a task that calls people, and nothing else. */
  #trip(decision: Decision, firing: Firing, { restraint, made }: { restraint: Tripping; made: Consequences }): false {
    const { steps } = this.#options;
    const work = () => startTripped(firing, restraint, steps.moment());
    const task = steps.begin(decision.reactor, firing.trigger.event.id, { made, work });
    if (task === undefined) this.#record(made, { ...decision, reason: "set-aside" });
    else this.#hold(decision, restraint.own, made, task.id);
    return false;
  }

  #hasJoinedRollout({ reactor, event, at }: Decision, firing: Firing, made: Consequences): boolean {
    const { rollouts } = this.#options;
    const open = rollouts.joinedBy(firing);
    if (open === undefined) return false;
    rollouts.step(open, { kind: "join" }, made.rollouts);
    this.#record(made, { reactor, event, at, reason: "joined", detail: `its rollout ${open.id} is open` }, open.id);
    return true;
  }

  /** The task that a firing joins. */
  async #openTaskOf({ reactor, plan }: Firing): Promise<Task | undefined> {
    if (reactor.mode !== "live" || !plan.ok || plan.joinKey === undefined) return undefined;
    return this.#options.tasks.openWith(reactor.name, plan.joinKey);
  }

  #join({ reactor, event, at }: Decision, task: Task, made: Consequences): false {
    this.#options.steps.step(task, { kind: "join", event }, event, made);
    this.#record(made, { reactor, event, at, reason: "joined", detail: `its task ${task.id} is open` }, task.id);
    return false;
  }

  #limit({ reactor, event, at }: Decision, { trigger: { agent } }: Firing, { made, full }: { made: Consequences; full: Full }): false {
    const detail = `${perAgentText(reactor.perAgent!, full)} for ${agent}`;
    this.#record(made, { reactor, event, at, reason: "throttled", detail, ...(full.until === undefined ? {} : { until: full.until }) });
    return false;
  }

  #hold({ reactor, event, at }: Decision, { at: since, why }: Trip, made: Consequences, task?: string): false {
    const detail = `its breaker has tripped at ${isoTime(since)}: ${why}; needfire breakers reset ${reactor.name}`;
    this.#record(made, { reactor, event, at, reason: "breaker-open", detail }, task);
    return false;
  }

  #record(made: Consequences, decision: Decision, task?: string): void {
    record(made, this.#options.tally, decision, task);
  }
}

/** About one of several that fired together. */
function decisionOf(decision: Decision, { trigger }: Firing): Decision {
  return { ...decision, event: trigger.event.id };
}
