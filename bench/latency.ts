/**
 * A managed file is written; how long until it is back? Both processes on one machine, journal and store synced with FULL, CURVE on.
 * The hops come from the events' own times.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { Testbed, until } from "../test/testbed.ts";
import { hops } from "./hops.ts";
import { quantile } from "./quantile.ts";
import { content, restoreOnce } from "./restore.ts";
import { syncFloor } from "./sync-floor.ts";
import type { Figure } from "./figure.ts";

const changesDefault = 100;
/** Until the write-ahead logs have come round once and are written over: a long-running master does not extend its files with each commit. */
const warmUp = 100;
const pauseMs = 10;

const desired = `# managed\n${"a line of a configuration file = value\n".repeat(25)}`;

export async function latency({ count = changesDefault }: { count?: number | undefined }): Promise<Figure[]> {
  let file = "";
  const bed = await Testbed.start({}, (made) => {
    file = made.manage("bench.conf", { content: desired });
    for (const kind of ["reactors", "beacons"]) {
      const text = readFileSync(new URL(`../${kind}/managed-files.yaml`, import.meta.url), "utf8");
      // Nobody breaks a file so often.
      writeFileSync(made.path(kind, "managed-files.yaml"), text.replace(/^limits: .*$/m, "limits: { breaker: off }"));
    }
  });
  try {
    await bed.addAgent("bench");
    await until("the file is in place", () => content(file) === desired);
    const totals: number[] = [];
    for (let change = 0; change < warmUp + count; change++) {
      const took = await restoreOnce({ file, desired, change, pauseMs });
      if (change >= warmUp) totals.push(took);
    }
    const floor = await syncFloor(bed.dir, { rounds: count, pauseMs });
    return [...figures(totals, floor), ...(await hops(bed, { bench: "latency", reactor: "managed-files", count }))];
  } finally {
    await bed.stop();
  }
}

function figures(totals: number[], floor: number[]): Figure[] {
  const settings = {
    changes: totals.length,
    warm_up: warmUp,
    pause_ms: pauseMs,
    synchronous: "FULL",
    encryption: "CURVE",
    bytes: desired.length,
  };
  const p50 = quantile(totals, 0.5);
  const floorP50 = quantile(floor, 0.5);
  return [
    { bench: "latency", metric: "p50", value: p50, unit: "ms", aim: 5, settings },
    { bench: "latency", metric: "p90", value: quantile(totals, 0.9), unit: "ms", settings },
    { bench: "latency", metric: "p99", value: quantile(totals, 0.99), unit: "ms", aim: 15, settings },
    {
      bench: "latency",
      metric: "sync_floor_p50",
      value: floorP50,
      unit: "ms",
      settings: { ...settings, what: "the four synced writes alone, one process" },
    },
    { bench: "latency", metric: "p50_over_floor", value: p50 / floorP50, unit: "x", settings },
  ];
}
