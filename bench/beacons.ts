/**
 * What each beacon type costs an agent, and how soon it tells. Idle: an agent with the ready definitions of one type (`beacons/`) beside one
 * without any, all in the same seconds. Busy: the same agent while what its beacon watches is really changed (test/drivers), one type after
 * the other. And an agent with every ready definition at once: what watching costs a host by default.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type BeaconDefinition, checkBeacon, loadBeacons } from "@needfire/shared/beacon";
import { type BeaconType, beaconTypes } from "@needfire/shared/beacons/types";
import { type Clockwork, type Driver, isClockwork } from "../test/drivers/driver.ts";
import { drivers, machineDrivers } from "../test/drivers/drivers.ts";
import { drive, type DrivenBeacon, endAll, Told } from "../test/drivers/watched.ts";
import { Testbed } from "../test/testbed.ts";
import { type Figure, figuresOf } from "./figure.ts";
import { childrenCpuSecondsOf, cpuSecondsOf, type Memory, memoryOf } from "./process-usage.ts";
import { quantile } from "./quantile.ts";

const changesDefault = 20;
/** The first looks, and what they led to, are over by then; definitions are read again at its beginning, after which an agent collects garbage. */
const settleMs = 25_000;
const idleMs = 25_000;
const pauseMs = 20;
/** Of one type; one that tells slowly makes fewer changes, one there and one back at least. */
const busyMsMax = 6_000;
/** Of what the clock brings, and how long the next may take. */
const dueTimes = 2;
const dueMsMax = 120_000;
/** Processes that start at the same time. */
const startsAtOnce = 4;
const heartbeat = "5s";
const [nobody, everybody] = ["without", "with-all"];

export async function beacons({ count = changesDefault, types = Object.keys(beaconTypes) }: Options): Promise<Figure[]> {
  const unknown = types.filter((type) => !Object.hasOwn(beaconTypes, type));
  if (unknown.length > 0)
    throw new Error(`there is no beacon type ${unknown.join(", ")}; there are ${Object.keys(beaconTypes).join(", ")}`);
  const chosen = types as BeaconType[];
  const ready = readyDefinitions();
  const driven: DrivenBeacon[] = [];
  const launch = (name: string) => ({ through: throughTo(driven, name) });
  const bed = await Testbed.start({ heartbeat, launch }, (made) => {
    for (const each of ready)
      made.beacon(each.name, JSON.stringify({ ...each, targets: [everybody, ...chosen.filter((type) => type === each.type)] }));
  });
  try {
    await startAll(bed, [nobody, everybody, ...chosen]);
    for (const agent of bed.agents.values()) agent.signal("SIGHUP");
    await delay(settleMs);
    const idle = await usageOver(bed, [nobody, everybody, ...chosen], idleMs);
    const { beacons: set } = await bed.client.beacons(everybody);
    const failed = set.filter(({ state }) => state === "failed").map(({ name }) => name);
    const settings = {
      idle_s: idleMs / 1_000,
      changes: count,
      heartbeat,
      default_set: set.length,
      failed: failed.join(" ") || "none",
      undriven: "none",
    };
    const figure = figuresOf("beacons", settings);
    const undriven: string[] = [];
    const without = idle.get(nobody)!;
    const figures = [
      figure("without.cpu_pct", without.cpuPercent, "% of a core"),
      figure("without.private_mb", without.privateBytes / 1e6, "MB"),
      figure("default_set.cpu_pct", idle.get(everybody)!.cpuPercent, "% of a core", 1),
      figure("default_set.more_mb", (idle.get(everybody)!.privateBytes - without.privateBytes) / 1e6, "MB"),
    ];
    for (const type of chosen) {
      const own = idle.get(type)!;
      figures.push(
        figure(`${type}.idle_cpu_pct`, own.cpuPercent, "% of a core"),
        figure(`${type}.idle_more_mb`, (own.privateBytes - without.privateBytes) / 1e6, "MB"),
      );
      const busy = await busyWith(bed, type, { count, driven });
      if (typeof busy === "string") {
        undriven.push(`${type} (${busy})`);
        continue;
      }
      const { note } = busy;
      figures.push(
        figure(`${type}.busy_cpu_pct`, busy.cpuPercent, "% of a core"),
        figure(`${type}.busy_more_mb`, (busy.privateBytes - without.privateBytes) / 1e6, "MB"),
        figure(`${type}.busy_changes_s`, busy.changesPerSecond, "/s"),
        { ...figure(`${type}.told_p50_ms`, quantile(busy.tookMs, 0.5), "ms"), note },
        { ...figure(`${type}.told_p99_ms`, quantile(busy.tookMs, 0.99), "ms"), note },
      );
    }
    settings.undriven = undriven.join("; ") || "none";
    return figures;
  } finally {
    await endAll(bed, driven);
  }
}

interface Options {
  count?: number | undefined;
  types?: string[] | undefined;
}

interface Used extends Memory {
  cpuPercent: number;
}

interface Busy extends Used {
  changesPerSecond: number;
  /** From before each change to the master's having its events. */
  tookMs: number[];
  /** What is in that. */
  note: string;
}

function readyDefinitions(): BeaconDefinition[] {
  const folder = join(import.meta.dirname, "..", "beacons");
  return readdirSync(folder).flatMap((file) => {
    const loaded = loadBeacons(file, readFileSync(join(folder, file), "utf8"));
    return loaded.ok ? loaded.beacons.map(({ definition }) => definition) : [];
  });
}

