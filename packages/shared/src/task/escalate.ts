/**
 * The end when it did not help: the task escalates after the last rung, or expires when its time was up before anything was begun. Either way what
 * `otherwise` says is done, each of it once, whatever becomes of the others. Its values may speak of what was tried.
 */
import { argsCheckers, isActionName } from "../action.ts";
import type { ExecutionReport } from "../action.ts";
import type { PlannedCall, PlannedStep } from "../rules/types.ts";
import { problemsText } from "../schema.ts";
import { marksIn } from "../secret.ts";
import { compileTemplate, render } from "../value.ts";
import { command } from "./commands.ts";
import { failureReason, tell } from "./tell.ts";
import { type Moment, type Step, type Task, type TaskState, withEffects } from "./types.ts";

/** The states in which `otherwise` is done. */
export type Calling = Extract<TaskState, { state: "escalated" | "expired" }>;

export function escalate(task: Task, reason: string, moment: Moment): Step {
  const { now } = moment;
  const escalated: Task = { ...task, status: { state: "escalated", reason }, updated: now };
  const { attempts } = task;
  return withEffects([tell(escalated, "task.escalated", { reason, attempts, took_ms: now - task.created })], callNext(escalated, moment));
}

/** Nothing was tried, so nothing is taken back; people hear of a remedy that never ran where they would of one that failed. */
export function expire(task: Task, reason: string, moment: Moment): Step {
  const { now } = moment;
  const expired: Task = { ...task, status: { state: "expired", reason }, updated: now };
  return withEffects([tell(expired, "task.expired", { reason, took_ms: now - task.created })], callNext(expired, moment));
}

export function isCalling(status: TaskState): status is Calling {
  return status.state === "escalated" || status.state === "expired";
}

/** One of its commands has ended. */
export function callEnded(task: Task, { state, reason }: Calling, { report, moment }: { report: ExecutionReport; moment: Moment }): Step {
  const waiting: Task = { ...task, status: { state, reason } };
  const failed = report.outcome === "succeeded" ? [] : [callFailed(task, report.action, failureReason(report, ""))];
  return withEffects(failed, callNext(waiting, moment));
}

function callNext(task: Task, moment: Moment): Step {
  const call = task.otherwise[task.called];
  const { status } = task;
  if (call === undefined || !isCalling(status)) return { task, effects: [] };
  const called: Task = { ...task, called: task.called + 1 };
  const planned = callOf(task, call, status.reason);
  if (!planned.ok) return withEffects([callFailed(task, call.action, planned.reason)], callNext(called, moment));
  return command(
    called,
    planned.step,
    {
      purpose: "otherwise",
      under: (under, execution) => ({ task: { ...under, status: { ...status, execution } }, effects: [] }),
      done: (done) => callNext(done, moment),
    },
    moment,
  );
}

function callFailed(task: Task, action: string, reason: string) {
  return tell(task, "task.otherwise_failed", { action, reason });
}

/** With the evidence in place, and checked as what is known before is when the reactor fires. */
function callOf(task: Task, call: PlannedCall, reason: string): { ok: true; step: PlannedStep } | { ok: false; reason: string } {
  if ("args" in call) return { ok: true, step: call };
  const { action, source, scope } = call;
  const rendered = render(compileTemplate(source, [], "otherwise").template, { ...scope, task: evidence(task, reason) });
  if (!rendered.ok) return { ok: false, reason: rendered.message };
  const own = new Set(marksIn(scope["vars"]));
  if (marksIn(rendered.value).some((mark) => !own.has(mark)))
    return { ok: false, reason: "a value that was taken from an event or a result has the form of a secret's mark" };
  // One of the user's own is checked by the host, which has its file.
  const checked = isActionName(action) ? argsCheckers[action](rendered.value) : { ok: true as const, value: rendered.value };
  if (!checked.ok) return { ok: false, reason: problemsText(checked.problems) };
  return { ok: true, step: { action, args: checked.value as Record<string, unknown> } };
}

/** What `task` is in CEL. */
function evidence({ id, reactor, agent, priority, rungs, rung, attempts, history, joined, created }: Task, reason: string) {
  const tried = history.map((each) => ({ output: "", ...each, rung: each.rung + 1 }));
  return { id, reactor, agent, priority, reason, rung: rung + 1, rungs: rungs.length, attempts, history: tried, joined, created };
}
