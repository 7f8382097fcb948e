/**
 * The way up the ladder: an attempt's steps one after the other, then the checks that their actions ask for, then the rung's own verification;
 * what fails is tried again as often as the rung says, then the next rung is tried, and after the last the task escalates.
 */
import { type ActionName, type AnyActionName, type ExecutionReport, specOf } from "../action.ts";
import { formatDuration } from "../duration.ts";
import type { PlannedRung, PlannedStep } from "../rules/types.ts";
import { command, stopped } from "./commands.ts";
import { escalate } from "./escalate.ts";
import { failureReason, place, tell } from "./tell.ts";
import {
  checkEveryMs,
  checksMax,
  type Lent,
  type Moment,
  type Step,
  stopGraceMs,
  type Task,
  type TaskState,
  withEffects,
} from "./types.ts";
import { type Failure, note } from "./history.ts";
import { guard, lend, replaced } from "./lease.ts";
import { undo } from "./undo.ts";

type Running = Extract<TaskState, { state: "running" }>;
type Checking = Extract<TaskState, { state: "verifying" }>;

/** The next attempt on the rung. */
export function attempt(task: Task, moment: Moment): Step {
  const { timeoutMs } = rungOf(task);
  const { attemptEnds: _, ...rest } = task;
  const begun: Task = {
    ...rest,
    attempt: task.attempt + 1,
    attempts: task.attempts + 1,
    begun: 0,
    heard: false,
    ...(timeoutMs === undefined ? {} : { attemptEnds: moment.now + timeoutMs }),
  };
  const told = begun.attempts === 1 ? [] : [tell(begun, "task.attempt", place(begun))];
  const { task: guarded, effects } = guard(begun, moment);
  return withEffects([...told, ...effects], next(guarded, moment));
}

/** A step or a check of it has ended. */
export function stepEnded(task: Task, { stopping }: Running, { report, moment }: { report: ExecutionReport; moment: Moment }): Step {
  if (stopping !== undefined) return attemptFailed(task, { reason: stopping, report }, moment);
  if (report.outcome === "succeeded") return next(task, moment);
  return failed(task, { reason: failureReason(report, ""), report }, moment);
}

export function checkEnded(task: Task, { verifying }: Checking, { report, moment }: { report: ExecutionReport; moment: Moment }): Step {
  if (report.outcome === "succeeded") return next(task, moment);
  const reason = failureReason(report, "verification ");
  const end = verifying.by === "action" ? verifying.end : undefined;
  if (end === undefined || moment.now >= end || report.outcome === "expired") return failed(task, { reason, report }, moment);
  const everyMs = Math.max(checkEveryMs, (rungOf(task).verify?.withinMs ?? 0) / checksMax);
  // The last one is asked at the end.
  return verify({ ...task, begun: task.begun - 1 }, { by: "wait", until: Math.min(end, moment.now + everyMs), end, again: reason }, moment);
}

/** Something of the state may be due. */
export function stateDue(task: Task, moment: Moment): Step {
  const { status } = task;
  const isDue = (until: number | undefined) => until !== undefined && until <= moment.now;
  if (status.state === "retrying" && isDue(status.until)) return attempt(task, moment);
  if (status.state === "running" && isDue(status.until)) return timeUp(task, status, moment);
  if (status.state !== "verifying" || status.verifying.by === "action" || !isDue(status.verifying.until)) return { task, effects: [] };
  const { verifying } = status;
  if (verifying.by === "wait") return ask(task, verifying.end, moment);
  if (verifying.by === "no_event") return resolve(task, true, moment);
  const own = rungOf(task).verify;
  const { on, withinMs } = own === undefined || own.by === "action" ? { on: [], withinMs: 0 } : own;
  return failed(task, { reason: `verification: no event ${on.join(", ")} came within ${formatDuration(withinMs)}` }, moment);
}

