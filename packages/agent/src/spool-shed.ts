/**
 * Which events the spool lets go at its limits (P4, P8), and that they go. Within a transaction of the spool's, whose state it is given; counting and
 * telling is up to that.
 */
import { severities, type Severity } from "@needfire/shared/event";
import type { Shed } from "./shed.ts";
import type { LaneContent, SpoolFile } from "./spool-file.ts";

/** What there is to shed from. `sent`: the highest number of a lane that was ever on its way. */
export interface Stock {
  lanes: Record<Severity, LaneContent & { sent: number }>;
  rows: SpoolFile["lanes"];
}

/** How many of a lane are looked at for their age at a time. */
const agedAtOnceMax = 10_000;

/**
 * Lets go of at least `bytes` so that a lane has room: the oldest of the lowest lane first, and never one of a higher lane. Undefined: there is
 * not so much to be had, and nothing went.
 */
export function shedFor(stock: Stock, { lane, bytes }: { lane: Severity; bytes: number }): Shed[] | undefined {
  const { lanes } = stock;
  const lower = severities.slice(severities.indexOf(lane)).toReversed();
  if (lower.reduce((sum, each) => sum + lanes[each].bytes - lanes[each].alwaysBytes, 0) < bytes) return undefined;
  const shed: Shed[] = [];
  let excess = bytes;
  for (const each of lower) {
    while (excess > 0 && lanes[each].bytes > lanes[each].alwaysBytes) {
      const row = oldestOf(stock, each);
      excess -= Number(row["bytes"]);
      shed.push(remove(stock, each, row));
    }
  }
  return shed;
}

/** Lets go of what happened before a time; results of commands, too. */
export function shedBefore(stock: Stock, time: number): Shed[] {
  return severities.flatMap((lane) => {
    const oldest = stock.rows[lane].oldest.all(agedAtOnceMax);
    const young = oldest.findIndex((row) => Number(row["time"]) >= time);
    return oldest.slice(0, young === -1 ? oldest.length : young).map((row) => remove(stock, lane, row));
  });
}

/** The oldest that was not sent yet; then the oldest of those that may be at the master already. */
function oldestOf({ lanes, rows }: Stock, lane: Severity): Record<string, unknown> {
  const { sheddable } = rows[lane];
  const row = sheddable.get(lanes[lane].sent) ?? sheddable.get(0);
  if (row === undefined) throw new Error(`the ${lane} lane holds less than was counted`);
  return row;
}

function remove({ lanes, rows }: Stock, lane: Severity, row: Record<string, unknown>): Shed {
  const bytes = Number(row["bytes"]);
  rows[lane].remove.run(Number(row["sequence"]));
  const at = lanes[lane];
  at.events -= 1;
  at.bytes -= bytes;
  if (row["always"] === 1) at.alwaysBytes -= bytes;
  return { lane, time: Number(row["time"]) };
}
