/**
 * A critical event under flood (P8): a managed file is written on a real agent, and how long until it is back; idle first, then while
 * simulated agents keep their whole credit of low events on its way all the time. In the end everything offered must be there, once.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Testbed, until } from "../test/testbed.ts";
import type { Figure } from "./figure.ts";
import { Fleet } from "./fleet.ts";
import { hops } from "./hops.ts";
import { quantile } from "./quantile.ts";
import { content, restoreOnce } from "./restore.ts";
import { syncFloor } from "./sync-floor.ts";

const changesDefault = 300;
const warmUp = 100;
const pauseMs = 10;
const floodAgents = 20;
/** Of the process that makes the flood: on two cores it would else take from the master and the agent what it is to measure. */
const nice = 10;
/** From the flood's beginning until it stands. */
const riseMs = 1_000;
const drainS = 120;
const changeWaitMs = 30_000;
/** The API's limit; what is not of the flood must fit it to be counted. */
const listMax = 10_000;

const desired = `# managed\n${"a line of a configuration file = value\n".repeat(25)}`;
const noise = {
  type: "bench.noise",
  severity: "low" as const,
  subject: "/var/log/bench.log",
  data: { line: "x".repeat(180), number: 4_711 },
};

const beacon = "name: critical-files\ntype: file\nmanaged: true\nsettle: 0ms\nseverity: critical\n";
const reactor = `name: critical-files
on: file.drifted
priority: critical
limits: { breaker: off }
do:
  - file.restore: { path: "\${{ event.subject }}" }
`;

export async function flood({ count = changesDefault }: { count?: number | undefined }): Promise<Figure[]> {
  let file = "";
  const bed = await Testbed.start({ heartbeat: "5s", master: "log_level: warn" }, (made) => {
    file = made.manage("bench.conf", { content: desired });
    made.beacon("critical-files", beacon);
    made.reactor("critical-files", reactor);
  });
  let fleet: Fleet | undefined;
  try {
    await bed.addAgent("bench");
    await until("the file is in place", () => content(file) === desired);
    let change = 0;
    const measure = async (times: number): Promise<number[]> => {
      const took: number[] = [];
      for (let round = 0; round < times; round++)
        took.push(await restoreOnce({ file, desired, change: change++, pauseMs, waitMs: changeWaitMs }));
      return took;
    };
    await measure(warmUp);
    const idle = await measure(count);
    const { join_string: joinString } = await bed.client.createToken({ uses: floodAgents });
    fleet = Fleet.start({ joinString, agents: floodAgents, nice });
    await fleet.until("joined", floodAgents, drainS);
    fleet.flood(noise);
    await delay(riseMs);
    const [before, from] = [fleet.total("acknowledged"), performance.now()];
    const flooded = await measure(count);
    const perSecond = ((fleet.total("acknowledged") - before) / (performance.now() - from)) * 1_000;
    const floor = await syncFloor(bed.dir, { rounds: count, pauseMs });
    const slowest = await hops(bed, { bench: "flood", reactor: "critical-files", count, shares: [0.5, 0.99] });
    const counted = await drain(bed, fleet);
    const settings = {
      changes: count,
      warm_up: warmUp,
      pause_ms: pauseMs,
      flooding_agents: floodAgents,
      credit_events: "the whole, all the time",
      bytes: JSON.stringify(noise).length,
      generators: `${fleet.processes} on the same machine, nice ${nice}`,
      synchronous: "FULL",
      encryption: "CURVE",
    };
    const figure = (metric: string, value: number, unit: string, aim?: number, what?: string): Figure => ({
      bench: "flood",
      metric,
      value,
      unit,
      settings: what === undefined ? settings : { ...settings, what },
      ...(aim === undefined ? {} : { aim }),
    });
    return [
      figure("critical_p99", quantile(flooded, 0.99), "ms", 50),
      figure("critical_p50", quantile(flooded, 0.5), "ms"),
      figure("idle_p99", quantile(idle, 0.99), "ms"),
      figure("idle_p50", quantile(idle, 0.5), "ms"),
      figure("critical_p99_over_idle", quantile(flooded, 0.99) / quantile(idle, 0.99), "x", 3),
      figure("low_events_per_s", perSecond, "events/s"),
      figure("low_events_offered", counted.offered, "events"),
      figure("low_events_lost", Math.max(0, counted.offered - counted.kept), "events", 1),
      figure("low_events_twice", Math.max(0, counted.kept - counted.offered), "events", 1),
      figure("critical_events", counted.critical, "events"),
      figure("critical_without_task", counted.unanswered, "events", 1),
      figure(
        "sync_floor_p99",
        quantile(floor, 0.99),
        "ms",
        undefined,
        "the reaction's four synced writes alone, one process, in the flood",
      ),
      figure("critical_p99_over_floor", quantile(flooded, 0.99) / quantile(floor, 0.99), "x"),
      ...slowest,
    ];
  } finally {
    fleet?.stop();
    await bed.stop();
  }
}

/** `critical`: file.drifted, at least one for each change. `unanswered`: those of them that have no task, or one that has not ended. */
interface Counted {
  offered: number;
  kept: number;
  critical: number;
  unanswered: number;
}

/** Lets everything arrive, and counts what the journal has of the flood. */
async function drain(bed: Testbed, fleet: Fleet): Promise<Counted> {
  fleet.calm();
  let offered = -1;
  // Steady once no process is in the middle of a batch any more.
  while (offered !== fleet.total("offered")) {
    offered = fleet.total("offered");
    await delay(500);
  }
  await fleet.until("acknowledged", offered, drainS);
  const { counts } = await bed.client.count({ by: "type", type: noise.type });
  const kept = counts.reduce((sum, { events }) => sum + events, 0);
  const critical = (await bed.client.events({ type: "file.drifted", limit: listMax })).events;
  const { tasks } = await bed.client.tasks({ reactor: "critical-files", limit: listMax });
  // A change that comes before the last one was verified makes that task end as not resolved; an end it has all the same.
  const answered = new Set(
    tasks.filter(({ state }) => state === "resolved" || state === "escalated" || state === "expired").map(({ event }) => event),
  );
  return { offered, kept, critical: critical.length, unanswered: critical.filter(({ id }) => !answered.has(id)).length };
}
