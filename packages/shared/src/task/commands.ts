/**
 * Commands of a task: each has a number of its own, and is in `open` until it is known what became of it. What needs nothing but the journal
 * is done within the step.
 */
import { type ActionName, actions, type ExecutionReport } from "../action.ts";
import type { Severity } from "../event.ts";
import { executionId, masterAgent } from "../ids.ts";
import type { PlannedStep } from "../rules/types.ts";
import { hideMarks } from "../secret.ts";
import { type Effect, type Execution, type Moment, type Purpose, type Step, type Task, withEffects } from "./types.ts";

/** `under`: the task with the command under way. `done`: it needed nobody, and the task goes on. */
interface Command {
  purpose: Purpose;
  /** Whose it is; undefined: the rung that the task is on. */
  rung?: number;
  under(task: Task, execution: string): Step;
  done(task: Task): Step;
}

export function command(
  task: Task,
  { action, args }: PlannedStep,
  { purpose, rung = task.rung, under, done }: Command,
  { now }: Moment,
): Step {
  const onMaster = actions[action].runsOn === "master";
  const execution: Execution = {
    id: executionId(task.id, task.started + 1),
    task: task.id,
    agent: onMaster ? masterAgent : task.agent,
    action,
    args,
    purpose,
    priority: task.priority,
    rung,
    attempt: task.attempt,
    created: now,
  };
  const started: Task = { ...task, started: task.started + 1, updated: now };
  if (onMaster) return withEffects(emission(execution, now), done(started));
  const open: Task = { ...started, open: [...task.open, { id: execution.id, action }] };
  const step = under(open, execution.id);
  return { task: step.task, effects: [...step.effects, { kind: "execute", execution }] };
}

/** `event.emit` needs nothing but the journal, so it is done when it is decided. */
function emission(execution: Execution, now: number): Effect[] {
  const { type, subject, severity, data } = execution.args as {
    type: string;
    subject?: string;
    severity: Severity;
    data: Record<string, unknown>;
  };
  const report: ExecutionReport = {
    execution: execution.id,
    action: execution.action,
    outcome: "succeeded",
    changed: true,
    result: { type },
    started: now,
    ended: now,
  };
  return [
    { kind: "performed", execution, report },
    { kind: "emit", event: { type, subject: hideMarks(subject), severity, data: hideMarks(data), cause: execution.id } },
  ];
}

/** The record of a command whose host said nothing of it in time, or that was stopped before it was sent. */
export function unheard(
  { execution, action, reason }: { execution: string; action: ActionName; reason: string },
  { outcome, now }: { outcome: "expired" | "cancelled"; now: number },
): ExecutionReport {
  return { execution, action, outcome, changed: false, message: reason, started: now, ended: now };
}