async function startAll(bed: Testbed, names: readonly string[]): Promise<void> {
  const left = [...names];
  const one = async () => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) await bed.addAgent(name);
  };
  await Promise.all(Array.from({ length: startsAtOnce }, one));
}

/** What each of them takes over the same time. */
async function usageOver(bed: Testbed, names: readonly string[], forMs: number): Promise<Map<string, Used>> {
  const pids = names.map((name) => ({ name, pid: bed.agents.get(name)!.pid }));
  const from = performance.now();
  const before = pids.map(({ pid }) => spentBy(pid));
  await delay(forMs);
  const tookS = (performance.now() - from) / 1_000;
  return new Map(
    pids.map(({ name, pid }, index) => [name, { cpuPercent: (100 * (spentBy(pid) - before[index]!)) / tookS, ...memoryOf(pid) }]),
  );
}

/** With what the programs take that it starts. */
function spentBy(pid: number): number {
  return cpuSecondsOf(pid) + childrenCpuSecondsOf(pid);
}

/** A text: why nobody can change what it watches here. */
async function busyWith(
  bed: Testbed,
  type: BeaconType,
  { count, driven }: { count: number; driven: DrivenBeacon[] },
): Promise<Busy | string> {
  const beacon = await drive(bed, { type, agent: type, rows: { ...drivers, ...machineDrivers } });
  if (typeof beacon === "string") return beacon;
  driven.push(beacon);
  const { driver, agent, name } = beacon;
  if (!bed.agents.has(agent)) await bed.addAgent(agent);
  await bed.client.reload();
  await bed.watching(agent, name);
  await driver.begin?.();
  const told = new Told(bed.client, agent, [beacon]);
  try {
    const { pid } = bed.agents.get(agent)!;
    const from = performance.now();
    const before = spentBy(pid);
    const tookMs = isClockwork(driver) ? await comeDue(beacon, driver) : await changed(beacon, driver, { told, count });
    if (tookMs.length === 0) return "no change was told in time";
    const tookS = (performance.now() - from) / 1_000;
    return {
      ...{ tookMs, note: noteOf(beacon, tookMs.length), changesPerSecond: tookMs.length / tookS },
      ...{ cpuPercent: (100 * (spentBy(pid) - before)) / tookS, ...memoryOf(pid) },
    };
  } finally {
    await told.stop();
  }
}

/**
 * As often as there is time for, and on to how it was before: what a change takes of the machine the next type must not miss. It ends with one that
 * is not told: others may keep the machine busy, so that its own load never falls.
 */
async function changed(beacon: DrivenBeacon, driver: Driver, { told, count }: { told: Told; count: number }): Promise<number[]> {
  const from = performance.now();
  const tookMs: number[] = [];
  for (let number = 0; number % 2 === 1 || (number < count && performance.now() < from + busyMsMax); number++) {
    const before = new Map(told.counts.get(beacon.name));
    const wanted = new Map<string, number>();
    const changes = Date.now();
    for (const key of await driver.change(number)) wanted.set(key, (wanted.get(key) ?? before.get(key) ?? 0) + 1);
    if (!(await told.until(beacon.name, wanted, new AbortController().signal))) {
      if (number % 2 === 0) await driver.change(number + 1);
      return tookMs;
    }
    if (number % 2 === 0 || driver.endsUnmeasured !== true) tookMs.push(Date.parse(beacon.last!.received) - changes);
    await delay(pauseMs);
  }
  return tookMs;
}

/** What the clock brings: nobody makes it. */
async function comeDue(beacon: DrivenBeacon, driver: Clockwork): Promise<number[]> {
  const tookMs: number[] = [];
  for (let from = Date.now(); tookMs.length < dueTimes;) {
    const giveUp = performance.now() + dueMsMax;
    while (beacon.last === undefined || driver.dueOf(beacon.last) < from) {
      if (performance.now() > giveUp) throw new Error(`${beacon.type}: what was due was not told`);
      await delay(pauseMs);
    }
    const due = driver.dueOf(beacon.last);
    tookMs.push(Date.parse(beacon.last.received) - due);
    from = due + 1;
  }
  return tookMs;
}

/** What passes until a change can be told, as the beacon's definition has it. */
function noteOf({ type, name, driver }: DrivenBeacon, changes: number): string {
  const checked = checkBeacon({ ...driver.options, name, type });
  if (!checked.ok) throw new Error(checked.message);
  const { interval, settle } = checked.definition as Partial<Record<"interval" | "settle", string>>;
  // Where the driver does not say it, it is of something else than what is changed.
  const lasts = driver.options["for"] as string | undefined;
  const hears = interval === undefined || driver.hears === true;
  return [
    `${changes} changes`,
    hears ? "no interval" : `looks every ${interval}`,
    ...(lasts === undefined ? [] : [`for ${lasts}`]),
    ...(settle === undefined ? [] : [`settle ${settle}`]),
    ...(driver.delays === undefined ? [] : [driver.delays]),
  ].join(", ");
}

/** What starts an agent where a driver has a host for it. */
function throughTo(driven: readonly DrivenBeacon[], name: string): string[] {
  return driven.find(({ agent }) => name === agent || name === `join-${agent}`)?.driver.host?.through ?? [];
}
