/** Silences by themselves, then as the engine has them: over crashes, and to their end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { incoming, settled, TestClock } from "./fixture.ts";
import { World } from "./engine-fixture.ts";
import { Silences, silencesMax } from "./silences.ts";

const wish = { reactor: "disk-*", agent: "web*", forMs: 100, why: "new disk", by: "alice" };

function silenced(...wishes: Partial<typeof wish>[]) {
  const silences = new Silences();
  for (const each of wishes) silences.add(silences.make({ ...wish, ...each }, 1_000));
  return silences;
}

test("a silence holds back what its globs name, from its beginning until its end", () => {
  const silences = silenced({});
  const holds = (reactor: string, agent: string, now: number) => silences.holdBack(reactor, agent, now) !== undefined;
  assert.deepEqual([holds("disk-full", "web1", 1_000), holds("disk-full", "web1", 1_099)], [true, true]);
  assert.deepEqual([holds("disk-full", "web1", 999), holds("disk-full", "web1", 1_100)], [false, false]);
  assert.deepEqual([holds("cpu-high", "web1", 1_000), holds("disk-full", "db1", 1_000)], [false, false]);
  assert.equal(silences.list()[0]!.held, 2);
});

test("without a reactor or without an agent it is about all of them; without both it is none", () => {
  const silences = new Silences();
  silences.add(silences.make({ ...wish, reactor: undefined }, 0));
  assert.ok(silences.holdBack("any", "web1", 1));
  assert.throws(() => silences.make({ ...wish, reactor: undefined, agent: undefined }, 0), { code: "BAD_REQUEST" });
});

test("of several the one that lasts longest is told, and counts", () => {
  const silences = silenced({ forMs: 50 }, { forMs: 500 }, { forMs: 100 });
  assert.equal(silences.holdBack("disk-full", "web1", 1_001)!.until, 1_500);
  assert.deepEqual(
    silences.list().map(({ held }) => held),
    [0, 1, 0],
  );
});

test("its times are whole milliseconds", () => {
  const { since, until } = new Silences().make({ ...wish, forMs: 100 }, 1_000.734);
  assert.deepEqual([since, until], [1_000, 1_100]);
});

test("there is an end to how many there may be", () => {
  const silences = silenced(...Array.from({ length: silencesMax }, () => ({})));
  assert.throws(() => silences.make(wish, 0), { code: "CONFLICT" });
});

const reactors = [{ file: "full.yaml", text: "name: disk-full\non: disk.full\ndo:\n  - event.emit: { type: full.told }\n" }];

test("what it has held back, and its end, are known once however often the master dies", async (t) => {
  const clock = new TestClock(1_700_000_000_000);
  const world = new World(t, reactors, { clock });
  world.host.received = () => clock.time;
  const happens = async () => {
    world.host.happens((sequence) => incoming(sequence, { type: "disk.full" }));
    await world.quiet();
  };
  const added = await world.engine.silence({ ...wish, forMs: 60_000 });
  await happens();
  world.crash();
  await happens();
  assert.deepEqual(
    world.engine.silences().map(({ id, held }) => [id, held]),
    [[added.id, 2]],
  );
  clock.time += 60_000;
  world.engine.tell([]);
  await settled();
  world.crash();
  await happens();
  assert.deepEqual(world.engine.silences(), []);
  const removed = await world.engine.silence({ ...wish, forMs: 60_000 });
  await world.engine.endSilence(removed.id, "bob");
  await assert.rejects(world.engine.endSilence(removed.id, "bob"), { code: "NOT_FOUND" });
  await happens();
  world.crash();
  assert.deepEqual(world.engine.silences(), []);
  const journal = await world.end();
  assert.deepEqual(world.problems, []);
  assert.deepEqual(
    journal.filter(({ type }) => type.startsWith("silence.")).map(({ type, data }) => [type, data["by"], data["held"]]),
    [
      ["silence.added", "alice", undefined],
      ["silence.expired", "alice", 2],
      ["silence.added", "alice", undefined],
      ["silence.removed", "bob", 0],
    ],
  );
  assert.equal(journal.filter(({ type }) => type === "full.told").length, 2);
});
