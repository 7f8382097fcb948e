/**
 * Mutual exclusion: of the tasks with one lock, of whatever reactor, one is at work at a time. It holds the lock from its first attempt until it is
 * over and no command of it is under way; what is lent for later holds nothing. The others wait, and are told when it is their turn.
 */
import { attempt } from "./climb.ts";
import { tell } from "./tell.ts";
import type { Moment, Step, Task } from "./types.ts";

/** The first attempt, or the wait for it. */
export function enter(task: Task, moment: Moment): Step {
  const { lock } = task;
  const holder = lock === undefined ? undefined : moment.holderOf?.(lock);
  if (lock === undefined || holder === undefined) return attempt(task, moment);
  const waiting: Task = { ...task, status: { state: "waiting", lock, behind: holder }, updated: moment.now };
  return { task: waiting, effects: [tell(waiting, "task.waiting", { lock: [...lock], behind: holder })] };
}

/** Its turn has come. */
export function admitted(task: Task, moment: Moment): Step {
  return waitsForLock(task) ? attempt(task, moment) : { task, effects: [] };
}

export function waitsForLock({ status }: Task): boolean {
  return status.state === "waiting" && "lock" in status;
}

export function holdsLock({ lock, status: { state }, open }: Task): boolean {
  const isAtWork = state === "running" || state === "verifying" || state === "retrying" || state === "undoing";
  return lock !== undefined && (isAtWork || open.length > 0);
}
