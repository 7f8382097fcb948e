/** With real processes: copies of `sleep` and `sh` under names that nobody else has. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { definition, Fixture } from "../fixture.ts";
import { processTable } from "./process-table.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";

interface Told {
  count: number;
  what: string;
  value: number;
  pid: number;
  pid_before: number;
  processes: [{ pid: number; name: string; parent: number; cpu_percent: number }];
}

let made = 0;

/** A directory with a program of its own name. */
function programs(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "needfire-process-"));
  const name = `nf${process.pid}x${++made}`;
  const running = new Set<ChildProcess>();
  copyFileSync("/bin/sleep", join(dir, name));
  copyFileSync("/bin/sh", join(dir, `${name}sh`));
  t.after(() => {
    for (const child of running) child.kill("SIGKILL");
    rmSync(dir, { recursive: true });
  });
  const run = async (program: string, ...argv: string[]) => {
    const child = spawn(program, argv, { stdio: "ignore" });
    running.add(child);
    await once(child, "spawn");
    return child;
  };
  return {
    ...{ dir, name, run },
    start: () => run(join(dir, name), "1000"),
    end: async (child: ChildProcess) => {
      child.kill("SIGKILL");
      await once(child, "exit");
      running.delete(child);
    },
  };
}

function watching(t: TestContext, memory: MemoryStore = forgetfulStore()) {
  const f = new Fixture({ memory });
  t.after(() => f.end());
  const apply = (...options: Record<string, unknown>[]) =>
    f.beacons.apply(options.map((each) => definition({ type: "process", interval: "100ms", for: "0ms", ...each })));
  const next = async () => {
    const { type, subject, cause, data } = await f.next();
    return { is: `${type} ${subject}`, cause, data: data as unknown as Told };
  };
  return { f, apply, next };
}

test("missing at the first look, present, too many, and as it should be again: once each, by name", async (t) => {
  const { name, start, end } = programs(t);
  const { f, apply, next } = watching(t);
  await apply({ names: [name], max: 1 });
  assert.deepEqual(await next(), {
    is: "process.missing test",
    cause: undefined,
    data: { count: 0, min: 1, max: 1, lasted_ms: 0, processes: [] },
  });
  const first = await start();
  const present = await next();
  assert.equal(present.is, "process.present test");
  assert.deepEqual([present.data.processes[0].pid, present.data.processes[0].name], [first.pid, name]);
  assert.equal(present.data.processes[0].parent, process.pid);
  const second = await start();
  assert.equal((await next()).is, "process.many test");
  await end(second);
  assert.equal((await next()).is, "process.present test");
  assert.equal(f.events.length, 4);
});

test("few, by command line and user; what must not run is told when it does", async (t) => {
  const { name, start, end } = programs(t);
  const { apply, next } = watching(t);
  const mine = String(process.getuid!());
  const one = await start();
  await apply(
    { name: "some", command: `${name} 1000$`, users: [mine], min: 2 },
    { name: "never", names: [`${name}*`], min: 0, max: 0 },
    { name: "others", command: `${name} 1000$`, users: ["nobody-of-that-name"], min: 0, max: 0 },
  );
  const first = [await next(), await next()].toSorted((a, b) => (a.is < b.is ? -1 : 1));
  assert.deepEqual(
    first.map(({ is, data }) => [is, data.count]),
    [
      ["process.few some", 1],
      ["process.many never", 1],
    ],
  );
  await end(one);
  const then = [(await next()).is, (await next()).is];
  assert.deepEqual(new Set(then), new Set(["process.missing some", "process.present never"]));
});

test("by pid file: what it names runs, or is another process now, or is gone", async (t) => {
  const { dir, name, start, end } = programs(t);
  const { apply, next } = watching(t);
  const file = join(dir, "pid");
  const one = await start();
  writeFileSync(file, ` ${one.pid}\n`);
  await apply({ pid_file: file, names: [name], restarts: true });
  await end(one);
  assert.equal((await next()).is, "process.missing test");
  const two = await start();
  writeFileSync(file, String(two.pid));
  assert.equal((await next()).is, "process.present test", "one that was missing has not restarted");
  writeFileSync(file, String(process.pid));
  assert.equal((await next()).is, "process.missing test", "another program has that number");
});

test("a process that was replaced is told as restarted, also when the agent was down; workers that come and go are not", async (t) => {
  const { name, start, end } = programs(t);
  const memory = forgetfulStore();
  const { f, apply, next } = watching(t, memory);
  const options = { names: [name], restarts: true, for: "1h" };
  const main = await start();
  const looked = async () => {
    const { scans } = processTable(f.remedies);
    await f.until(() => processTable(f.remedies).scans > scans + 1, "a look");
  };
  const worker = await start();
  await apply(options);
  await end(worker);
  await looked();
  const later = await start();
  await looked();
  await end(later);
  await looked();
  await end(main);
  const again = await start();
  const told = await next();
  assert.equal(told.is, "process.restarted test");
  assert.deepEqual([told.data.pid_before, told.data.pid], [main.pid, again.pid]);
  await f.beacons.stop();
  await end(again);
  const third = await start();
  const after = watching(t, memory);
  await after.apply(options);
  const toldAfter = await after.next();
  assert.deepEqual([toldAfter.is, toldAfter.data.pid_before, toldAfter.data.pid], ["process.restarted test", again.pid, third.pid]);
  assert.equal(f.events.length, 1);
});

