/**
 * What waits for the spool's next transaction, in its lanes. Bounded (P4): at the limit the oldest event of the lowest lane goes, never
 * one of a higher lane for one of a lower; results of commands are always taken.
 */
import type { ExecutionReport } from "@needfire/shared/action";
import { severities, type Severity } from "@needfire/shared/event";
import type { WireEvent } from "@needfire/shared/wire-event";

/** Events, and bytes of their data, that wait in memory while the disk takes none. */
const pendingEventsMax = 10_000;
const pendingBytesMax = 33_554_432;

/** What is to be written: an event, or the end of a command with its result. `always`: it is not shed. */
export interface Entry {
  lane: Severity;
  event: WireEvent;
  always: boolean;
  finished?: ExecutionReport;
}

export class Pending {
  #lanes = emptyLanes();
  #events = 0;
  #bytes = 0;

  get count(): number {
    return this.#events;
  }

  get full(): boolean {
    return this.#events >= pendingEventsMax || this.#bytes >= pendingBytesMax;
  }

  add(entry: Entry): void {
    this.#lanes[entry.lane].push(entry);
    this.#events += 1;
    this.#bytes += entry.event[7].length;
  }

  /** Lets the oldest event go of the lowest lane that is not above `lane`. Undefined: there is none. */
  shed(lane: Severity): Entry | undefined {
    for (const lower of severities.slice(severities.indexOf(lane)).toReversed()) {
      const entries = this.#lanes[lower];
      const oldest = entries.findIndex(({ always }) => !always);
      if (oldest < 0) continue;
      const [shed] = entries.splice(oldest, 1);
      this.#events -= 1;
      this.#bytes -= shed!.event[7].length;
      return shed;
    }
    return undefined;
  }

  /** All of it, the highest lane first, each in its order. */
  take(): Entry[] {
    const entries = severities.flatMap((lane) => this.#lanes[lane]);
    this.#lanes = emptyLanes();
    this.#events = 0;
    this.#bytes = 0;
    return entries;
  }
}

function emptyLanes(): Record<Severity, Entry[]> {
  return { critical: [], high: [], normal: [], low: [] };
}
