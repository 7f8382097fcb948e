import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { definition, Fixture } from "./fixture.ts";
import { forgetfulStore, type MemoryStore } from "./remembered.ts";
import { startThreshold } from "./threshold.ts";

const watched = definition({ type: "cpu", above: 50, clear_below: 30, for: "0s", interval: "100ms" });

/** A threshold over a number that the test sets. */
async function over(t: TestContext, { memory = forgetfulStore(), value }: { memory?: MemoryStore; value: number }) {
  const measured = { value, looks: 0 };
  const fixture = new Fixture({
    memory,
    start: (wanted, context) =>
      startThreshold("test", wanted as typeof watched & { type: "cpu" }, context, () => {
        measured.looks += 1;
        return { value: measured.value, data: (turned) => ({ value: measured.value, ...(turned === "high" ? { who: "it" } : {}) }) };
      }),
  });
  t.after(() => fixture.end());
  await fixture.beacons.apply([watched]);
  /** Until it has looked at what is set now. */
  const seen = async () => {
    const { looks } = measured;
    await fixture.until(() => measured.looks > looks + 1, "two more looks");
  };
  const told = () => fixture.events.map(({ type, data }) => [type, data["value"]]);
  return { fixture, measured, seen, told };
}

test("high is told once, normal once, with what only the one has", async (t) => {
  const { fixture, measured, seen, told } = await over(t, { value: 10 });
  await seen();
  measured.value = 60;
  const { lasted_ms: lasted, ...data } = (await fixture.next()).data as unknown as Record<string, unknown>;
  assert.equal(typeof lasted, "number");
  assert.deepEqual(data, { value: 60, who: "it", above: 50, clear_below: 30 });
  measured.value = 40;
  await seen();
  measured.value = 70;
  await seen();
  measured.value = 20;
  assert.deepEqual(Object.keys((await fixture.next()).data).toSorted(), ["above", "clear_below", "lasted_ms", "value"]);
  await seen();
  assert.deepEqual(told(), [
    ["test.high", 60],
    ["test.normal", 20],
  ]);
});

test("after a restart what was told as high is not told again, and its end is not missed", async (t) => {
  const memory = forgetfulStore();
  const first = await over(t, { memory, value: 60 });
  await first.fixture.next();
  await first.fixture.beacons.stop();
  const second = await over(t, { memory, value: 60 });
  await second.seen();
  assert.deepEqual(second.told(), []);
  second.measured.value = 20;
  await second.fixture.next();
  assert.deepEqual(second.told(), [["test.normal", 20]]);
  await second.fixture.beacons.stop();
  const third = await over(t, { memory, value: 20 });
  await third.seen();
  assert.deepEqual(third.told(), []);
});

test("asked to, it says once more that it is high, and nothing when it is not", async (t) => {
  const { fixture, measured, seen, told } = await over(t, { value: 60 });
  await fixture.next();
  fixture.beacons.restate();
  await fixture.next();
  await seen();
  measured.value = 20;
  await fixture.next();
  fixture.beacons.restate();
  await seen();
  assert.deepEqual(told(), [
    ["test.high", 60],
    ["test.high", 60],
    ["test.normal", 20],
  ]);
});
