import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { byHand, orderedTaskId, orderEvent } from "@needfire/shared/task/order";
import { World } from "./engine-fixture.ts";

const orderOf = (request: string) =>
  orderEvent(
    {
      ...{ request, by: "ann", why: undefined, targets: "*", agents: ["web1"], action: "service.restart" as const },
      ...{ args: { name: "nginx" }, dryRun: false, priority: "normal" as const, timeoutMs: 60_000 },
    },
    "nginx",
  );

test("P2: wherever it crashes, an order that was answered is done exactly once, however often it was asked for", async (t) => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("order" as const), request: fc.integer({ min: 1, max: 3 }), wait: fc.boolean() }),
    fc.record({ kind: fc.constant("turns" as const), macro: fc.integer({ min: 0, max: 4 }) }),
    fc.record({ kind: fc.constant("crash" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 20 }), async (steps) => {
      const world = new World(t, []);
      const answered = new Set<string>();
      for (const next of steps) {
        if (next.kind === "crash") world.crash();
        else if (next.kind === "turns") for (let turn = 0; turn < next.macro; turn++) await new Promise((done) => setImmediate(done));
        else {
          const request = `request-${next.request}`;
          const given = world.engine.enact(orderOf(request));
          // Of an engine that is left behind by a crash the answer comes or does not: nobody hears it.
          given.catch(() => undefined);
          if (next.wait) {
            await given;
            answered.add(request);
          }
        }
      }
      await world.quiet();
      await world.until("task.resolved", answered.size);
      await world.quiet();
      const journal = await world.end();
      assert.deepEqual(world.problems, []);
      const resolved = journal.filter(({ type }) => type === "task.resolved").map(({ cause }) => cause!);
      assert.equal(new Set(resolved).size, resolved.length);
      for (const request of answered) assert.ok(resolved.includes(orderedTaskId(request, { reactor: byHand, agent: "web1" })), request);
      for (const runs of world.host.runs.values()) assert.equal(runs, 1);
      assert.equal(world.host.runs.size, resolved.length);
    }),
    { numRuns: 25 },
  );
});

test("an order is answered when its task is durable and its command goes out", async (t) => {
  const world = new World(t, []);
  const id = await world.engine.enact(orderOf("request-9"));
  assert.deepEqual([...world.host.runs.keys()], [`${orderedTaskId("request-9", { reactor: byHand, agent: "web1" })}.1`]);
  await world.quiet();
  const journal = await world.end();
  assert.equal(journal.find(({ type }) => type === "task.created")?.data["event"], id);
});
