/**
 * A master and agents whose beacons are driven, and what the journal has of each beacon as it comes: kept by beacon and by key, so that a
 * change can be waited for, and what came too often can be told.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { EventView } from "@needfire/shared/api";
import type { BeaconType } from "@needfire/shared/beacons/types";
import { errorText } from "@needfire/shared/errors";
import type { Client } from "../../packages/cli/src/client.ts";
import type { Testbed } from "../testbed.ts";
import { type Clockwork, type Driver, type DriverRow, keyOf } from "./driver.ts";

const checkout = join(import.meta.dirname, "..", "..");

/** What is not told by then counts as missed. Long, since other work may take the machine. */
const patienceMs = 60_000;

export interface DrivenBeacon {
  name: string;
  type: BeaconType;
  driver: Driver | Clockwork;
  /** Who watches: another than was meant when the driver has a host of its own. */
  agent: string;
  /** The event that came last. */
  last?: EventView;
}

/**
 * Makes the driver of a type and puts its beacon among the master's definitions, for one agent. A text: why it cannot be driven here. `rows`: the
 * drivers that there are.
 */
export async function drive(
  bed: Testbed,
  { type, agent, rows }: { type: BeaconType; agent: string; rows: Readonly<Record<string, DriverRow>> },
): Promise<DrivenBeacon | string> {
  const row = rows[type];
  if (row === undefined) return "it watches the whole machine, which others change too, or takes a host of its own";
  const missing = row.missing?.();
  if (missing !== undefined) return missing;
  const name = `driven-${type}`;
  const folder = bed.path("driven", type);
  mkdirSync(folder, { recursive: true });
  const driver = await row.make({ folder, tag: `nf${process.pid}`, shared: [checkout, bed.dir] });
  const watcher = driver.host === undefined ? agent : `${agent}-host`;
  bed.beacon(name, JSON.stringify({ name, type, targets: watcher, ...driver.options }));
  return { name, type, driver, agent: watcher };
}

/** Agents first: what they watch is there until nobody looks. Then what the drivers made, which lies where the testbed's files do. */
export async function endAll(bed: Testbed, driven: readonly DrivenBeacon[]): Promise<void> {
  await Promise.all([...bed.agents.values()].map((agent) => agent.stop()));
  for (const { driver } of driven) await driver.stop?.();
  await bed.stop();
}

/** Events as the master's stream brings them. */
export class Told {
  /** How often each key of a beacon came. */
  readonly counts = new Map<string, Map<string, number>>();
  /** Of all beacons together, by event type. */
  readonly types = new Map<string, number>();
  readonly #beacons = new Map<string, DrivenBeacon>();
  readonly #waiting = new Set<() => void>();
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  /** What the stream left out because we were too slow: then nothing can be counted. */
  dropped = 0;
  /** Why the stream ended before its time. */
  broken: string | undefined;

  constructor(client: Client, agent: string, beacons: readonly DrivenBeacon[]) {
    for (const beacon of beacons) {
      this.#beacons.set(beacon.name, beacon);
      this.counts.set(beacon.name, new Map());
    }
    this.#ended = this.#follow(client, agent);
  }

  /** Resolves when each of these was told so often; false: not in time, or it was given up. */
  until(beacon: string, wanted: ReadonlyMap<string, number>, signal: AbortSignal): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const counts = this.counts.get(beacon)!;
    const ask = () => {
      if ([...wanted].every(([key, times]) => (counts.get(key) ?? 0) >= times)) end(true);
    };
    const giveUp = () => end(false);
    const end = (came: boolean) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", giveUp);
      this.#waiting.delete(ask);
      resolve(came);
    };
    const timer = setTimeout(giveUp, patienceMs);
    this.#waiting.add(ask);
    signal.addEventListener("abort", giveUp, { once: true });
    ask();
    return promise;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #follow(client: Client, agent: string): Promise<void> {
    try {
      for await (const item of client.watch({ agent }, this.#stop.signal)) {
        if ("dropped" in item) this.dropped += item.dropped;
        else this.#take(item);
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) this.broken = errorText(error);
    }
  }

  #take(event: EventView): void {
    this.types.set(event.type, (this.types.get(event.type) ?? 0) + 1);
    const beacon = this.#beacons.get(event.beacon ?? "");
    if (beacon === undefined) return;
    const key = keyOf(beacon.driver, event);
    if (key === undefined) return;
    const counts = this.counts.get(beacon.name)!;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    beacon.last = event;
    for (const ask of this.#waiting) ask();
  }
}
