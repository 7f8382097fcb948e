/**
 * What is taken back. A rung with an `undo` leaves a lease behind when the task leaves the rung: it comes due although the task has ended, and
 * is gone with the first try, so that it is done once. Runs beside what the task does meanwhile.
 */
import type { ExecutionReport } from "../action.ts";
import { command } from "./commands.ts";
import { failureReason, tell } from "./tell.ts";
import { type Effect, type Lease, type Moment, type Step, stopGraceMs, type Task, withEffects } from "./types.ts";

type Running = Extract<Lease, { execution: string }>;

/** The task leaves its rung: what that did is lent for a time. Not when it is taken back at once, nor when it did nothing. */
export function lend(task: Task, now: number): Task {
  const afterMs = task.rungs[task.rung]?.undo?.afterMs;
  if (afterMs === undefined || task.attempt === 0 || task.leases.some(({ rung }) => rung === task.rung)) return task;
  return { ...task, leases: [...task.leases, { rung: task.rung, due: now + afterMs }] };
}

/** What is due of them begins. While a command of its own rung is under way it waits: what it takes back must have been done. */
export function undoDue(task: Task, moment: Moment): Step {
  let step: Step = { task, effects: [] };
  for (const lease of task.leases) {
    if (!("due" in lease) || lease.due > moment.now) continue;
    const { rung } = lease;
    if (rung === task.rung && task.open.length > 0) {
      step = { ...step, task: replaced(step.task, { rung, due: moment.now + stopGraceMs }) };
      continue;
    }
    step = withEffects(step.effects, undo(step.task, { rung, from: 0 }, moment));
  }
  return step;
}

/** The undo of a rung, from one of its steps on. */
export function undo(task: Task, { rung, from }: { rung: number; from: number }, moment: Moment): Step {
  const step = task.rungs[rung]?.undo?.steps[from];
  if (step === undefined) return gone(task, rung, tell(task, "task.undone", { rung: rung + 1 }), moment.now);
  return command(
    task,
    step,
    {
      purpose: "undo",
      rung,
      under: (under, execution) => ({ task: replaced(under, { rung, execution, step: from }), effects: [] }),
      done: (done) => undo(done, { rung, from: from + 1 }, moment),
    },
    moment,
  );
}

/** One of its commands has ended. */
export function undoEnded(task: Task, { rung, step }: Running, { report, moment }: { report: ExecutionReport; moment: Moment }): Step {
  if (report.outcome === "succeeded") return undo(task, { rung, from: step + 1 }, moment);
  const reason = failureReason(report, "undo ");
  return gone(task, rung, tell(task, "task.undo_failed", { rung: rung + 1, reason }), moment.now);
}

function gone(task: Task, rung: number, told: Effect, now: number): Step {
  return { task: { ...task, leases: task.leases.filter((lease) => lease.rung !== rung), updated: now }, effects: [told] };
}

function replaced(task: Task, lease: Lease): Task {
  return { ...task, leases: [...task.leases.filter(({ rung }) => rung !== lease.rung), lease] };
}
