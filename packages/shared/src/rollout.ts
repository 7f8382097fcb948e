/**
 * The life of a rollout, as a pure state machine: one firing for many hosts, each with an ordinary task of its own. It decides who begins when and
 * when nothing more begins: (waiting ->) running -> paused -> running -> done, stopped or cancelled. It counts and knows no host by name, so that
 * a step costs the same for ten hosts as for ten thousand.
 *
 * A rollout that has not ended has hosts under way, or work to do, or waits for a person: none is stuck. What begins is durable together with
 * the step that says so (P2), so that a crash lets no host begin twice and forgets none.
 */
import { createHash } from "node:crypto";
import { rolloutId, taskId } from "./ids.ts";
import { tellRollout } from "./rollout/tell.ts";
import {
  type Answer,
  failuresKeptMax,
  type HostEnd,
  hostsNamedMax,
  type Rollout,
  type RolloutHost,
  rolloutHostsMax,
  type RolloutInput,
  rolloutPlansBytesMax,
  type RolloutStep,
  rolloutStepHostsMax,
  type RolloutWork,
  type StartedRollout,
} from "./rollout/types.ts";
import { hostsOf, waveEnds } from "./rollout/waves.ts";
import type { Firing, FleetFiring, Plan } from "./rules/types.ts";
import type { AgentView } from "./target.ts";
import { recordOf } from "./task/made.ts";

export { rolloutStates, rolloutStepHostsMax } from "./rollout/types.ts";
export type { Answer, HostEnd, Rollout, RolloutHost, RolloutInput, RolloutStep, RolloutWork, StartedRollout } from "./rollout/types.ts";

/** Hosts that a silence covers are left out. */
export interface Fleet {
  hosts: readonly AgentView[];
  leftOut: readonly string[];
}

/** The rollout of a firing on the hosts that fit it. It begins nothing yet: see `workOf`. */
export function startRollout(firing: Firing & { fleet: FleetFiring }, { hosts: fitting, leftOut }: Fleet, now: number): StartedRollout {
  const { reactor } = firing;
  const id = rolloutId(reactor.name, firing.trigger.event.id);
  const planned = planHosts(firing, inOrder(id, fitting));
  const hosts = planned.ok ? planned.hosts : [];
  const rollout = rolloutOf(firing, { id, hosts: hosts.length, now });
  const about = {
    ...aimsOf(rollout),
    ...(leftOut.length === 0 ? {} : { left_out: leftOut.length, left_out_agents: leftOut.slice(0, hostsNamedMax) }),
  };
  const plans = planned.ok ? planned.plans : [];
  if (reactor.mode === "plan") {
    const why = planned.ok ? {} : { reason: planned.reason };
    const shown: Rollout = { ...rollout, status: { state: "planned", ...why } };
    const agents = hosts.slice(0, hostsNamedMax).map(({ agent }) => agent);
    return { rollout: shown, hosts, plans, events: [tellRollout(shown, "rollout.planned", { ...about, agents, ...why })] };
  }
  if (planned.ok && firing.plan.ok && firing.plan.approval !== undefined) {
    const task = approvalTaskId(rollout);
    const waiting: Rollout = { ...rollout, status: { state: "waiting" }, asking: task };
    return { rollout: waiting, hosts, plans, events: [tellRollout(waiting, "rollout.waiting", { ...about, task })] };
  }
  const events = [tellRollout(rollout, "rollout.started", about)];
  if (planned.ok) return { rollout, hosts, plans, events: [...events, waveEvent(rollout)] };
  const stopped = stop(rollout, planned.reason);
  return { rollout: stopped.rollout, hosts, plans, events: [...events, ...stopped.events] };
}

/** What one input does to it. What does not fit its state changes nothing. */
export function stepRollout(rollout: Rollout, input: RolloutInput, now: number): RolloutStep {
  switch (input.kind) {
    case "ended":
      return settle(ended({ ...rollout, updated: now }, input), now);
    case "answered":
      return answered(rollout, input, now);
    case "due":
      return workOn(rollout, now);
    case "pause":
    case "resume":
    case "cancel":
      return ordered(rollout, input, now);
    case "join":
      return isRolling(rollout) ? { rollout: { ...rollout, joined: rollout.joined + 1, updated: now }, events: [] } : unchanged(rollout);
    case "lost":
      return settle({ ...withoutQuestion(rollout), open: 0, updated: now }, now);
  }
}

