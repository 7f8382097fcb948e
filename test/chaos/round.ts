/** One round: a house, a stream of numbered things, the faults of a plan; then everything settles, and is counted. */
import { setTimeout as delay } from "node:timers/promises";
import type { EventsView } from "@needfire/shared/api";
import { errorText } from "@needfire/shared/errors";
import { Chance } from "../chance.ts";
import { type Count, countRound, endedStates, type Observed } from "./count.ts";
import { faults } from "./faults/faults.ts";
import type { Fault } from "./faults/fault.ts";
import { House } from "./house.ts";
import { closingNumbers, Load } from "./load.ts";
import { agentNames, type Planned, type PlanOptions, planRound } from "./plan.ts";

/** From the end of the last fault until everything has flowed. */
const settleMsMax = 60_000;
const settlePollMs = 300;

export interface RoundOptions extends PlanOptions {
  /** Ends it early, and takes everything away. */
  signal: AbortSignal;
}

export interface Struck extends Planned {
  /** When it began and ended, in ms of the round. */
  fromMs?: number;
  toMs?: number;
  note?: string;
}

export interface RoundReport {
  seed: number;
  round: number;
  faults: Struck[];
  count: Count | undefined;
  mismatches: string[];
  tookMs: number;
  settledMs: number;
  /** Kept when something did not fit. */
  directory: string | undefined;
}

export async function runRound({ signal, ...options }: RoundOptions): Promise<RoundReport> {
  const begun = performance.now();
  const { seed, round, pace, means } = options;
  const plan: Struck[] = planRound(options);
  const numbers = Math.ceil((pace.loadMs + pace.faultMsMax) / pace.pauseMs) + closingNumbers;
  const house = new House({
    agents: agentNames(pace),
    numbers,
    network: means.network === undefined,
    disks: means.disks === undefined,
    clocks: plan.some(({ fault, skipped }) => fault === "clock" && skipped === undefined),
  });
  const report: RoundReport = {
    seed,
    round,
    faults: plan,
    count: undefined,
    mismatches: [],
    tookMs: 0,
    settledMs: 0,
    directory: undefined,
  };
  try {
    await house.start();
    const load = new Load(house, new Chance(Math.imul(seed, 7) + round), numbers);
    await strikeAll(house, load, plan, { pace, signal });
    const calm = performance.now();
    const settled = await settle(house, load, signal);
    report.settledMs = performance.now() - calm;
    if (signal.aborted) return report;
    report.count = countRound(observe(house, load, settled));
    report.mismatches = [...report.count.mismatches, ...house.surprises];
  } catch (error) {
    if (!signal.aborted) report.mismatches.push(errorText(error));
  } finally {
    const keep = report.mismatches.length > 0;
    if (keep) report.directory = house.directory;
    await house.stop({ keep });
    report.tookMs = performance.now() - begun;
  }
  return report;
}

/** Makes the load, and the faults at their times; resolves when all of them are over. */
async function strikeAll(house: House, load: Load, plan: Struck[], { pace, signal }: Pick<RoundOptions, "pace" | "signal">): Promise<void> {
  const enough = new AbortController();
  const stop = AbortSignal.any([enough.signal, signal]);
  const loading = load.run(stop, pace.pauseMs);
  const begun = performance.now();
  const minimum = delay(pace.loadMs, undefined, { signal }).catch(() => {});
  await Promise.all(
    plan
      .filter(({ skipped }) => skipped === undefined)
      .map(async (planned) => {
        await delay(planned.atMs, undefined, { signal }).catch(() => {});
        if (signal.aborted) return;
        const fault: Fault = faults[planned.fault];
        planned.fromMs = performance.now() - begun;
        planned.note = await fault.strike({
          house,
          chance: new Chance(planned.seed),
          target: planned.target,
          lengthMs: planned.lengthMs,
          signal,
        });
        planned.toMs = performance.now() - begun;
      }),
  );
  await minimum;
  enough.abort();
  await loading;
}

interface Settled extends Pick<EventsView, "missing"> {
  events: Observed["events"];
  tasks: Observed["tasks"];
}

/** Until a new number of each agent is in the journal, every task has ended, and nothing comes any more; or until it has taken too long. */
async function settle(house: House, load: Load, signal: AbortSignal): Promise<Settled> {
  const giveUp = AbortSignal.any([AbortSignal.timeout(settleMsMax), signal]);
  const look = async (): Promise<Settled> => {
    const [{ events, missing }, { tasks }] = await Promise.all([
      house.bed.client.events({ limit: 10_000 }),
      house.bed.client.tasks({ limit: 10_000 }),
    ]);
    return { events, missing, tasks };
  };
  await load.close(async (agent, from) => {
    const { events } = await house.bed.client.events({ agent, type: "file.created", limit: 50 }).catch(() => ({ events: [] }));
    return events.some(({ subject = "" }) => subject.startsWith(house.folder(agent)) && Number(subject.slice(-5)) >= from);
  }, giveUp);
  let seen = await look();
  while (!giveUp.aborted) {
    await delay(settlePollMs);
    const now = await look();
    const quiet = now.events.length === seen.events.length && now.tasks.every(({ state }) => endedStates.has(state));
    seen = now;
    if (quiet && isTold(now)) break;
  }
  return seen;
}

/** What is missing by now is told soon. */
function isTold({ missing, events }: Settled): boolean {
  const told = new Set(events.filter(({ type }) => type === "journal.partition_damaged").map(({ data }) => data["partition"]));
  return missing.every(({ partition }) => told.has(partition));
}

function observe(house: House, load: Load, { events, tasks }: Settled): Observed {
  const hosts = house.agents.map((agent) => ({
    agent,
    folder: house.folder(agent),
    files: load.files.get(agent)!,
    lives: house.lives.get(agent)!,
    destroyed: house.destroyed.get(agent)!,
    ran: house.ran(agent),
  }));
  return { hosts, sent: load.sent, events, tasks, spoiled: house.spoiled };
}
