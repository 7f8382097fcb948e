import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { definition, Fixture } from "../fixture.ts";

const skip = existsSync("/proc/pressure/cpu") ? false : "this kernel tells no pressure (CONFIG_PSI)";

test("more to do than there are cores is told as pressure", { skip, timeout: 120_000 }, async (t) => {
  const f = new Fixture();
  t.after(() => f.end());
  for (let i = 0; i < availableParallelism() * 2; i++) {
    const spinning = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
    t.after(() => spinning.kill("SIGKILL"));
  }
  await f.beacons.apply([
    definition({ type: "pressure", name: "cpu", resource: "cpu", average: "10s", above: 1, for: "0s", interval: "100ms" }),
    definition({ type: "pressure", name: "all", resource: "cpu", stalled: "full", above: 99, for: "0s", interval: "100ms" }),
  ]);
  const { type, beacon, data } = await f.next();
  const told = data as unknown as { resource: string; stalled: string; percent: number; total_us: number };
  assert.deepEqual([type, beacon, told.resource, told.stalled], ["pressure.high", "cpu", "cpu", "some"]);
  assert.ok(told.percent > 1 && told.total_us > 0);
});
