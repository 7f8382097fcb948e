import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { definition, Fixture } from "../fixture.ts";

test("a real load raises once and clears once", { timeout: 120_000 }, async (t) => {
  const f = new Fixture();
  const loads: ChildProcess[] = [];
  t.after(async () => {
    for (const load of loads) load.kill("SIGKILL");
    await f.end();
  });
  // The machine has other work, too: all cores busy is certain, none busy is not. What comes after the end of the load is compared with
  // a threshold that only a load on all cores is over.
  for (let i = 0; i < availableParallelism(); i++) loads.push(spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }));
  await f.beacons.apply([definition({ type: "cpu", above: 97, clear_below: 96, for: "400ms", interval: "200ms" })]);
  const high = await f.next();
  assert.equal(high.type, "cpu.high");
  const data = high.data as unknown as {
    percent: number;
    lasted_ms: number;
    cores: number;
    processes: { pid: number; cpu_percent: number }[];
  };
  assert.ok(data.percent > 97 && data.lasted_ms >= 400 && data.cores === availableParallelism());
  assert.ok(data.processes.length > 0 && data.processes.every(({ cpu_percent: percent }) => percent > 0));
  // The machine may have others that take more.
  const least = data.processes.at(-1)!.cpu_percent;
  assert.ok(data.processes.length === 5 || loads.some(({ pid }) => data.processes.some((each) => each.pid === pid)), String(least));
  for (const load of loads) load.kill("SIGKILL");
  const normal = await f.next();
  assert.equal(normal.type, "cpu.normal");
  assert.equal(f.events.length, 2);
});

test("it stops at once", async (t) => {
  const f = new Fixture();
  t.after(() => f.end());
  await f.beacons.apply([definition({ type: "cpu", above: 0, interval: "1h" })]);
  await f.beacons.stop();
});
