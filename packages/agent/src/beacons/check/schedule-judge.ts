/**
 * What a schedule has to say at a moment: wait, tell, or pass over what was missed. Pure. A due time is dealt with once, told or passed over; the
 * last such is `last`.
 */
import type { Cron } from "@needfire/shared/cron";

/** Told so much after its time (and its jitter), it is on time: an agent takes a while to start, and a machine to wake. */
const onTimeMsMax = 60_000;
/** A clock that was put back by more was wrong before, and by how much is unknown: the schedule begins anew. */
const backMsMax = 3_600_000;
const missedMax = 1_000;

export interface Schedule {
  cron: Cron;
  missed: "skip" | "once";
  /** How much later than due this due time is told. */
  delayMs(due: number): number;
}

export type Judged =
  /** Nothing to tell until then; undefined: never again. */
  | { kind: "wait"; until: number | undefined }
  | { kind: "tell"; due: number; missed: number }
  /** Up to `last` everything is dealt with, without a word. */
  | { kind: "pass"; last: number };

export function judgeSchedule({ cron, missed, delayMs }: Schedule, last: number, now: number): Judged {
  if (last - now > backMsMax) return { kind: "pass", last: now };
  const first = cron.next(last);
  if (first === undefined) return { kind: "wait", until: undefined };
  if (first > now) return { kind: "wait", until: first + delayMs(first) };
  const newest = Math.max(first, cron.previous(now + 1) ?? first);
  const toldAt = newest + delayMs(newest);
  const before = countBefore(cron, first, newest);
  if (now - toldAt <= onTimeMsMax) {
    // Those before it were missed, whether it waits for its jitter or not.
    if (before > 0 && missed === "skip") return { kind: "pass", last: newest - 1 };
    return toldAt > now ? { kind: "wait", until: toldAt } : { kind: "tell", due: newest, missed: before };
  }
  return missed === "skip" ? { kind: "pass", last: newest } : { kind: "tell", due: newest, missed: Math.min(before + 1, missedMax) };
}

/** Due times from `first` up to, without, `newest`. */
function countBefore(cron: Cron, first: number, newest: number): number {
  let count = 0;
  for (let due: number | undefined = first; due !== undefined && due < newest && count < missedMax; due = cron.next(due)) count += 1;
  return count;
}