/** What is to be done for it now; undefined: it waits for its hosts or for a person, or has ended. */
export function workOf(rollout: Rollout): RolloutWork | undefined {
  const { status, begun, open, ends, wave, hosts, concurrent } = rollout;
  if (status.state === "cancelled" && (open > 0 || rollout.asking !== undefined)) return { kind: "cancel" };
  if (!rollout.called && rollout.otherwise.length > 0 && wantsHelp(rollout)) return { kind: "call" };
  if (status.state !== "running") return undefined;
  const end = ends[wave] ?? hosts;
  if (begun === end) return open === 0 && end < hosts ? { kind: "wave" } : undefined;
  const count = Math.min(end - begun, concurrent - open, rolloutStepHostsMax);
  return count > 0 ? { kind: "begin", from: begun, count } : undefined;
}

/** Whether what it was made for is still being tried: others may join it, and it can be cancelled. */
export function isRolling({ status: { state } }: Rollout): boolean {
  return state === "waiting" || state === "running" || state === "paused";
}

/** Whether nothing can happen to it any more. */
export function hasRolledOut(rollout: Rollout): boolean {
  return !isRolling(rollout) && rollout.open === 0 && rollout.asking === undefined && workOf(rollout) === undefined;
}

/** Why people are called. */
export function helpReason({ status, failed, hosts }: Rollout): string {
  return status.state === "stopped" ? status.reason : `it failed on ${failed} of ${hosts} hosts`;
}

function wantsHelp({ status, failed }: Rollout): boolean {
  return status.state === "stopped" || (status.state === "done" && failed > 0);
}

/** The id of the task that asks for somebody's word. */
function approvalTaskId({ reactor, event }: Rollout): string {
  return taskId(reactor, event, "?");
}

function withoutQuestion(rollout: Rollout): Rollout {
  const { asking: _, ...rest } = rollout;
  return rest;
}

function aimsOf({ targets, hosts, ends, concurrent, stopAfter }: Rollout) {
  return { targets, hosts, waves: ends, concurrent, ...(stopAfter === undefined ? {} : { stop_after: stopAfter }) };
}

/** Of one that was cancelled meanwhile nothing follows from it. */
function answered(asked: Rollout, answer: Answer, now: number): RolloutStep {
  const rollout: Rollout = { ...withoutQuestion(asked), updated: now };
  if (rollout.status.state !== "waiting") return unchanged(rollout);
  if (answer.how === "unanswered") return stop(rollout, answer.reason);
  if (answer.how === "denied") return ordered(rollout, { kind: "cancel", reason: answer.reason, by: answer.by }, now);
  const begun: Rollout = { ...rollout, status: { state: "running" } };
  return { rollout: begun, events: [tellRollout(begun, "rollout.started", aimsOf(begun)), waveEvent(begun)] };
}

function unchanged(rollout: Rollout): RolloutStep {
  return { rollout, events: [] };
}

function rolloutOf(firing: Firing & { fleet: FleetFiring }, { id, hosts, now }: { id: string; hosts: number; now: number }): Rollout {
  const { fleet, plan } = firing;
  const { concurrent, ramp, stopAfter } = fleet.limits;
  return {
    ...recordOf(firing),
    id,
    agent: firing.trigger.agent,
    targets: fleet.targets,
    hosts,
    ends: waveEnds(ramp, hosts),
    wave: 0,
    concurrent: concurrent === undefined ? hosts : Math.min(hostsOf(concurrent, hosts), hosts),
    ...(stopAfter === undefined ? {} : { stopAfter: hostsOf(stopAfter, hosts) }),
    begun: 0,
    open: 0,
    resolved: 0,
    failed: 0,
    cancelled: 0,
    failures: [],
    otherwise: plan.ok ? plan.otherwise : [],
    called: false,
    ...(plan.ok && plan.joinKey !== undefined ? { joinKey: plan.joinKey } : {}),
    joined: 0,
    status: { state: "running" },
    created: now,
    updated: now,
  };
}

type PlannedHosts = { ok: true; hosts: RolloutHost[]; plans: Plan[] } | { ok: false; reason: string };

/** Values are those of the moment of firing, as a task's are. A host whose values could not be worked out fails when it is its turn. */
function planHosts({ reactor, trigger, plan, fleet }: Firing & { fleet: FleetFiring }, fitting: readonly AgentView[]): PlannedHosts {
  if (!plan.ok) return plan;
  if (fitting.length === 0) return { ok: false, reason: `no host fits its targets: ${fleet.targets}` };
  if (fitting.length > rolloutHostsMax)
    return { ok: false, reason: `${fitting.length} hosts fit its targets, and ${rolloutHostsMax} are the most for one rollout` };
  const numbers = new Map<string, number>();
  const plans: Plan[] = [];
  const hosts: RolloutHost[] = [];
  let bytes = 0;
  for (const view of fitting) {
    const own = fleet.planOn(view);
    const text = JSON.stringify(own);
    let number = numbers.get(text);
    if (number === undefined) {
      numbers.set(text, (number = plans.length));
      plans.push(own);
      bytes += Buffer.byteLength(text);
      if (bytes > rolloutPlansBytesMax)
        return { ok: false, reason: `what is to be done on ${fitting.length} hosts takes more than ${rolloutPlansBytesMax} bytes` };
    }
    hosts.push({ agent: view.id, task: taskId(reactor.name, trigger.event.id, view.id), plan: number });
  }
  return { ok: true, hosts, plans };
}

