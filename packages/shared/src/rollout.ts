/**
 * The life of a rollout, as a pure state machine: one firing for many hosts, each with an ordinary task of its own. It decides who begins when and
 * when nothing more begins: (waiting ->) running -> paused -> running -> done, stopped or cancelled. It counts and knows no host by name, so that
 * a step costs the same for ten hosts as for ten thousand.
 *
 * A rollout that has not ended has hosts under way, or work to do, or waits for a person: none is stuck. What begins is durable together with
 * the step that says so (P2), so that a crash lets no host begin twice and forgets none.
 */
import { taskId } from "./ids.ts";
import { tellRollout } from "./rollout/tell.ts";
import {
  type Answer,
  failuresKeptMax,
  type HostEnd,
  type RetryScope,
  type Rollout,
  type RolloutInput,
  type RolloutStep,
  rolloutStepHostsMax,
  type RolloutWork,
} from "./rollout/types.ts";

export { rolloutHostsMax, rolloutStates, rolloutStepHostsMax } from "./rollout/types.ts";
export type {
  Answer,
  HostEnd,
  HostFiring,
  HostLeftOut,
  RetryScope,
  Rollout,
  RolloutHost,
  RolloutInput,
  RolloutStep,
  RolloutWork,
  StartedRollout,
} from "./rollout/types.ts";

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
      return lost(rollout, input, now);
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

/** Whether it is tried again on all hosts that it did not resolve. Of one that was a retry itself all hosts had failed before. */
export function retriesAll({ order }: Pick<Rollout, "order">, { unresolved }: RetryScope): boolean {
  return unresolved || order !== undefined;
}

/** Why a rollout cannot be tried again; undefined: it can. */
export function rolloutRetryProblem(rollout: Rollout, scope: RetryScope): string | undefined {
  const { status, open, failed, expired, hosts, resolved } = rollout;
  if (isRolling(rollout)) return `it is ${status.state}: cancel it first, or wait for its end`;
  if (status.state === "planned") return "its reactor only plans: nothing was tried";
  if (open > 0) return `it is still under way on ${open} of its hosts`;
  const all = hosts - resolved;
  if ((retriesAll(rollout, scope) ? all : failed + expired) > 0) return undefined;
  const others = all === 0 ? "" : `; it never began, or was cancelled, on ${all} (--unresolved takes these)`;
  return `there is no host on which it failed${others}`;
}

/** The task that asks for somebody's word on it. */
export function approvalTaskId({ reactor, event }: Pick<Rollout, "reactor" | "event">): string {
  return taskId(reactor, event, "?");
}

/** Whether nothing can happen to it any more. */
export function hasRolledOut(rollout: Rollout): boolean {
  return !isRolling(rollout) && rollout.open === 0 && rollout.asking === undefined && workOf(rollout) === undefined;
}

/** Why people are called. */
export function helpReason({ status, failed, expired, hosts }: Rollout): string {
  if (status.state === "stopped") return status.reason;
  const never = expired === 0 ? [] : [`never began on ${expired}`];
  return `it ${[...(failed > 0 || expired === 0 ? [`failed on ${failed}`] : []), ...never].join(" and ")} of ${hosts} hosts`;
}

function wantsHelp({ status, failed, expired }: Rollout): boolean {
  return status.state === "stopped" || (status.state === "done" && failed + expired > 0);
}

function withoutQuestion(rollout: Rollout): Rollout {
  const { asking: _, ...rest } = rollout;
  return rest;
}

/** For people. */
export function aimsOf({ targets, combined, hosts, ends, concurrent, stopAfter }: Rollout) {
  return {
    targets,
    ...(combined ? { combined } : {}),
    hosts,
    waves: ends,
    concurrent,
    ...(stopAfter === undefined ? {} : { stop_after: stopAfter }),
  };
}

/** Of one that was cancelled meanwhile nothing follows from it. */
function answered(asked: Rollout, answer: Answer, now: number): RolloutStep {
  const rollout: Rollout = { ...withoutQuestion(asked), updated: now };
  if (rollout.status.state !== "waiting") return unchanged(rollout);
  if (answer.how === "unanswered") return stopRollout(rollout, answer.reason);
  if (answer.how === "denied") return ordered(rollout, { kind: "cancel", reason: answer.reason, by: answer.by }, now);
  const begun: Rollout = { ...rollout, ...timeToBegin(rollout, now), status: { state: "running" } };
  return { rollout: begun, events: [tellRollout(begun, "rollout.started", aimsOf(begun)), waveEvent(begun)] };
}

function unchanged(rollout: Rollout): RolloutStep {
  return { rollout, events: [] };
}

/** When the time is up nothing more begins: the hosts whose turn comes later expire. */
export function timeToBegin({ beginMs }: { beginMs?: number }, now: number): Pick<Rollout, "beginMs" | "beginBy"> {
  return beginMs === undefined ? {} : { beginMs, beginBy: now + beginMs };
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
  const counted: Rollout = { ...rollout, open: Math.max(0, rollout.open - 1), [end.how]: rollout[end.how] + 1 };
  if (end.how === "resolved") return { ...counted, verified: rollout.verified + (end.verified ? 1 : 0) };
  if (end.how === "cancelled") return counted;
  const { agent, attempt, at, reason, output } = end;
  const failure = { agent, attempt, at, reason, ...(output === undefined ? {} : { output }) };
  const failures = rollout.failures.length < failuresKeptMax ? [...rollout.failures, failure] : rollout.failures;
  return { ...counted, failures };
}

/** Of a damaged store. It goes on with what is left, as if that had failed; what was asked nobody can answer any more. */
function lost(rollout: Rollout, { tasks, question }: Extract<RolloutInput, { kind: "lost" }>, now: number): RolloutStep {
  const at = now;
  const end: HostEnd = { how: "failed", agent: "?", attempt: 0, at, reason: "its task is lost: the database was damaged" };
  let left: Rollout = { ...rollout, updated: now };
  for (let index = 0; index < tasks; index++) left = ended(left, end);
  if (question && rollout.asking !== undefined)
    return answered(
      left,
      { how: "unanswered", reason: `the task ${rollout.asking} that asked for approval is lost: the database was damaged` },
      now,
    );
  return settle(left, now);
}

/** Whether that was the failure too many, or the last of its hosts. */
function settle(rollout: Rollout, now: number): RolloutStep {
  if (!isRolling(rollout)) return unchanged(rollout);
  const { failed, stopAfter, begun, hosts, open } = rollout;
  if (stopAfter !== undefined && failed >= stopAfter)
    return stopRollout(rollout, `it failed on ${failed} ${failed === 1 ? "host" : "hosts"}, after which nothing more begins`);
  if (begun < hosts || open > 0) return unchanged(rollout);
  const done: Rollout = { ...rollout, status: { state: "done" } };
  return { rollout: done, events: [tellRollout(done, "rollout.done", { ...counts(done), took_ms: now - done.created })] };
}

export function stopRollout(rollout: Rollout, reason: string): RolloutStep {
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

export function waveEvent(rollout: Rollout) {
  const { wave, ends } = rollout;
  const hosts = ends[wave]! - (ends[wave - 1] ?? 0);
  return tellRollout(rollout, "rollout.wave", { wave: wave + 1, waves: ends.length, hosts });
}

function counts({ hosts, begun, open, resolved, failed, cancelled, expired }: Rollout) {
  return { hosts, begun, open, resolved, failed, cancelled, expired };
}