/** The event came that the rung's verification is about. */
export function eventSeen(task: Task, event: string, moment: Moment): Step {
  const { status } = task;
  const by = rungOf(task).verify?.by;
  const listening = status.state === "verifying" ? status.verifying.by : undefined;
  if (listening === "event") return resolve(task, true, moment);
  if (listening === "no_event") return failed(task, { reason: `verification: the event ${event} came` }, moment);
  // What the steps bring about may be heard of before it is heard that they succeeded.
  const early = by === "event" && !task.heard && (status.state === "running" || status.state === "verifying");
  return early ? { task: { ...task, heard: true, updated: moment.now }, effects: [] } : { task, effects: [] };
}

/** After a failed rung, when what it did is taken back or stays. */
export function climb(task: Task, reason: string, moment: Moment): Step {
  if (task.rung + 1 >= task.rungs.length) return escalate(task, reason, moment);
  const higher: Task = { ...task, rung: task.rung + 1, attempt: 0 };
  const { rung, rungs } = place(higher);
  return withEffects([tell(higher, "task.rung", { rung, rungs, reason })], attempt(higher, moment));
}

function rungOf({ rungs, rung }: Task): PlannedRung {
  return rungs[rung]!;
}

/** The verifications that a rung's steps ask for: each once, although two steps may have touched the same thing. */
function checksOf(steps: readonly PlannedStep[]): PlannedStep[] {
  const found = new Map<string, PlannedStep>();
  for (const { action, args } of steps) {
    const spec = specOf(action);
    if (spec.verify !== undefined) found.set(`${spec.verify} ${JSON.stringify(args)}`, { action: spec.verify as ActionName, args });
  }
  return [...found.values()];
}

/** Starts the next step, then the next check, then the rung's own verification; resolves when there is none. */
function next(task: Task, moment: Moment): Step {
  const { steps, verify: own } = rungOf(task);
  const number = task.begun;
  const begun: Task = { ...task, begun: number + 1 };
  const step = steps[number];
  if (step !== undefined) return doStep(begun, step, moment);
  // Nothing was done, so nothing can have held.
  const checks = task.order?.dryRun === true ? [] : checksOf(steps);
  const check = checks[number - steps.length];
  if (check !== undefined) return askHost(begun, check, { end: undefined, moment });
  if (own === undefined || number > steps.length + checks.length) return resolve(task, checks.length > 0 || own !== undefined, moment);
  if (own.by === "event" && task.heard) return resolve(task, true, moment);
  if (own.afterMs === 0) return ask(task, undefined, moment);
  const end = own.by === "action" && own.withinMs !== undefined ? { end: moment.now + own.withinMs } : {};
  return verify(task, { by: "wait", until: moment.now + own.afterMs, ...end }, moment);
}

function doStep(task: Task, step: PlannedStep, moment: Moment): Step {
  const ends = task.attemptEnds === undefined ? {} : { until: task.attemptEnds };
  const under = (under: Task, execution: string): Step => ({
    task: { ...under, status: { state: "running", execution, ...ends } },
    effects: [],
  });
  return command(task, step, { purpose: "do", under, done: (done) => next(done, moment) }, moment);
}

/** The rung's own verification, or once more. `end`: until when it may be asked again, where that is counted already. */
function ask(task: Task, end: number | undefined, moment: Moment): Step {
  const own = rungOf(task).verify!;
  if (own.by !== "action") return verify(task, { by: own.by, until: moment.now + own.withinMs }, moment);
  const last = end ?? (own.withinMs === undefined ? undefined : moment.now + own.withinMs);
  return askHost({ ...task, begun: task.begun + 1 }, own.step, { end: last, moment });
}

function askHost(task: Task, check: PlannedStep, { end, moment }: { end: number | undefined; moment: Moment }): Step {
  const ends = end === undefined ? {} : { end };
  const under = (under: Task, execution: string) => verify(under, { by: "action", execution, ...ends }, moment, check.action);
  return command(task, check, { purpose: "verify", under, done: (done) => next(done, moment) }, moment);
}

