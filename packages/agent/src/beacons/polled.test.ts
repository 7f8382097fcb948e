import assert from "node:assert/strict";
import { test } from "node:test";
import type { BeaconContext } from "./beacon.ts";
import { definition, Fixture } from "./fixture.ts";
import { type Look, polled, type PolledOptions } from "./polled.ts";

/** A beacon that looks as it is told, and the looks that it made. */
async function looking(
  t: { after(end: () => Promise<void>): void },
  options: PolledOptions,
  look: (look: Look, context: BeaconContext) => void | Promise<void> = () => undefined,
) {
  const looks: Look[] = [];
  const fixture = new Fixture({
    start: (_, context) =>
      polled(context, options, async (each) => {
        looks.push(each);
        await look(each, context);
      }),
  });
  t.after(() => fixture.end());
  await fixture.beacons.apply([definition({ type: "cpu", name: "looks", above: 1 })]);
  return { fixture, looks };
}

test("it looks at once, and again and again until it is stopped", async (t) => {
  const { fixture, looks } = await looking(t, { interval: "10ms" });
  assert.ok(looks.length >= 1);
  await fixture.until(() => looks.length > 3, "more looks");
  await fixture.beacons.stop();
  const made = looks.length;
  assert.ok(looks.every(({ signal }) => signal.aborted));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(looks.length, made);
});

test("a look that throws is the beacon's failure, and it looks again later", async (t) => {
  let made = 0;
  const { fixture, looks } = await looking(t, { interval: "5ms" }, () => {
    made += 1;
    if (made === 3) throw new Error("the sensor is gone");
  });
  const failed = await fixture.next();
  assert.deepEqual([failed.type, failed.data as object], ["beacon.failed", { ...failed.data, message: "the sensor is gone" }]);
  await fixture.until(() => looks.length > 5, "looks after the failure");
});

test("P7: while a remedy of its topic is under way its subject is held; at its end it looks at once, and knows whose doing a difference is", async (t) => {
  const { fixture, looks } = await looking(t, { interval: "1h", topic: "service" });
  const { remedies } = fixture;
  remedies.begin("t-1.1", { topic: "service", subject: "nginx" });
  remedies.begin("t-2.1", { topic: "package" });
  assert.deepEqual([looks[0]!.held("nginx"), looks[0]!.held("ssh"), looks[0]!.held()], [true, false, true]);
  remedies.end("t-2.1");
  assert.equal(looks.length, 1);
  remedies.end("t-1.1");
  await fixture.until(() => looks.length === 2, "a look when the remedy ended");
  assert.deepEqual([looks[1]!.held("nginx"), looks[1]!.cause("ssh")], [false, {}]);
});

test("P7: a difference is the doing of what ended since the last look, once; of a command that may have changed anything only if nothing nearer did", async (t) => {
  const causes: unknown[] = [];
  const { fixture } = await looking(t, { interval: "1h", topic: "service" }, ({ cause }) => {
    causes.push([cause("nginx"), cause("ssh")]);
  });
  const { remedies } = fixture;
  remedies.begin("t-1.1", "host");
  remedies.begin("t-2.1", { topic: "service", subject: "nginx" });
  remedies.end("t-2.1");
  await fixture.until(() => causes.length === 2, "a second look");
  remedies.end("t-1.1");
  await fixture.until(() => causes.length === 3, "a third look");
  remedies.begin("t-3.1", { topic: "service", subject: "ssh" });
  remedies.end("t-3.1");
  await fixture.until(() => causes.length === 4, "a fourth look");
  assert.deepEqual(causes, [
    [{}, {}],
    [{ cause: "t-2.1" }, { cause: "t-1.1" }],
    [{ cause: "t-1.1" }, { cause: "t-1.1" }],
    [{}, { cause: "t-3.1" }],
  ]);
});

test("without a topic no remedy is minded", async (t) => {
  const { fixture, looks } = await looking(t, { interval: "1h" });
  fixture.remedies.begin("t-1.1", "host");
  assert.deepEqual([looks[0]!.held(), looks[0]!.cause()], [false, {}]);
  fixture.remedies.end("t-1.1");
  assert.equal(looks.length, 1);
});
