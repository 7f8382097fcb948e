import assert from "node:assert/strict";
import { test } from "node:test";
import type { BeaconDefinition } from "@needfire/shared/beacon";
import type { BeaconContext, RunningBeacon } from "./beacon.ts";
import { definition, Fixture } from "./fixture.ts";

/** Beacons that only note what is done to them. */
function recorded(
  t: { after(end: () => Promise<void>): void },
  behave: (definition: BeaconDefinition, context: BeaconContext) => void = () => undefined,
) {
  const done: string[] = [];
  const contexts = new Map<string, BeaconContext>();
  const start = (wanted: BeaconDefinition, context: BeaconContext): RunningBeacon => {
    done.push(`start ${wanted.name}`);
    contexts.set(wanted.name, context);
    behave(wanted, context);
    return { ready: Promise.resolve(), stop: async () => void done.push(`stop ${wanted.name}`) };
  };
  const fixture = new Fixture({ start });
  t.after(() => fixture.end());
  return { fixture, done, contexts };
}

const cpu = (name: string, above = 50) => definition({ type: "cpu", name, above });

test("only what changed is restarted, what is gone is stopped", async (t) => {
  const { fixture, done } = recorded(t);
  await fixture.beacons.apply([cpu("a"), cpu("b"), cpu("c")]);
  assert.deepEqual(done.splice(0), ["start a", "start b", "start c"]);
  const { name, type, ...rest } = cpu("a");
  await fixture.beacons.apply([{ ...rest, type, name } as BeaconDefinition, cpu("b", 60)]);
  assert.deepEqual(done.splice(0).sort(), ["start b", "stop b", "stop c"]);
  assert.deepEqual(
    fixture.beacons.list().map(({ name, health }) => [name, health.state]),
    [
      ["a", "watching"],
      ["b", "watching"],
    ],
  );
});

test("calls side by side take their turns, and the last one holds", async (t) => {
  const { fixture, done } = recorded(t);
  await Promise.all([fixture.beacons.apply([cpu("a")]), fixture.beacons.apply([]), fixture.beacons.apply([cpu("b")])]);
  assert.deepEqual(done, ["start a", "stop a", "start b"]);
});

test("a beacon that throws at its start or later is told once; the others run; new definitions try it again at once", async (t) => {
  let broken = true;
  const { fixture, contexts, done } = recorded(t, ({ name }) => {
    if (name === "bad" && broken) throw new Error("no such sensor");
  });
  await fixture.beacons.apply([cpu("good"), cpu("bad"), cpu("late")]);
  contexts.get("late")?.fail(new Error("lost it"));
  contexts.get("late")?.fail(new Error("told twice"));
  assert.deepEqual(
    fixture.events.map(({ type, subject, data }) => [type, subject, data["message"]]),
    [
      ["beacon.failed", "bad", "no such sensor"],
      ["beacon.failed", "late", "lost it"],
    ],
  );
  assert.deepEqual(
    fixture.beacons.list().map(({ name, health }) => [name, health.state]),
    [
      ["good", "watching"],
      ["bad", "failed"],
      ["late", "failed"],
    ],
  );
  broken = false;
  done.length = 0;
  await fixture.beacons.apply([cpu("good"), cpu("bad"), cpu("late")]);
  assert.deepEqual(done, ["stop late", "start bad", "start late"]);
});

test("an event bears the beacon's name, its severity and the time; an event that cannot be taken does not end the beacon", async (t) => {
  const { fixture, contexts } = recorded(t);
  await fixture.beacons.apply([definition({ type: "cpu", name: "a", above: 1, severity: "critical" })]);
  contexts.get("a")?.emit({ type: "cpu.high", data: {} });
  const [event] = fixture.events;
  assert.ok(event !== undefined && Math.abs(event.time - Date.now()) < 60_000);
  assert.deepEqual({ ...event, time: 0 }, { type: "cpu.high", data: {}, beacon: "a", severity: "critical", time: 0 });
});

test("P4: what a beacon makes over its rate is left out, and told once for each window; other beacons are not touched", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { fixture, contexts } = recorded(t);
  await fixture.beacons.apply([definition({ type: "cpu", name: "wild", above: 1, rate: "3/10s" }), cpu("calm")]);
  const wild = contexts.get("wild")!;
  const told = () => fixture.events.filter(({ type }) => type === "beacon.limited");
  const taken = (beacon: string) => fixture.events.filter((event) => event.beacon === beacon && event.type !== "beacon.limited").length;
  for (let n = 1; n <= 6; n++) wild.emit({ type: n === 5 ? "cpu.normal" : "cpu.high", time: n, data: {} });
  contexts.get("calm")!.emit({ type: "cpu.high", data: {} });
  assert.deepEqual([taken("wild"), taken("calm"), told().length], [3, 1, 0]);
  t.mock.timers.tick(10_000);
  const [event, ...more] = told();
  assert.deepEqual(more, []);
  assert.deepEqual(
    [event?.beacon, event?.severity, event?.data],
    ["wild", "normal", { dropped: 3, types: { "cpu.high": 2, "cpu.normal": 1 }, from: 4, to: 6, limit: "3/10s" }],
  );
  for (let n = 7; n <= 9; n++) wild.emit({ type: "cpu.high", time: n, data: {} });
  t.mock.timers.tick(10_000);
  assert.deepEqual([taken("wild"), told().length], [6, 1]);
  for (let n = 10; n <= 13; n++) wild.emit({ type: "cpu.high", time: n, data: {} });
  await fixture.beacons.apply([cpu("calm")]);
  assert.equal(told().at(-1)?.data["dropped"], 1);
});

test("P8: a critical event passes whatever the rate, and uses none of it up", async (t) => {
  const { fixture, contexts } = recorded(t);
  await fixture.beacons.apply([definition({ type: "cpu", name: "a", above: 1, rate: "1/1h" })]);
  for (let n = 1; n <= 5; n++) contexts.get("a")!.emit({ type: "cpu.high", severity: "critical", data: {} });
  contexts.get("a")!.emit({ type: "cpu.high", data: {} });
  contexts.get("a")!.emit({ type: "cpu.high", data: {} });
  assert.deepEqual(
    fixture.events.map(({ severity }) => severity),
    ["critical", "critical", "critical", "critical", "critical", "normal"],
  );
});
