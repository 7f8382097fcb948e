/**
 * When a remedy is not tried any more, since it does not hold: what counts against it, when that is enough for a key, and when for the whole
 * reactor. Pure; who keeps the state says which keys of a reactor have tripped.
 */
import { idKind } from "../ids.ts";
import type { Rollout } from "../rollout/types.ts";
import type { BreakerLimits } from "../rules/types.ts";
import { spanText } from "../rules/wording.ts";
import { tell } from "./tell.ts";
import type { Effect, Task } from "./types.ts";

/** A task, or rollout, that came to nothing, or whose problem was gone when it ended: held against it when the reactor fires again. */
export interface Strike {
  task: string;
  at: number;
  how: string;
}

/** `held`: firings that made no task since. */
export interface Trip {
  at: number;
  why: string;
  tasks: string[];
  held: number;
}

/** Of one key. `strikes`: the oldest first, no more than may be needed. */
export interface Breaker {
  strikes: Strike[];
  trip?: Trip;
}

export type Verdict = "closed" | "open" | "trips";

/**
 * What a task that has just ended leaves behind. Undefined: nothing is held against it. It was not tried, or a person ended it, or it never
 * said that the problem was gone: a reaction that verifies nothing may be right to come again and again.
 */
export function strikeOf({ id, branch, attempts, status, updated }: Task): Strike | undefined {
  if (branch !== "do" || attempts === 0) return undefined;
  if (status.state === "escalated") return { task: id, at: updated, how: `escalated: ${status.reason}`.slice(0, reasonCharactersMax) };
  if (status.state === "resolved" && status.verified) return { task: id, at: updated, how: "was verified, and the problem came back" };
  return undefined;
}

/** The same of a rollout, as a whole, when it has just ended. Hosts on which nothing was begun say nothing of the remedy. */
export function strikeOfRollout({ id, branch, status, failed, resolved, verified, hosts, updated }: Rollout): Strike | undefined {
  const hasEnded = status.state === "done" || status.state === "stopped";
  if (branch !== "do" || !hasEnded) return undefined;
  if (failed > 0) return { task: id, at: updated, how: `failed on ${failed} of ${hosts} hosts` };
  const isVerified = resolved > 0 && verified === resolved;
  return isVerified ? { task: id, at: updated, how: "was verified on its hosts, and the problem came back" } : undefined;
}

/** Whether it still counts for a firing of now. */
export function mayTrip({ strikes, trip: tripped }: Breaker, limits: BreakerLimits, now: number): boolean {
  return tripped === undefined && recent(strikes, limits, now).length > 0;
}

/** With a further strike. */
export function struck({ strikes, ...rest }: Breaker, strike: Strike, limits: BreakerLimits): Breaker {
  return { ...rest, strikes: recent([...strikes, strike], limits, strike.at).slice(-limits.repeats) };
}

/** What becomes of a firing. */
export function judged({ strikes, trip }: Breaker, limits: BreakerLimits, now: number): Verdict {
  if (trip !== undefined) return "open";
  return recent(strikes, limits, now).length >= limits.repeats ? "trips" : "closed";
}

export function trip({ strikes }: Breaker, limits: BreakerLimits, now: number): Trip {
  const found = recent(strikes, limits, now);
  const { task, how: last } = found.at(-1) ?? { task: "", how: "" };
  const what = idKind(task) === "rollout" ? "rollouts" : "tasks";
  const why = `the remedy did not hold: ${found.length} ${what} for this key within ${spanText(limits.withinMs)}; the last one ${last}`;
  return { at: now, why, tasks: found.map(({ task }) => task), held: 0 };
}

/** When this key's trip is one too many for the reactor. */
export function tripAll(trips: readonly Trip[], limits: BreakerLimits, now: number): Trip | undefined {
  if (trips.length < limits.keys) return undefined;
  const tasks = trips.flatMap((each) => each.tasks.slice(-1));
  return { at: now, why: `${trips.length} keys of this reactor have tripped`, tasks, held: 0 };
}

/** The firings of a task's reactor for these make one strike together. */
export function breakerKey({
  joinKey,
  agent,
  subject,
}: Pick<Task, "agent" | "subject"> & { joinKey?: readonly unknown[] | undefined }): unknown[] {
  return joinKey === undefined ? [agent, ...(subject === undefined ? [] : [subject])] : [...joinKey];
}

/** P5: told once, with the evidence, as what the last of its tasks has come to. `key`: undefined: of the whole reactor. */
export function tripped(task: Task, { why, tasks }: Trip, key: readonly unknown[] | undefined): Effect {
  return tell(task, "breaker.tripped", { ...(key === undefined ? {} : { key: [...key] }), why, tasks });
}

const reasonCharactersMax = 300;

function recent(strikes: readonly Strike[], { withinMs }: BreakerLimits, now: number): Strike[] {
  return strikes.filter(({ at }) => at > now - withinMs);
}
