/**
 * Somebody's word before anything is sent. A task that needs it is `waiting` until one of those who may answers, or until the time is up: what
 * becomes of it then says the reactor. Only the first answer counts; one of somebody who may not changes nothing.
 */
import { formatDuration } from "../duration.ts";
import { masterAgent } from "../ids.ts";
import type { PlannedApproval } from "../rules/types.ts";
import { resolve } from "./climb.ts";
import { escalate } from "./escalate.ts";
import { enter } from "./lock.ts";
import { tell } from "./tell.ts";
import { type Input, type Moment, type Step, type Task, type TaskState, withEffects } from "./types.ts";

type Waiting = Extract<TaskState, { approval: PlannedApproval }>;
type Answer = Extract<Input, { kind: "approve" | "deny" }>;

export function askFor(task: Task, approval: PlannedApproval, { now }: Moment): Step {
  const until = now + approval.timeoutMs;
  const waiting: Task = { ...task, asks: approval, status: { state: "waiting", until, approval } };
  const { from, message } = approval;
  return {
    task: waiting,
    effects: [tell(waiting, "task.waiting", { from: [...from], until, ...(message === undefined ? {} : { message }) })],
  };
}

/** Whether this person's word is waited for. `by` may say from where, too: `ann from 10.1.2.3`. */
function mayAnswer({ status }: Task, by: string): boolean {
  if (status.state !== "waiting" || !("approval" in status)) return false;
  const { from } = status.approval;
  return [by, by.split(" ", 1)[0]!].some((name) => from.includes(name));
}

export function answered(task: Task, { kind, by, why }: Answer, moment: Moment): Step {
  if (!mayAnswer(task, by)) return { task, effects: [] };
  const given = why === undefined ? {} : { why };
  if (kind === "approve") return proceed({ ...task, approved: { by, at: moment.now, ...given } }, { by, ...given }, moment);
  return withEffects([tell(task, "task.denied", { by, ...given })], end(task, { by, reason: why ?? `denied by ${by}` }, moment));
}

/** The time is up. */
export function unanswered(task: Task, { approval: { from, timeoutMs, onTimeout } }: Waiting, moment: Moment): Step {
  const reason = `nobody approved it within ${formatDuration(timeoutMs)}; asked: ${from.join(", ")}`;
  if (onTimeout === "escalate") return escalate(task, reason, moment);
  if (onTimeout === "cancel") return end(task, { by: masterAgent, reason }, moment);
  return proceed(task, { by: masterAgent, why: reason }, moment);
}

function proceed(task: Task, answer: { by: string; why?: string }, moment: Moment): Step {
  // Of a rollout it only asks.
  const next = task.rungs.length === 0 ? resolve(task, false, moment) : enter(task, moment);
  return withEffects([tell(task, "task.approved", answer)], next);
}

/** Nothing was done: nothing is stopped, nothing taken back. */
function end(task: Task, { by, reason }: { by: string; reason: string }, { now }: Moment): Step {
  const cancelled: Task = { ...task, status: { state: "cancelled", reason, by }, updated: now };
  return { task: cancelled, effects: [tell(cancelled, "task.cancelled", { reason, by, took_ms: now - task.created })] };
}
