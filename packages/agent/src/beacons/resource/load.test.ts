import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { definition, Fixture } from "../fixture.ts";

test("a real load raises the average, of the machine as of a core", { timeout: 120_000 }, async (t) => {
  const f = new Fixture();
  t.after(() => f.end());
  const spinning = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
  t.after(() => spinning.kill("SIGKILL"));
  const common = { type: "load", average: "1m", for: "0s", interval: "100ms" };
  await f.beacons.apply([
    definition({ ...common, name: "machine", above: 0.05, per_core: false }),
    definition({ ...common, name: "core", above: 0.05 }),
    definition({ ...common, name: "never", above: 100_000 }),
  ]);
  await f.until(() => f.events.length >= 2, "both averages over the threshold");
  for (const { type, beacon, data } of f.events) {
    const { load, averages, cores } = data as { load: number; averages: number[]; cores: number };
    assert.deepEqual([type, cores, averages.length], ["load.high", availableParallelism(), 3]);
    const expected = averages[0]! / (beacon === "core" ? cores : 1);
    assert.ok(load > 0.05 && Math.abs(load - expected) <= 0.0051, JSON.stringify(data));
  }
  assert.deepEqual(new Set(f.events.map(({ beacon }) => beacon)), new Set(["core", "machine"]));
});
