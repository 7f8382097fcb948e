/**
 * What every beacon with a threshold has: `above`, `clear_below` and `for` as options, and what its `.high` and `.normal` events say
 * beside the value itself.
 */
import { type Contradiction, duration } from "./spec.ts";

/** Options of a threshold over numbers from 0 to `maximum`; without one, of any size. */
export function thresholdOptions<const D extends string>({
  unit,
  maximum,
  lasts,
}: {
  unit: string;
  maximum?: number;
  /** The default of `for`. */
  lasts: D;
}) {
  const bounds = { type: "number", minimum: 0, ...(maximum === undefined ? {} : { maximum }) } as const;
  return {
    above: { ...bounds, description: unit },
    clear_below: { ...bounds, description: "must not be over `above`; default: the same" },
    for: { ...duration, default: lasts, description: "how long the value must stay over (or under) before it is said" },
  } as const;
}

/** What events of a threshold have in their data, all of it required. */
export const thresholdData = {
  above: { type: "number" },
  clear_below: { type: "number" },
  lasted_ms: { type: "number", description: "how long the condition had held" },
} as const;
export const thresholdKeys = ["above", "clear_below", "lasted_ms"] as const;

export function thresholdContradiction({
  above,
  clear_below: clearBelow,
}: {
  above: number;
  clear_below?: number;
}): Contradiction | undefined {
  if (clearBelow === undefined || clearBelow <= above) return undefined;
  return { path: ["clear_below"], message: `clear_below (${clearBelow}) is over above (${above}): it would never stay raised` };
}