function verify(task: Task, verifying: Checking["verifying"], moment: Moment, action?: AnyActionName): Step {
  const verified: Task = { ...task, status: { state: "verifying", verifying }, updated: moment.now };
  if (task.status.state === "verifying") return { task: verified, effects: [] };
  const own = rungOf(task).verify;
  const what = action ?? (own?.by === "action" ? own.step.action : own?.by);
  return { task: verified, effects: [tell(verified, "task.verifying", { ...(what === undefined ? {} : { action: what }) })] };
}

/** The attempt has taken too long: its command is stopped, and it is waited for what became of it, for a while. */
function timeUp(task: Task, status: Running, moment: Moment): Step {
  const { now } = moment;
  const { execution, stopping } = status;
  if (stopping !== undefined) return giveUp(task, `${stopping}; what became of the command is not known`, moment);
  const why = `the steps took longer than ${formatDuration(rungOf(task).timeoutMs ?? 0)}`;
  const unwanted = task.open.filter(({ id }) => id === execution);
  const { open, effects } = stopped(task, unwanted, { reason: why, now });
  if (open.length < task.open.length) return withEffects(effects, attemptFailed({ ...task, open }, { reason: why }, moment));
  return { task: { ...task, status: { state: "running", execution, stopping: why, until: now + stopGraceMs }, updated: now }, effects };
}

function failed(task: Task, failure: Failure, moment: Moment): Step {
  // A host that is not there: whatever else is meant for it would wait as long again.
  if (failure.report?.outcome === "expired") return giveUp(task, failure.report.message ?? failure.reason, moment, failure.report);
  return attemptFailed(task, failure, moment);
}

function attemptFailed(task: Task, { reason, report }: Failure, moment: Moment): Step {
  const noted = note(task, { reason, ...(report === undefined ? {} : { report }) }, moment.now);
  const { attempts, retry } = rungOf(task);
  // What the agent refuses it refuses again.
  if (task.attempt >= attempts || retry === undefined || report?.outcome === "refused") return rungFailed(noted, reason, moment);
  const waitMs = Math.min(retry.maxMs, retry.backoffMs * retry.factor ** (task.attempt - 1));
  const until = moment.now + Math.round(waitMs * (1 + retry.jitter * (2 * moment.random - 1)));
  const retrying: Task = { ...noted, status: { state: "retrying", until, reason }, updated: moment.now };
  return { task: retrying, effects: [tell(retrying, "task.retrying", { ...place(retrying), reason, until })] };
}

function rungFailed(task: Task, reason: string, moment: Moment): Step {
  if (rungOf(task).undo?.onFailure !== true) {
    const { task: lent, effects } = lend(task, moment.now);
    return withEffects(effects, climb(lent, reason, moment));
  }
  const undoing: Task = { ...task, status: { state: "undoing", reason }, updated: moment.now };
  return undo(undoing, { rung: task.rung, from: 0, lent: lentOf(task) }, moment);
}

/** No further rung could do anything. What the rung did is taken back when its host can be reached. */
function giveUp(task: Task, reason: string, moment: Moment, report?: ExecutionReport): Step {
  const noted = note(task, { reason, ...(report === undefined ? {} : { report }) }, moment.now);
  const { rung } = task;
  const atOnce = rungOf(task).undo?.onFailure === true;
  const lent = lentOf(task);
  const left = atOnce
    ? { task: replaced(noted, { rung, due: moment.now, ...(lent === undefined ? {} : { lent }) }), effects: [] }
    : lend(noted, moment.now);
  return withEffects(left.effects, escalate(left.task, reason, moment));
}

/** What the host has of the undo of the rung that is tried. */
function lentOf({ leases, rung }: Task): Lent | undefined {
  return leases.find((lease) => lease.rung === rung)?.lent;
}

export function resolve(task: Task, verified: boolean, { now }: Moment): Step {
  const resolved: Task = { ...task, status: { state: "resolved", verified }, updated: now };
  const { attempts } = task;
  return withEffects([tell(resolved, "task.resolved", { verified, attempts, took_ms: now - task.created })], lend(resolved, now));
}
