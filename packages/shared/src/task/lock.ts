/**
 * Mutual exclusion: of the tasks with one lock, of whatever reactor, one is at work at a time. It holds the lock from its first attempt until it is
 * over and no command of it is under way; what is lent for later holds nothing. The others wait, and are told when it is their turn.
 */
import { formatDuration } from "../duration.ts";
import { attempt } from "./climb.ts";
import { expire } from "./escalate.ts";
import { tell } from "./tell.ts";
import type { Moment, Step, Task } from "./types.ts";

/** The first attempt, or the wait for it. From here on its time to begin counts, unless it has been counted for its rollout. */
export function enter(task: Task, moment: Moment): Step {
  const { lock, beginMs } = task;
  const { beginBy = beginMs === undefined ? undefined : moment.now + beginMs } = task;
  const timed: Task = beginBy === undefined ? task : { ...task, beginBy };
  const holder = lock === undefined ? undefined : moment.holderOf?.(lock);
  if (isLate(timed, moment.now) || lock === undefined || holder === undefined) return admit(timed, moment);
  const until = beginBy === undefined ? {} : { until: beginBy };
  const waiting: Task = { ...timed, status: { state: "waiting", lock, behind: holder, ...until }, updated: moment.now };
  return { task: waiting, effects: [tell(waiting, "task.waiting", { lock: [...lock], behind: holder, ...until })] };
}

/** Its turn has come. */
export function admitted(task: Task, moment: Moment): Step {
  return waitsForLock(task) ? admit(task, moment) : { task, effects: [] };
}

/** Its turn has not come in time. */
export function overdue(task: Task, moment: Moment): Step {
  return waitsForLock(task) && isLate(task, moment.now) ? admit(task, moment) : { task, effects: [] };
}

function admit(task: Task, moment: Moment): Step {
  if (!isLate(task, moment.now)) return attempt(task, moment);
  const { status, beginMs = 0 } = task;
  const why = status.state === "waiting" && "lock" in status ? `: ${status.behind} had its lock` : "";
  return expire(task, `it could not begin within ${formatDuration(beginMs)}${why}`, moment);
}

function isLate({ beginBy }: Task, now: number): boolean {
  return beginBy !== undefined && beginBy <= now;
}

export function waitsForLock({ status }: Task): boolean {
  return status.state === "waiting" && "lock" in status;
}

export function holdsLock({ lock, status: { state }, open, leases }: Task): boolean {
  const isAtWork = state === "running" || state === "verifying" || state === "retrying" || state === "undoing";
  // An undo that comes later may be waited for for days.
  const isLent = (id: string) => leases.some((lease) => "execution" in lease && lease.execution === id);
  return lock !== undefined && (isAtWork || open.some(({ id }) => !isLent(id)));
}
