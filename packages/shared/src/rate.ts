/**
 * Rates as people write them: so many in a time, such as `1000/10s`.
 */
import { durationPattern, parseDuration } from "./duration.ts";

/** A JSON Schema pattern for rates. */
export const ratePattern = `^[1-9][0-9]{0,6}/${durationPattern.slice(1)}`;

export interface Rate {
  events: number;
  perMs: number;
}

/** Undefined when the text is no rate. */
export function parseRate(text: string): Rate | undefined {
  if (!new RegExp(ratePattern).test(text)) return undefined;
  const [events, per] = text.split("/") as [string, string];
  const perMs = parseDuration(per);
  return perMs === undefined ? undefined : { events: Number(events), perMs };
}
