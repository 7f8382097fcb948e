/**
 * How a rollout is made: of a firing for the hosts that fit it, of firings that go together, or once more on those where it failed. All values are
 * worked out here; nothing begins yet. Pure.
 */
import { createHash } from "node:crypto";
import { rolloutId, taskId } from "../ids.ts";
import { aimsOf, approvalTaskId, stopRollout, timeToBegin, waveEvent } from "../rollout.ts";
import type { Firing, FleetFiring, Plan, PlannedApproval, PlannedApprovalOrNot } from "../rules/types.ts";
import type { AgentView } from "../target.ts";
import { recordOf } from "../task/made.ts";
import { hostsText } from "../rules/wording.ts";
import { tellRollout } from "./tell.ts";
import {
  failuresKeptMax,
  type HostFiring,
  type HostLeftOut,
  hostsNamedMax,
  type Rollout,
  type RolloutHost,
  rolloutHostsMax,
  rolloutPlansBytesMax,
  type StartedRollout,
} from "./types.ts";
import { hostsOf, type RolloutLimits, waveEnds } from "./waves.ts";

/** The hosts that fit. Some are left out: a silence covers them, or as many tasks as may be were made for them. */
export interface Fleet {
  hosts: readonly AgentView[];
  leftOut: readonly HostLeftOut[];
}

/** The rollout of a firing on the hosts that fit it. It begins nothing yet: see `workOf`. */
export function startRollout(firing: Firing & { fleet: FleetFiring }, { hosts, leftOut }: Fleet, now: number): StartedRollout {
  const { reactor, trigger, fleet } = firing;
  const { targets, limits, approvalFor } = fleet;
  const wanted = hosts.map(({ id }) => ({ agent: id, task: taskId(reactor.name, trigger.event.id, id) }));
  const views = new Map(hosts.map((view) => [view.id, view]));
  const planOn = (agent: string) => fleet.planOn(views.get(agent)!);
  return start(firing, { targets, limits, hosts: wanted, leftOut, planOn, approvalFor }, now);
}

/** The rollout of firings that go together: each host has the task that its own firing would have made (P2). */
export function startCombined(firing: Firing & { members: readonly Firing[] }, limits: RolloutLimits, now: number): StartedRollout {
  const members = new Map(firing.members.map((member) => [member.trigger.agent, member]));
  const hosts = firing.members.map((member): WantedHost => {
    const { reactor, trigger, plan } = member;
    const joinKey = plan.ok ? plan.joinKey : undefined;
    const own: HostFiring = { record: recordOf(member), ...(joinKey === undefined ? {} : { joinKey }) };
    return { agent: trigger.agent, task: taskId(reactor.name, trigger.event.id), firing: own };
  });
  const planOn = (agent: string): Plan => {
    const { plan } = members.get(agent)!;
    // What all have in common is the rollout's.
    return plan.ok ? { ...plan, otherwise: [], joinKey: undefined, approval: undefined } : plan;
  };
  const nobodys = { ok: true as const, value: undefined };
  const approvalFor = (agents: readonly string[]) => firing.approvalFor?.(agents) ?? nobodys;
  return start(firing, { targets: "agent", limits, hosts, leftOut: [], planOn, approvalFor }, now);
}

/** What it asks for before it begins: where the firings of several hosts go together, whoever is asked is told which. */
export function questionOf({ asks, combined, reactor }: Rollout, hosts: readonly RolloutHost[]): PlannedApproval | undefined {
  if (asks === undefined || combined === undefined) return asks;
  const text = hostsText(
    hosts.map(({ agent }) => agent),
    hostsNamedMax,
  );
  return { ...asks, message: `${asks.message ?? reactor} (${text})` };
}

type WantedHost = Omit<RolloutHost, "plan">;

/** What it is to do, and how fast. */
interface Aim {
  targets: string;
  limits: RolloutLimits;
  hosts: readonly WantedHost[];
  leftOut: Fleet["leftOut"];
  planOn(agent: string): Plan;
  /** Whose word that needs, when it is for these hosts. */
  approvalFor(agents: readonly string[]): PlannedApprovalOrNot;
}

