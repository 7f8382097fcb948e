/**
 * What a host is given beforehand. The steps on the host with which a rung's undo begins are lent to it before the rung's first attempt, under
 * numbers that are given then: it does them by itself when their time comes, and what the task sends then, or hears before, is about the same
 * commands (P3).
 *
 * While the rung is tried the lease is a guard: its time is put off again and again, and comes when nobody can do that any more: the master is
 * gone, or what the rung did has cut the host off. Then the rung has failed. When the task leaves the rung, the lease has its own time. What cannot be
 * lent is a time in the task alone.
 */
import { specOf } from "../action.ts";
import { executionId } from "../ids.ts";
import { tell } from "./tell.ts";
import { type Lease, type LeaseWord, type Lent, type Moment, type Offer, type Step, type Task, withEffects } from "./types.ts";

/** Whatever is wished for: it is put off at half of that, again and again. */
const guardMsMin = 1_000;

export type Waiting = Extract<Lease, { due: number }>;
type Guard = Extract<Lease, { renew: number }>;

/** Before an attempt: the host can take it back, whatever the attempt does. Where it cannot, what the rung takes over is not done meanwhile. */
export function guard(task: Task, moment: Moment): Step {
  const { rung } = task;
  const undo = task.rungs[rung]?.undo;
  if (undo?.afterMs === undefined || task.leases.some((lease) => lease.rung === rung)) return { task, effects: [] };
  const steps = stepsOnHost(task, rung);
  const lent = steps === 0 ? {} : { lent: { first: task.started + 1, steps } };
  return offer({ ...task, started: task.started + steps }, guardian(task, { rung, ...lent }, moment));
}

/** The task leaves its rung: what that did is lent for a time. Not when it is taken back at once, nor when it did nothing. */
export function lend(task: Task, now: number): Step {
  const { rung } = task;
  const undo = task.rungs[rung]?.undo;
  const before = task.leases.find((lease) => lease.rung === rung);
  const isLeft = before !== undefined && !("renew" in before);
  if (undo?.afterMs === undefined || task.attempt === 0 || isLeft) return { task, effects: [] };
  const due = Math.max(now + undo.afterMs, before?.owed ?? 0);
  return offer(task, { rung, due, ...(before?.lent === undefined ? {} : { lent: before.lent }) });
}

/** Nothing was done on the rung: what it has taken over of another task is due when it was. */
export function owe(task: Task, { rung, owed, lent }: Guard & { owed: number }): Step {
  return offer(task, { rung, due: owed, ...(lent === undefined ? {} : { lent }) });
}

/** The lease comes at the later of the two times: nothing is taken back before it was promised. */
export function putOff(task: Task, lease: Waiting, due: number): Step {
  if ("renew" in lease) return { task: replaced(task, { ...lease, owed: Math.max(due, lease.owed ?? 0) }), effects: [] };
  return due > lease.due ? offer(task, { ...lease, due }) : { task, effects: [] };
}

/** The guards that are to be put off by now. */
export function renewed(task: Task, moment: Moment): Step {
  let step: Step = { task, effects: [] };
  for (const lease of task.leases) {
    if ("renew" in lease && lease.renew <= moment.now)
      step = withEffects(step.effects, offer(step.task, guardian(step.task, lease, moment)));
  }
  return step;
}

/** What its host is to have beforehand of a task, and has not begun. */
export function offersOf(task: Task): Offer[] {
  return task.leases.flatMap((lease) => offerOf(task, lease));
}

/** The host has it, or does not take it: then the task sends it when it is due. */
export function leaseAnswered(task: Task, word: LeaseWord, { now }: Moment): Step {
  const lease = lentBy(task, word.execution);
  if (lease === undefined) return { task, effects: [] };
  const { first, steps, held, refused } = lease.lent;
  const rung = lease.rung + 1;
  const answered = (lent: Lent): Task => ({ ...replaced(task, { ...lease, lent }), updated: now });
  if (word.kind === "leased") {
    if (held?.epoch === word.epoch && held.due === word.due) return { task, effects: [] };
    const known = answered({ first, steps, held: { epoch: word.epoch, due: word.due } });
    const isNews = !("renew" in lease) && word.due === lease.due && held?.due !== word.due;
    return { task: known, effects: isNews ? [tell(known, "task.leased", { rung, steps, due: word.due })] : [] };
  }
  if (refused === word.reason) return { task, effects: [] };
  const known = answered({ first, steps, refused: word.reason });
  return { task: known, effects: [tell(known, "task.lease_refused", { rung, reason: word.reason })] };
}

/** The lease that has not begun, and whose first command this is. */
export function lentBy(task: Task, execution: string): (Waiting & { lent: Lent }) | undefined {
  for (const lease of task.leases) {
    if ("due" in lease && lease.lent !== undefined && executionId(task.id, lease.lent.first) === execution)
      return { ...lease, lent: lease.lent };
  }
  return undefined;
}

export function replaced(task: Task, lease: Lease): Task {
  return { ...task, leases: [...task.leases.filter(({ rung }) => rung !== lease.rung), lease] };
}

function guardian({ rungs }: Task, lease: Omit<Guard, "due" | "renew">, { now, guardMs = 0 }: Moment): Guard {
  const forMs = Math.max(guardMsMin, guardMs, rungs[lease.rung]?.undo?.afterMs ?? 0);
  return { ...lease, due: now + forMs, renew: now + forMs / 2 };
}

function offer(task: Task, lease: Waiting): Step {
  return { task: replaced(task, lease), effects: offerOf(task, lease).map((each) => ({ kind: "lend", offer: each })) };
}

function offerOf({ id, agent, priority, rungs }: Task, lease: Lease): Offer[] {
  if (!("due" in lease) || lease.lent === undefined) return [];
  const { first, steps: count, held } = lease.lent;
  const steps = rungs[lease.rung]?.undo?.steps.slice(0, count) ?? [];
  return [{ execution: executionId(id, first), agent, due: lease.due, priority, steps, ...(held === undefined ? {} : { held }) }];
}

/** Of an undo's steps, how many its host can do before anybody else has to: those of the master stay with it, and what comes after them. */
function stepsOnHost({ rungs, order }: Task, rung: number): number {
  const steps = rungs[rung]?.undo?.steps ?? [];
  // Where nothing was done nothing is urgent.
  if (order?.dryRun === true) return 0;
  const others = steps.findIndex(({ action }) => specOf(action).runsOn === "master");
  return others === -1 ? steps.length : others;
}
