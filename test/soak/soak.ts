/**
 * One soak: a real master, a real agent with every beacon type, and for minutes real changes to what those watch that can be driven. Now and
 * then everything rests, and what the agent holds is taken down. At the end what was told is counted against what was done.
 */
import { appendFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { loadBeacons } from "@needfire/shared/beacon";
import { type BeaconType, beaconTypes } from "@needfire/shared/beacons/types";
import { drive, type DrivenBeacon, endAll, Told } from "../drivers/watched.ts";
import { isClockwork } from "../drivers/driver.ts";
import { drivers } from "../drivers/drivers.ts";
import { type Process, Testbed } from "../testbed.ts";
import { countAccount, type Counted } from "./count.ts";
import { type Growth, growthOf } from "./growth.ts";
import { type Usage, usageOf } from "./usage.ts";

const agent = "soak";
/** Between two changes of one driver. */
const pauseMs = 250;
/** So long nothing happens before a sample is taken: at its beginning definitions are read again, 5 s after which the agent collects garbage. */
const restMs = 6_500;
/** Of the run that is not judged: code is compiled, caches fill. */
const warmUpShare = 0.3;
/** Each half of what is judged must have some. */
const samplesMin = 4;
const sampleEveryMsMax = 30_000;
/** Looks of many drivers every 200 ms take more than an agent's usual budget, and are to go on as often. */
const notSlowed = "cpu_budget_percent: 800\nmemory_budget_bytes: 4294967296\n";

export interface SoakOptions {
  minutes: number;
  types: readonly BeaconType[];
  signal: AbortSignal;
  say(line: string): void;
}

export interface SoakReport {
  counted: Counted[];
  /** Why a type is in the set, but not driven. */
  undriven: Record<string, string>;
  growth: Growth[];
  samples: Usage[];
  mismatches: string[];
  tookMs: number;
}

export async function soak({ minutes, types, signal, say }: SoakOptions): Promise<SoakReport> {
  const began = performance.now();
  const driven: DrivenBeacon[] = [];
  const undriven: Record<string, string> = {};
  let bed: Testbed | undefined;
  let told: Told | undefined;
  try {
    bed = await Testbed.start({}, (made) => copyReady(made, types));
    for (const type of types) {
      const made = await drive(bed, { type, agent, rows: drivers });
      if (typeof made === "string") undriven[type] = made;
      else driven.push(made);
    }
    await bed.client.reload();
    const { join_string: joinString } = await bed.client.createToken({ uses: 1 });
    const joined = await bed.join(agent, joinString);
    if (joined.code !== 0) throw new Error(`the agent could not join:\n${joined.output}`);
    appendFileSync(bed.path(`${agent}.yaml`), notSlowed);
    told = new Told(bed.client, agent, driven);
    const from = Date.now();
    const process = await bed.startAgent(agent);
    await bed.watching(agent, ...driven.map(({ name }) => name));
    await Promise.all(driven.map(async ({ driver }) => driver.begin?.()));
    say(`driven: ${driven.map(({ type }) => type).join(", ")}`);
    const run = new Run(driven, told, signal);
    const samples = await run.go(minutes * 60_000, process, say);
    const to = Date.now();
    const counted = await run.count(from, to);
    const inJournal = await comparedWithJournal(bed, told);
    const growth = growthOf(samples);
    return {
      ...{ counted, undriven, growth, samples, tookMs: performance.now() - began },
      mismatches: [
        ...counted.flatMap(({ name, mismatches }) => mismatches.map((text) => `${name}: ${text}`)),
        ...inJournal,
        ...growth
          .filter(({ grew }) => grew)
          .map(({ what, first, second, limit }) => `${what} grew from ${first} to ${second} (limit ${limit})`),
        ...(process.running ? [] : ["the agent ended by itself"]),
      ],
    };
  } finally {
    await told?.stop();
    if (bed !== undefined) await endAll(bed, driven);
  }
}

/** The drivers side by side, all at rest when a sample is taken. */
class Run {
  readonly #driven: readonly DrivenBeacon[];
  readonly #told: Told;
  readonly #signal: AbortSignal;
  readonly #expected = new Map<string, Map<string, number>>();
  readonly #changes = new Map<string, number>();

  constructor(driven: readonly DrivenBeacon[], told: Told, signal: AbortSignal) {
    this.#driven = driven;
    this.#told = told;
    this.#signal = signal;
    for (const { name } of driven) {
      this.#expected.set(name, new Map());
      this.#changes.set(name, 0);
    }
  }

  async go(forMs: number, process: Process, say: (line: string) => void): Promise<Usage[]> {
    const end = performance.now() + forMs;
    const judgedFrom = end - forMs * (1 - warmUpShare);
    const roundMs = Math.min(sampleEveryMsMax, (forMs * (1 - warmUpShare)) / samplesMin);
    const samples: Usage[] = [];
    while (!this.#signal.aborted && (performance.now() < end || samples.length < samplesMin)) {
      const until = performance.now() + roundMs - restMs;
      await Promise.all(this.#driven.map((beacon) => this.#change(beacon, until)));
      process.signal("SIGHUP");
      await delay(restMs, undefined, { signal: this.#signal }).catch(() => undefined);
      const taken = usageOf(process.pid);
      if (performance.now() > judgedFrom) samples.push(taken);
      say(`${[...this.#changes.values()].reduce((sum, count) => sum + count, 0)} changes; ${usageText(taken)}`);
    }
    return samples;
  }

  async count(from: number, to: number): Promise<Counted[]> {
    return Promise.all(
      this.#driven.map(async ({ name, driver }) => {
        const expected = this.#expected.get(name)!;
        if (isClockwork(driver)) {
          for (const key of driver.due(from, to)) expected.set(key, 1);
          await this.#told.until(name, expected, this.#signal);
        }
        const allowed = new Set(isClockwork(driver) ? driver.due(from, Date.now()) : []);
        return countAccount({ name, changes: this.#changes.get(name)!, expected, allowed, told: this.#told.counts.get(name)! });
      }),
    );
  }

  /** Changes until then, and on to the state of the start: at rest the same is there each time. */
  async #change({ name, driver }: DrivenBeacon, until: number): Promise<void> {
    if (isClockwork(driver)) return;
    const expected = this.#expected.get(name)!;
    for (let made = 0; !this.#signal.aborted && (performance.now() < until || made % wholeRound !== 0); made++) {
      const number = this.#changes.get(name)!;
      this.#changes.set(name, number + 1);
      const wanted = new Map<string, number>();
      for (const key of await driver.change(number)) {
        expected.set(key, (expected.get(key) ?? 0) + 1);
        wanted.set(key, expected.get(key)!);
      }
      // What does not come in time stays missed in the count.
      await this.#told.until(name, wanted, this.#signal);
      await delay(pauseMs);
    }
  }
}

/** After so many changes everything is as it was, for every driver. */
const wholeRound = 4;

/** The ready definitions of all types, so that each is in the set, driven or not. */
function copyReady(bed: Testbed, types: readonly BeaconType[]): void {
  const folder = join(import.meta.dirname, "..", "..", "beacons");
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".yaml"))) {
    const loaded = loadBeacons(file, readFileSync(join(folder, file), "utf8"));
    if (!loaded.ok) continue; // a test of its own tells
    for (const { definition } of loaded.beacons)
      if (types.includes(definition.type)) bed.beacon(`ready-${definition.name}`, JSON.stringify({ ...definition, targets: "*" }));
  }
}

/** The stream is what was counted: the journal must have the same. */
async function comparedWithJournal(bed: Testbed, told: Told): Promise<string[]> {
  if (told.broken !== undefined) return [`the stream of events ended: ${told.broken}`];
  if (told.dropped > 0) return [`the stream left out ${told.dropped} events: nothing can be counted`];
  const { counts } = await bed.client.count({ by: "type", agent });
  return counts.flatMap(({ key, events }) => {
    const streamed = told.types.get(key) ?? 0;
    // What is not driven goes on meanwhile.
    return streamed > events ? [`${key}: the stream brought ${streamed} events, the journal has ${events}`] : [];
  });
}

function usageText({ private_mb: own, rss_mb: rss, handles, inotify_watches: watches, threads, children }: Usage): string {
  return `${own.toFixed(1)} MB private, ${rss.toFixed(1)} MB resident, ${handles} handles, ${watches} watches, ${threads} threads, ${children} children`;
}

export const everyType = Object.keys(beaconTypes) as BeaconType[];
