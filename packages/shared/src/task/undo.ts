/**
 * What is taken back. A rung with an `undo` leaves a lease behind when the task leaves the rung: it comes due although the task has ended, and
 * is gone with the first try, so that it is done once. Runs beside what the task does meanwhile.
 */
import type { ExecutionReport } from "../action.ts";
import { executionId, masterAgent } from "../ids.ts";
import { command, stopped } from "./commands.ts";
import { note } from "./history.ts";
import { lentBy, owe, replaced } from "./lease.ts";
import { failureReason, tell } from "./tell.ts";
import { type Effect, type Input, type Lease, type Lent, type Moment, type Step, stopGraceMs, type Task, withEffects } from "./types.ts";

type Running = Extract<Lease, { execution: string }>;

/** The host says what became of a command that it had beforehand, and that the task has not begun: it has now. */
export function begunByHost(task: Task, execution: string, moment: Moment): Step | undefined {
  const lease = lentBy(task, execution);
  if (lease === undefined) return undefined;
  const { rung, lent } = lease;
  const left = "renew" in lease ? lost(task, moment.now) : { task, effects: [] };
  return withEffects(left.effects, undo(left.task, { rung, from: 0, lent }, moment));
}

/** Nothing of its rung holds any more: what is under way there is not wanted. */
function lost(task: Task, now: number): Step {
  const reason = "the host took it back: nobody was heard of for too long";
  const { open, effects } = stopped(task, task.open, { reason, now });
  return { task: { ...note(task, { reason }, now), open, status: { state: "undoing", reason } }, effects };
}

/** What is due of them begins. While a command of its own rung is under way it waits: what it takes back must have been done. */
export function undoDue(task: Task, moment: Moment): Step {
  let step: Step = { task, effects: [] };
  for (const lease of task.leases) {
    if (!("due" in lease) || "renew" in lease || lease.due > moment.now) continue;
    const { rung, lent } = lease;
    if (rung === task.rung && task.open.length > 0) {
      step = { ...step, task: replaced(step.task, { ...lease, due: moment.now + stopGraceMs }) };
      continue;
    }
    step = withEffects(step.effects, undo(step.task, { rung, from: 0, lent }, moment));
  }
  return step;
}

/** The undo of a rung, from one of its steps on. */
export function undo(task: Task, { rung, from, lent }: { rung: number; from: number; lent?: Lent | undefined }, moment: Moment): Step {
  const step = task.rungs[rung]?.undo?.steps[from];
  if (step === undefined) return gone(task, rung, tell(task, "task.undone", { rung: rung + 1 }), moment.now);
  return command(
    task,
    step,
    {
      purpose: "undo",
      rung,
      lent: lent !== undefined && from < lent.steps ? { number: lent.first + from, held: lent.held?.epoch } : undefined,
      under: (under, execution) => ({ task: replaced(under, { rung, execution, step: from, ...given(lent) }), effects: [] }),
      done: (done) => undo(done, { rung, from: from + 1, lent }, moment),
    },
    moment,
  );
}

/** One of its commands has ended. */
export function undoEnded(
  task: Task,
  { rung, step, lent, kept, takenBy }: Running,
  { report, moment }: { report: ExecutionReport; moment: Moment },
): Step {
  if (report.outcome === "succeeded") return undo(task, { rung, from: step + 1, lent }, moment);
  if (kept !== true || report.outcome !== "cancelled")
    return gone(task, rung, tell(task, "task.undo_failed", { rung: rung + 1, reason: failureReason(report, "undo ") }), moment.now);
  return takenBy === undefined ? gone(task, rung, dropped(task, rung), moment.now) : left(task, { rung, by: takenBy }, moment.now);
}

/** What is lent stays. A host that may have the undo is told; what it has begun by then goes on. */
export function keep(task: Task, { by, why }: Extract<Input, { kind: "keep" }>, moment: Moment): Step {
  const waiting = task.leases.filter((lease) => "due" in lease);
  if (waiting.length === 0) return { task, effects: [] };
  const kept = { by, at: moment.now, ...(why === undefined ? {} : { why }) };
  let step: Step = { task: { ...task, kept, updated: moment.now }, effects: [] };
  for (const { rung, lent } of waiting) {
    const next =
      lent === undefined ? gone(step.task, rung, dropped(step.task, rung), moment.now) : withdraw(step.task, { rung, lent }, {}, moment);
    step = withEffects(step.effects, next);
  }
  return step;
}

/** Nothing was done on the rung: its host is to drop the guard, if it has it. Unless it stands for another task's undo, too. */
export function unguarded(task: Task, moment: Moment): Step {
  const guarding = task.leases.find((lease) => lease.rung === task.rung);
  if (guarding === undefined || !("renew" in guarding)) return { task, effects: [] };
  const { rung, lent, owed } = guarding;
  if (owed !== undefined) return owe(task, { ...guarding, owed });
  return lent === undefined ? { task: without(task, rung), effects: [] } : withdraw(task, { rung, lent }, {}, moment);
}

/** Another task takes back the same later on: here it is given up. A host that has begun it by then says so. */
export function giveUpUndo(task: Task, { rung, by }: { rung: number; by: string }, moment: Moment): Step {
  const lease = task.leases.find((each) => each.rung === rung);
  if (lease === undefined || !("due" in lease) || "renew" in lease) return { task, effects: [] };
  const { lent } = lease;
  return lent === undefined ? left(task, { rung, by }, moment.now) : withdraw(task, { rung, lent }, { takenBy: by }, moment);
}

/** Its first command is stopped, whether or not the host has begun it: that it says. */
function withdraw(task: Task, { rung, lent }: { rung: number; lent: Lent }, why: Pick<Running, "takenBy">, moment: Moment): Step {
  const begun = undo(task, { rung, from: 0, lent }, moment);
  const execution = executionId(task.id, lent.first);
  const unwanted = replaced(begun.task, { rung, execution, step: 0, lent, kept: true, ...why });
  return { task: unwanted, effects: [...begun.effects, { kind: "stop", execution }] };
}

function left(task: Task, { rung, by }: { rung: number; by: string }, now: number): Step {
  const takenOver = [...(task.takenOver ?? []), { rung, by, at: now }];
  return gone({ ...task, takenOver }, rung, tell(task, "task.undo_taken_over", { rung: rung + 1, taken_by: by }), now);
}

function dropped(task: Task, rung: number): Effect {
  const { by, why } = task.kept ?? { by: masterAgent, why: "nothing was done that could be taken back" };
  return tell(task, "task.undo_dropped", { rung: rung + 1, by, ...(why === undefined ? {} : { why }) });
}

function gone(task: Task, rung: number, told: Effect, now: number): Step {
  return { task: { ...without(task, rung), updated: now }, effects: [told] };
}

function without(task: Task, rung: number): Task {
  return { ...task, leases: task.leases.filter((lease) => lease.rung !== rung) };
}

function given(lent: Lent | undefined): { lent?: Lent } {
  return lent === undefined ? {} : { lent };
}
