/**
 * When a value counts as high and when as normal again. Pure: a state and a sample in, a state and at most one word out.
 */

export interface Thresholds {
  above: number;
  clearBelow: number;
  /** How long it must stay over, or under, before it is said. */
  forMs: number;
}

/** `since`: from when on the value has been on the side that would turn the state; undefined while it is not. */
export interface Level {
  raised: boolean;
  since: number | undefined;
}

export interface Crossing {
  turned: "high" | "normal";
  lastedMs: number;
}

export const calm: Level = { raised: false, since: undefined };

/** One sample at `now`. Raised by values over `above`, cleared by values under `clearBelow` (or equal, when both are the same). */
export function step(
  level: Level,
  { value, now }: { value: number; now: number },
  thresholds: Thresholds,
): { level: Level; crossing?: Crossing } {
  const { above, clearBelow, forMs } = thresholds;
  const turning = level.raised ? value < clearBelow || (clearBelow === above && value === above) : value > above;
  if (!turning) return { level: { ...level, since: undefined } };
  const since = level.since ?? now;
  const lastedMs = now - since;
  if (lastedMs < forMs) return { level: { ...level, since } };
  const raised = !level.raised;
  return { level: { raised, since: undefined }, crossing: { turned: raised ? "high" : "normal", lastedMs } };
}