/**
 * By chance, and each time the same: hosts of a kind have names of a kind, and by name a wave would take a whole cluster at once. Another rollout
 * begins with others.
 */
function inOrder(id: string, hosts: readonly AgentView[]): AgentView[] {
  const place = (agent: string) => createHash("sha256").update(`${id}\0${agent}`).digest("hex");
  const placed = hosts.map((view) => ({ view, place: place(view.id) }));
  return placed.toSorted((a, b) => (a.place < b.place ? -1 : 1)).map(({ view }) => view);
}

/** It begins what is due, as far as that is its own doing; the rest is for whoever asked. */
function workOn(rollout: Rollout, now: number): RolloutStep {
  const work = workOf(rollout);
  if (work === undefined) return unchanged(rollout);
  const touched: Rollout = { ...rollout, updated: now };
  switch (work.kind) {
    case "begin":
      return { rollout: { ...touched, begun: rollout.begun + work.count, open: rollout.open + work.count }, events: [], work };
    case "wave": {
      const next: Rollout = { ...touched, wave: rollout.wave + 1 };
      return { rollout: next, events: [waveEvent(next)], work };
    }
    case "call":
      return { rollout: { ...touched, called: true }, events: [], work };
    case "cancel":
      return { rollout, events: [], work };
  }
}

function ended(rollout: Rollout, end: HostEnd): Rollout {
  const open = Math.max(0, rollout.open - 1);
  if (end.how !== "failed") return { ...rollout, open, [end.how]: rollout[end.how] + 1 };
  const { agent, attempt, at, reason, output } = end;
  const failure = { agent, attempt, at, reason, ...(output === undefined ? {} : { output }) };
  const failures = rollout.failures.length < failuresKeptMax ? [...rollout.failures, failure] : rollout.failures;
  return { ...rollout, open, failed: rollout.failed + 1, failures };
}

/** Whether that was the failure too many, or the last of its hosts. */
function settle(rollout: Rollout, now: number): RolloutStep {
  if (!isRolling(rollout)) return unchanged(rollout);
  const { failed, stopAfter, begun, hosts, open } = rollout;
  if (stopAfter !== undefined && failed >= stopAfter)
    return stop(rollout, `it failed on ${failed} ${failed === 1 ? "host" : "hosts"}, after which nothing more begins`);
  if (begun < hosts || open > 0) return unchanged(rollout);
  const done: Rollout = { ...rollout, status: { state: "done" } };
  return { rollout: done, events: [tellRollout(done, "rollout.done", { ...counts(done), took_ms: now - done.created })] };
}

function stop(rollout: Rollout, reason: string): RolloutStep {
  const stopped: Rollout = { ...rollout, status: { state: "stopped", reason } };
  const failures = rollout.failures.map(({ agent, reason: why }) => ({ agent, reason: why }));
  return { rollout: stopped, events: [tellRollout(stopped, "rollout.stopped", { reason, ...counts(stopped), failures })] };
}

/** A person's word. */
type Order = Extract<RolloutInput, { kind: "pause" | "resume" | "cancel" }>;

const orders = {
  pause: { from: ["running"], to: "paused", type: "rollout.paused" },
  resume: { from: ["paused"], to: "running", type: "rollout.resumed" },
  cancel: { from: ["waiting", "running", "paused"], to: "cancelled", type: "rollout.cancelled" },
} as const satisfies Record<Order["kind"], { from: readonly string[]; to: string; type: string }>;

function ordered(rollout: Rollout, { kind, reason, by }: Order, now: number): RolloutStep {
  const { from, to, type } = orders[kind];
  if (!(from as readonly string[]).includes(rollout.status.state)) return unchanged(rollout);
  const status: Rollout["status"] = to === "running" ? { state: to } : { state: to, reason, by };
  const told: Rollout = { ...rollout, status, updated: now };
  return { rollout: told, events: [tellRollout(told, type, { reason, by, ...counts(told) })] };
}

function waveEvent(rollout: Rollout) {
  const { wave, ends } = rollout;
  const hosts = ends[wave]! - (ends[wave - 1] ?? 0);
  return tellRollout(rollout, "rollout.wave", { wave: wave + 1, waves: ends.length, hosts });
}

function counts({ hosts, begun, open, resolved, failed, cancelled }: Rollout) {
  return { hosts, begun, open, resolved, failed, cancelled };
}
