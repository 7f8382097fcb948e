import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { checkBeacon } from "@needfire/shared/beacon";
import type { ScheduleDueData } from "@needfire/shared/beacons/schedule";
import { definition, Fixture } from "../fixture.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";
import { start } from "./schedule.ts";

/** A host whose clock begins at `from` and goes as the real one does. */
function host(t: TestContext, from: string, memory: MemoryStore = forgetfulStore()) {
  let offset = Date.parse(from) - Date.now();
  const f = new Fixture({
    memory,
    start: (defined, context) => start(defined as Parameters<typeof start>[0], { ...context, clock: { now: () => Date.now() + offset } }),
  });
  t.after(() => f.end());
  return { f, step: (to: string) => (offset = Date.parse(to) - Date.now()) };
}

const scheduled = (cron: string, options: Record<string, unknown> = {}) => definition({ type: "schedule", cron, ...options });
const dataOf = (f: Fixture, at = 0) => f.events[at]?.data as unknown as ScheduleDueData;
const iso = (ms: number | null) => (ms === null ? "never" : new Date(ms).toISOString());

test("it is told when it is due, once, and never before", async (t) => {
  const { f } = host(t, "2026-01-10T01:59:59.700Z");
  await f.beacons.apply([scheduled("0 3 * * *", { zone: "Europe/Berlin" }), scheduled("0 3 * * *", { name: "utc" })]);
  assert.deepEqual(f.events, []);
  const { type, subject } = await f.next();
  const { due, late_ms, missed, next, zone } = dataOf(f);
  assert.deepEqual([type, subject, missed, zone], ["schedule.due", "test", 0, "Europe/Berlin"]);
  assert.deepEqual([iso(due), iso(next)], ["2026-01-10T02:00:00.000Z", "2026-01-11T02:00:00.000Z"]);
  assert.ok(late_ms >= 0);
  assert.equal(f.events.length, 1);
});

test("after a restart nothing is told twice, and what was missed is told once if it is asked for", async (t) => {
  const memory = forgetfulStore();
  const both = [scheduled("0 * * * *", { name: "once", missed: "once" }), scheduled("0 * * * *", { name: "skip" })];
  const first = host(t, "2026-01-10T11:59:59.900Z", memory);
  await first.f.beacons.apply(both);
  await first.f.until(() => first.f.events.length >= 2, "both");
  await first.f.beacons.stop();
  const soon = host(t, "2026-01-10T12:00:30Z", memory);
  await soon.f.beacons.apply(both);
  await soon.f.beacons.stop();
  assert.deepEqual(soon.f.events, []);
  const later = host(t, "2026-01-10T16:30:00Z", memory);
  await later.f.beacons.apply(both);
  assert.deepEqual(
    later.f.events.map(({ beacon, data }) => [beacon, data["missed"], iso(data["due"] as number)]),
    [["once", 4, "2026-01-10T16:00:00.000Z"]],
  );
});

test("another expression under the same name has missed nothing", async (t) => {
  const memory = forgetfulStore();
  const before = host(t, "2026-01-10T12:30:00Z", memory);
  await before.f.beacons.apply([scheduled("0 2 * * *", { missed: "once" })]);
  await before.f.beacons.stop();
  const after = host(t, "2026-01-12T12:30:30Z", memory);
  await after.f.beacons.apply([scheduled("*/10 * * * *", { missed: "once" })]);
  assert.deepEqual(after.f.events, []);
});

test("a due time of next year is waited for without a timer that overflows", async (t) => {
  const { f } = host(t, "2026-01-10T12:00:00Z");
  const warnings: string[] = [];
  const listen = (warning: Error) => void warnings.push(warning.name);
  process.on("warning", listen);
  t.after(() => process.off("warning", listen));
  await f.beacons.apply([scheduled("0 0 1 1 *")]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([f.events, warnings], [[], []]);
});

test("what can never be due, another zone and too much jitter are refused, by key", () => {
  for (const [options, expected] of [
    [{ cron: "0 0 30 2 *" }, /never due/],
    [{ cron: "0 0 * *" }, /expected minute hour day month weekday/],
    [{ cron: "61 0 * * *" }, /is no cron expression/],
    [{ cron: "0 0 * * *", zone: "Europe/Berlim" }, /did you mean "Europe\/Berlin"/],
    [{ cron: "0 0 * * *", jitter: "2d" }, /24h at most/],
  ] as const) {
    const checked = checkBeacon({ name: "a", type: "schedule", ...options });
    assert.ok(!checked.ok, JSON.stringify(options));
    assert.match(checked.message, expected);
  }
  assert.ok(checkBeacon({ name: "a", type: "schedule", cron: "0 0 * * *", zone: "local" }).ok);
});
