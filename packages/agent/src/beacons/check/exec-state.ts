/**
 * When a check's state is told. Pure. As in other monitoring systems, a problem is told when `attempts` runs in a row have found one, whichever;
 * from then on each other state is told at once, and so is that all is well again.
 */
import type { CheckState } from "@needfire/shared/beacons/exec";

/** `told`: undefined when nothing ever was, which is taken for ok. `wrong`: runs in a row that found something wrong. */
export interface CheckLevel {
  told: CheckState | undefined;
  wrong: number;
}

export function stepCheck({ told, wrong }: CheckLevel, found: CheckState, attempts: number): { level: CheckLevel; tell: boolean } {
  if (found === "ok") return { level: { told: "ok", wrong: 0 }, tell: told !== undefined && told !== "ok" };
  const level = { told, wrong: Math.min(wrong + 1, attempts) };
  const isHard = (told !== undefined && told !== "ok") || level.wrong >= attempts;
  if (!isHard) return { level, tell: false };
  return { level: { ...level, told: found }, tell: found !== told };
}