function start(firing: Firing, aim: Aim, now: number): StartedRollout {
  const { reactor, plan } = firing;
  const { leftOut } = aim;
  const id = rolloutId(reactor.name, firing.trigger.event.id);
  const planned = plan.ok ? planHosts({ ...aim, hosts: inOrder(id, aim.hosts) }) : plan;
  const hosts = planned.ok ? planned.hosts : [];
  const rollout: Rollout = {
    ...rolloutOf(firing, aim, { id, hosts: hosts.length, now }),
    ...(leftOut.length === 0 ? {} : { leftOut: { hosts: leftOut.length, first: leftOut.slice(0, failuresKeptMax) } }),
    ...(planned.ok && planned.asks !== undefined ? { asks: planned.asks } : {}),
  };
  const about = {
    ...aimsOf(rollout),
    ...(rollout.combined ? { agents: hosts.slice(0, hostsNamedMax).map(({ agent }) => agent), events: rollout.events } : {}),
    ...(leftOut.length === 0 ? {} : { left_out: leftOut.length, left_out_hosts: leftOut.slice(0, hostsNamedMax) }),
  };
  const plans = planned.ok ? planned.plans : [];
  const made = { rollout, hosts, plans };
  if (reactor.mode === "plan") {
    const why = planned.ok ? {} : { reason: planned.reason };
    const shown: Rollout = { ...rollout, status: { state: "planned", ...why } };
    const agents = hosts.slice(0, hostsNamedMax).map(({ agent }) => agent);
    return { rollout: shown, hosts, plans, events: [tellRollout(shown, "rollout.planned", { ...about, agents, ...why })] };
  }
  return planned.ok ? begin(made, about) : stillborn(made, { about, reason: planned.reason });
}

/** Made, and about to begin, or to ask for it. */
type Made = Pick<StartedRollout, "rollout" | "hosts" | "plans">;

function begin({ rollout, hosts, plans }: Made, about: Record<string, unknown>): StartedRollout {
  if (rollout.asks !== undefined) {
    const task = approvalTaskId(rollout);
    const waiting: Rollout = { ...rollout, status: { state: "waiting" }, asking: task };
    return { rollout: waiting, hosts, plans, events: [tellRollout(waiting, "rollout.waiting", { ...about, task })] };
  }
  return { rollout, hosts, plans, events: [tellRollout(rollout, "rollout.started", about), waveEvent(rollout)] };
}

function stillborn({ rollout, hosts, plans }: Made, { about, reason }: { about: Record<string, unknown>; reason: string }): StartedRollout {
  const stopped = stopRollout(rollout, reason);
  return { rollout: stopped.rollout, hosts, plans, events: [tellRollout(rollout, "rollout.started", about), ...stopped.events] };
}

/** `event`: the person's word, from which it follows. `asks`: whose word the first one needed. `problem`: why nothing of it can begin. */
export interface RolloutRetry {
  id: string;
  event: string;
  by: string;
  why: string | undefined;
  asks: PlannedApproval | undefined;
  problem: string | undefined;
}

/** The same once more, on the hosts on which it failed, with what was to be done there; where somebody had to say yes, somebody has to again. */
export function retryRollout(before: Rollout, failed: readonly PlannedHost[], retry: RolloutRetry, now: number): StartedRollout {
  const { id, event, by, why, asks, problem } = retry;
  const { asking: _, asks: __, leftOut: ___, ...kept } = before;
  const limits = before.limits ?? { concurrent: { hosts: before.concurrent }, ramp: [], stopAfter: stopAfterOf(before) };
  const rollout: Rollout = {
    ...kept,
    ...{ id, event, events: [event], count: 1 },
    ...(asks === undefined ? {} : { asks }),
    order: { by, ...(why === undefined ? {} : { why }), retryOf: before.id },
    ...countsOf(limits, failed.length),
    ...timeToBegin(before, now),
    ...{ called: false, joined: 0, status: { state: "running" }, created: now, updated: now },
  };
  const again = failed.map(({ agent, plan, firing }) => {
    const own = firing && { ...firing, record: { ...firing.record, event, events: [event], count: 1 } };
    return { agent, plan, task: taskId(before.reactor, event, agent), ...(own === undefined ? {} : { firing: own }) };
  });
  const { hosts, plans } = inPlans(again);
  const about = { ...aimsOf(rollout), retry_of: before.id };
  const made = { rollout, hosts, plans };
  return problem === undefined ? begin(made, about) : stillborn(made, { about, reason: problem });
}

/** A host, and what is to be done there. `firing`: its own, where several go together. */
export interface PlannedHost {
  agent: string;
  plan: Plan;
  firing?: HostFiring | undefined;
}

