/**
 * One undo for a key. What a task has leased is given up in favour of a later task of its reactor with the same key, on the same host, that has the same
 * to take back: so it comes once, and not before the time that the later one promises. It is handed over when the later one begins, so that it does not
 * come in the middle of that; the later one's lease is there first, with its host where the earlier one's is. Pure.
 */
import { putOff, type Waiting } from "./lease.ts";
import type { Handing, Moment, Step, Task } from "./types.ts";

/** What tasks have in common of which one may take over another's undo; undefined: it has no key, or takes nothing back after a time. */
export function undoKeyOf({ reactor, agent, joinKey, fleetKey, order, rungs }: Task): unknown[] | undefined {
  const key = joinKey ?? fleetKey;
  const isLent = order?.dryRun !== true && rungs.some(({ undo }) => undo?.afterMs !== undefined);
  return key === undefined || !isLent ? undefined : [reactor, agent, key];
}

/** Whether something of it is still to be taken back, and that has not begun. */
export function hasLeased({ leases }: Task): boolean {
  return leases.some((lease) => "due" in lease);
}

interface Leased {
  task: Task;
  lease: Waiting;
}

/** An undo that is given up, and the one that stands for it from then on. */
export interface HandOver {
  from: Leased;
  to: Leased;
}

/** Of tasks with the same key, an undo that is to be handed over; undefined: none is. */
export function nextHandOver(tasks: readonly Task[]): HandOver | undefined {
  const leased = tasks.flatMap((task) => task.leases.flatMap((lease): Leased[] => ("due" in lease ? [{ task, lease }] : [])));
  const latestFirst = leased.toSorted(
    (a, b) => Number(isTried(b)) - Number(isTried(a)) || b.task.created - a.task.created || (a.task.id < b.task.id ? 1 : -1),
  );
  for (const [index, from] of latestFirst.entries()) {
    const to = isTried(from) ? undefined : latestFirst.slice(0, index).find((later) => isHeir(later, from));
    if (to !== undefined) return { from, to };
  }
  return undefined;
}

/** The later task has the undo of another one as well. */
export function takeOver(task: Task, { rung, from, due }: Extract<Handing, { kind: "takes_over" }>, { now }: Moment): Step {
  const lease = task.leases.find((each) => each.rung === rung);
  if (lease === undefined || !("due" in lease)) return { task, effects: [] };
  return putOff({ ...task, tookOver: [...(task.tookOver ?? []), from], updated: now }, lease, due);
}

/** The clock may have been set: what is being tried is the latest of all. */
function isTried({ lease }: Leased): boolean {
  return "renew" in lease;
}

function isHeir(later: Leased, { task, lease }: Leased): boolean {
  return later.task.id !== task.id && undoOf(later) === undoOf({ task, lease }) && isAsSafe(later.lease, lease);
}

function undoOf({ task: { rungs }, lease: { rung } }: Leased): string {
  return JSON.stringify(rungs[rung]?.undo?.steps);
}

/** What a host has is given up when it has the other one. Not where it will never have that: then the master is left. */
function isAsSafe({ lent: own }: Waiting, { lent }: Waiting): boolean {
  return lent?.held === undefined || own?.held !== undefined || own?.refused !== undefined;
}
