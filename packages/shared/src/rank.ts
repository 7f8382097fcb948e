/**
 * Who of those that wait is first. The critical are before all others, of whatever age (P8). Of the others each stands where one of the highest
 * priority would that came later, by a fixed time for each priority below it: so who waits for long enough is before all that come now, and
 * nobody is starved. A rank does not change while its owner waits: time passes for all of them alike, and a line is never sorted anew.
 */
import type { Severity } from "./event.ts";

/** `since`: from when on it waits, in ms by a clock that is the same for the whole line. */
export interface Ranked {
  priority: Severity;
  since: number;
}

/** How often one waits the time after which it stands where a new one of the next higher priority does. */
const steps: Record<Severity, number> = { critical: 0, high: 0, normal: 1, low: 2 };
/** No time in ms comes near it. */
const criticalLeadMs = Number.MAX_SAFE_INTEGER;

/** Who has the lowest is first. */
export function rankOf(waiting: Ranked, risesAfterMs: number): number {
  return standingOf(waiting, risesAfterMs) - (waiting.priority === "critical" ? criticalLeadMs : 0);
}

/** The time at which one of priority high would have had to come to stand there. Says nothing of the critical, which have a line of their own. */
export function standingOf({ priority, since }: Ranked, risesAfterMs: number): number {
  return since + steps[priority] * risesAfterMs;
}