function stopAfterOf({ stopAfter }: Rollout): RolloutLimits["stopAfter"] {
  return stopAfter === undefined ? undefined : { hosts: stopAfter };
}

function rolloutOf(firing: Firing, { targets, limits }: Aim, { id, hosts, now }: { id: string; hosts: number; now: number }): Rollout {
  const { plan, members } = firing;
  return {
    ...recordOf(firing),
    id,
    agent: firing.trigger.agent,
    targets,
    ...(members === undefined ? {} : { combined: true }),
    limits,
    ...countsOf(limits, hosts),
    otherwise: plan.ok ? plan.otherwise : [],
    called: false,
    // Of those that go together each has its own.
    ...(plan.ok && plan.joinKey !== undefined && members === undefined ? { joinKey: plan.joinKey } : {}),
    joined: 0,
    ...timeToBegin(plan.ok ? plan : {}, now),
    status: { state: "running" },
    created: now,
    updated: now,
  };
}

/** Of one that has begun nothing yet. */
function countsOf({ concurrent, ramp, stopAfter }: RolloutLimits, hosts: number) {
  return {
    ...{ hosts, ends: waveEnds(ramp, hosts), wave: 0 },
    concurrent: concurrent === undefined ? hosts : Math.min(hostsOf(concurrent, hosts), hosts),
    ...(stopAfter === undefined ? {} : { stopAfter: hostsOf(stopAfter, hosts) }),
    ...{ begun: 0, open: 0, resolved: 0, failed: 0, cancelled: 0, verified: 0, expired: 0, failures: [] },
  };
}

type PlannedHosts = { ok: true; hosts: RolloutHost[]; plans: Plan[]; asks: PlannedApproval | undefined } | { ok: false; reason: string };

/** Values are those of the moment of firing, as a task's are. A host whose values could not be worked out fails when it is its turn. */
function planHosts({ hosts, targets, leftOut, planOn, approvalFor }: Aim): PlannedHosts {
  if (hosts.length === 0) return { ok: false, reason: noHostReason(targets, leftOut) };
  if (hosts.length > rolloutHostsMax)
    return { ok: false, reason: `${hosts.length} hosts fit its targets, and ${rolloutHostsMax} are the most for one rollout` };
  const approval = approvalFor(hosts.map(({ agent }) => agent));
  if (!approval.ok) return approval;
  const { bytes, ...planned } = inPlans(hosts.values().map((host) => ({ ...host, plan: planOn(host.agent) })));
  if (bytes <= rolloutPlansBytesMax) return { ok: true, ...planned, asks: approval.value };
  return { ok: false, reason: `what is to be done on ${hosts.length} hosts takes more than ${rolloutPlansBytesMax} bytes` };
}

function noHostReason(targets: string, leftOut: readonly HostLeftOut[]): string {
  const [first] = leftOut;
  if (first === undefined) return `no host fits its targets: ${targets}`;
  return `the ${leftOut.length} hosts that fit its targets are left out; ${first.agent}: ${first.reason}`;
}

/** What is the same for several hosts is kept once. Stops when it is too much. */
function inPlans(each: Iterable<WantedHost & { plan: Plan }>): Pick<StartedRollout, "hosts" | "plans"> & { bytes: number } {
  const numbers = new Map<string, number>();
  const plans: Plan[] = [];
  const hosts: RolloutHost[] = [];
  let bytes = 0;
  for (const { plan, ...host } of each) {
    const text = JSON.stringify(plan);
    let number = numbers.get(text);
    if (number === undefined) {
      numbers.set(text, (number = plans.push(plan) - 1));
      bytes += Buffer.byteLength(text);
      if (bytes > rolloutPlansBytesMax) break;
    }
    hosts.push({ ...host, plan: number });
  }
  return { hosts, plans, bytes };
}

/**
 * By chance, and each time the same: hosts of a kind have names of a kind, and by name a wave would take a whole cluster at once. Another rollout
 * begins with others.
 */
function inOrder(id: string, hosts: readonly WantedHost[]): WantedHost[] {
  const place = (agent: string) => createHash("sha256").update(`${id}\0${agent}`).digest("hex");
  const placed = hosts.map((host) => ({ host, place: place(host.agent) }));
  return placed.toSorted((a, b) => (a.place < b.place ? -1 : 1)).map(({ host }) => host);
}
