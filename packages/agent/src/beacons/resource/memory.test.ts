import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { definition, Fixture } from "../fixture.ts";
import { readMemorySpace } from "./memory-space.ts";

test("memory that a real program takes is told, with the program, and that it is free again", { timeout: 120_000 }, async (t) => {
  const f = new Fixture();
  t.after(() => f.end());
  const { total, available } = readMemorySpace();
  const percent = ((total - available) / total) * 100;
  // So much that what other programs take meanwhile does not matter.
  const bytes = Math.floor(total * 0.06);
  const hog = spawn(process.execPath, ["-e", `globalThis.x = Buffer.alloc(${bytes}, 1); setInterval(() => 0, 1000)`], { stdio: "ignore" });
  t.after(() => hog.kill("SIGKILL"));
  await f.beacons.apply([definition({ type: "memory", above: percent + 4, clear_below: percent + 3, for: "50ms", interval: "100ms" })]);
  const high = await f.next();
  const data = high.data as unknown as { percent: number; total_bytes: number; processes: { pid: number; memory_bytes: number }[] };
  assert.deepEqual([high.type, data.total_bytes], ["memory.high", total]);
  assert.ok(data.percent > percent + 4);
  const named = data.processes.find(({ pid }) => pid === hog.pid);
  // It may still be taking more.
  assert.ok(named !== undefined && named.memory_bytes > bytes * 0.5, JSON.stringify(data.processes));
  hog.kill("SIGKILL");
  assert.equal((await f.next()).type, "memory.normal");
});
