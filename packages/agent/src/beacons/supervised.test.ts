import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { BeaconContext, RunningBeacon } from "./beacon.ts";
import { definition, Fixture } from "./fixture.ts";

const load = definition({ type: "cpu", name: "load", above: 50 });

/** A beacon whose lives are told, and that fails at its start as long as it is told to. */
async function supervised(t: TestContext, options: { fails?: () => Error | undefined } = {}) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const lives: BeaconContext[] = [];
  const fixture = new Fixture({
    start: (_, context): RunningBeacon => {
      lives.push(context);
      const error = options.fails?.();
      if (error !== undefined) throw error;
      return { ready: Promise.resolve(), stop: () => Promise.resolve() };
    },
  });
  t.after(() => fixture.end());
  await fixture.beacons.apply([load]);
  const told = () => fixture.events.map(({ type, data }) => [type, data["message"]]);
  const health = () => fixture.beacons.list()[0]?.health;
  /** Lets time pass, and what comes of it. */
  const pass = async (ms: number) => {
    t.mock.timers.tick(ms);
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
  };
  return { fixture, lives, told, health, pass };
}

test("one that fails is started again after ever longer waits, told once, and told as recovered when it has watched for a while", async (t) => {
  let error: Error | undefined = new Error("no such sensor");
  const { lives, told, health, pass, fixture } = await supervised(t, { fails: () => error });
  assert.deepEqual(
    [lives.length, told(), health()],
    [1, [["beacon.failed", "no such sensor"]], { state: "failed", message: "no such sensor" }],
  );
  for (const [wait, starts] of [
    [999, 1],
    [300, 2],
    [1_900, 2],
    [600, 3],
    [3_900, 3],
    [1_000, 4],
  ] as const) {
    await pass(wait);
    assert.equal(lives.length, starts, `after ${wait} ms more`);
  }
  assert.equal(told().length, 1);
  error = undefined;
  await pass(10_000);
  assert.deepEqual([lives.length, health()], [5, { state: "watching" }]);
  assert.equal(told().length, 1);
  await pass(12_000);
  assert.deepEqual(told()[1], ["beacon.recovered", "no such sensor"]);
  // What comes now is a new trouble, with short waits again.
  lives.at(-1)!.fail(new Error("no such sensor"));
  assert.deepEqual([told().length, (fixture.events[2]!.data["retry_ms"] as number) < 1_300], [3, true]);
});

test("each wait is five minutes at most", async (t) => {
  const { lives, pass } = await supervised(t, { fails: () => new Error("never") });
  for (let i = 0; i < 12; i++) await pass(360_000);
  assert.equal(lives.length, 13);
});

test("another message is told; an old life's failure is not the new one's", async (t) => {
  const { lives, told, pass, health } = await supervised(t);
  lives[0]!.fail(new Error("first"));
  assert.ok(lives[0]!.signal.aborted);
  await pass(1_300);
  assert.equal(lives.length, 2);
  lives[0]!.fail(new Error("late"));
  assert.deepEqual(health(), { state: "watching" });
  lives[1]!.fail(new Error("second"));
  assert.deepEqual(told(), [
    ["beacon.failed", "first"],
    ["beacon.failed", "second"],
  ]);
});

test("what it cannot see is told when it changes, and when it sees everything again", async (t) => {
  const { lives, told, health } = await supervised(t);
  const [context] = lives;
  context!.degraded("wtmp cannot be read");
  context!.degraded("wtmp cannot be read");
  assert.deepEqual(health(), { state: "degraded", message: "wtmp cannot be read" });
  context!.degraded("btmp cannot be read");
  context!.degraded(undefined);
  context!.degraded(undefined);
  assert.deepEqual(told(), [
    ["beacon.degraded", "wtmp cannot be read"],
    ["beacon.degraded", "btmp cannot be read"],
    ["beacon.recovered", "btmp cannot be read"],
  ]);
  assert.deepEqual(health(), { state: "watching" });
});

test("a stopped beacon is not started again", async (t) => {
  const { fixture, lives, pass } = await supervised(t, { fails: () => new Error("never") });
  await fixture.beacons.apply([]);
  await pass(10_000);
  assert.deepEqual([lives.length, fixture.beacons.list()], [1, []]);
});

test("an error that nobody caught, in a timer, a promise or a socket of a beacon, is that beacon's failure; any other ends the process", async () => {
  const script = `
    import net from "node:net";
    import { Fixture, definition } from ${JSON.stringify(join(import.meta.dirname, "fixture.ts"))};
    const throwing = {
      timer: () => void setTimeout(() => { throw new Error("in a timer"); }, 1),
      promise: () => void (async () => { await null; throw new Error("in a promise"); })(),
      socket: () => void net.connect(1, "127.0.0.1"),
      quiet: () => undefined,
    };
    const fixture = new Fixture({ start: ({ name }) => { throwing[name](); return { ready: Promise.resolve(), stop: async () => undefined }; } });
    process.on("uncaughtException", (error) => {
      if (fixture.beacons.takeUncaught(error)) return;
      console.log("fatal", error.message, JSON.stringify(fixture.beacons.list().map(({ name, health }) => [name, health.message ?? health.state])));
      process.exit(7);
    });
    await fixture.beacons.apply(Object.keys(throwing).map((name) => definition({ type: "cpu", name, above: 1 })));
    await fixture.until(() => fixture.events.length === 3, "three failures");
    setTimeout(() => { throw new Error("of nobody"); }, 1);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += String(chunk)));
  const [code] = (await once(child, "close")) as [number];
  assert.equal(code, 7);
  assert.match(said, /^fatal of nobody /);
  assert.deepEqual(JSON.parse(said.slice("fatal of nobody ".length)), [
    ["timer", "in a timer"],
    ["promise", "in a promise"],
    ["socket", "connect ECONNREFUSED 127.0.0.1:1"],
    ["quiet", "watching"],
  ]);
});