test("what was told as missing is not told again after a restart of the agent, and its end is", async (t) => {
  const { name, start } = programs(t);
  const memory = forgetfulStore();
  const before = watching(t, memory);
  await before.apply({ names: [name] });
  assert.equal((await before.next()).is, "process.missing test");
  await before.f.beacons.stop();
  const { f, apply, next } = watching(t, memory);
  await apply({ names: [name] });
  f.beacons.restate();
  assert.equal((await next()).is, "process.missing test", "restated when asked");
  await start();
  assert.equal((await next()).is, "process.present test");
  assert.equal(f.events.length, 2);
});

test("processor time and memory over a threshold, together, with those that take most", async (t) => {
  const { dir, name, run, end } = programs(t);
  const { apply, next } = watching(t);
  const busy = await run(join(dir, `${name}sh`), "-c", "while :; do :; done");
  // What a machine with other work leaves to it is not known; that it is some is certain.
  await apply({
    names: [`${name}sh`],
    cpu_percent: { above: 2, clear_below: 0.1 },
    memory_bytes: { above: 1_000 },
    min: 0,
    interval: "500ms",
  });
  const events = [await next(), await next()].toSorted((a, b) => (a.data.what < b.data.what ? -1 : 1));
  assert.deepEqual(
    events.map(({ is, data }) => [is, data.what, data.processes[0].pid]),
    [
      ["process.high test", "cpu_percent", busy.pid],
      ["process.high test", "memory_bytes", busy.pid],
    ],
  );
  assert.ok(events[0]!.data.processes[0].cpu_percent > 2);
  assert.ok(events[1]!.data.value > 100_000 && events[1]!.data.value % 4_096 === 0);
  await end(busy);
  const ends = [await next(), await next()];
  assert.deepEqual(
    new Set(ends.map(({ is, data }) => `${is} ${data.what}`)),
    new Set(["process.normal test cpu_percent", "process.normal test memory_bytes"]),
  );
});

test("zombies are told, and do not count as running", async (t) => {
  const { dir, name, run, end } = programs(t);
  const { apply, next } = watching(t);
  // `sleep` takes no notice of children that it has from the shell that it was.
  const parent = await run("/bin/sh", "-c", `${dir}/${name} 0 & exec sleep 1000`);
  await apply({ names: [name], min: 0, max: 0, zombies: { above: 0 } });
  let told = await next();
  // It may have been seen alive, for a moment.
  while (told.is !== "process.zombie test") told = await next();
  assert.deepEqual([told.data.value, told.data.processes[0].parent], [1, parent.pid]);
  await end(parent);
  const normal = await next();
  assert.deepEqual([normal.is, normal.data.what], ["process.normal test", "zombies"]);
});

test("what a remedy does is judged when it has ended, with the remedy as cause", async (t) => {
  const { name, start, end } = programs(t);
  const { f, apply, next } = watching(t);
  const one = await start();
  await apply({ name: "held", names: [name] }, { name: "free", names: [name] });
  f.remedies.begin("t-1.1", { topic: "process", subject: "held" });
  await end(one);
  assert.deepEqual([(await next()).is, f.events.length], ["process.missing free", 1]);
  f.remedies.end("t-1.1");
  const told = await next();
  assert.deepEqual([told.is, told.cause], ["process.missing held", "t-1.1"]);
});

test("names with spaces, parentheses and line breaks, and longer than the kernel keeps, are read as they are", async (t) => {
  const { dir, start } = programs(t);
  const { apply, next } = watching(t);
  const odd = `) Z 1\n(${made} x`;
  const long = `${"long-name-".repeat(3)}${process.pid}`;
  for (const name of [odd, long]) copyFileSync("/bin/sleep", join(dir, name));
  const children = [spawn(join(dir, odd), ["1000"]), spawn(join(dir, long), ["1000"])];
  t.after(() => children.forEach((child) => child.kill("SIGKILL")));
  await start();
  await apply({ name: "odd", names: [`) Z*${made} x`], min: 0, max: 0 }, { name: "long", names: [long], min: 0, max: 0 });
  const told = [await next(), await next()].toSorted((a, b) => (a.is < b.is ? 1 : -1));
  assert.deepEqual(
    told.map(({ is }) => is),
    ["process.many odd", "process.many long"],
  );
  assert.equal(told[0]!.data.processes[0].name, odd);
});

test("many beacons that look at the same moment share one scan", async (t) => {
  const { f, apply } = watching(t);
  await apply(...Array.from({ length: 20 }, (_, i) => ({ name: `b${i}`, names: ["x"], min: 0, interval: "1h" })));
  assert.ok(processTable(f.remedies).scans < 5, `${processTable(f.remedies).scans} scans`);
});
