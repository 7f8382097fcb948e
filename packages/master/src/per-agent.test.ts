import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PerAgent } from "./per-agent.ts";

const limits = new Map([["revive", { tasks: 3, withinMs: 1_000 }]]);

test("it is full with so many tasks for the agent within the time, and until the oldest of them is older", () => {
  const perAgent = new PerAgent(limits);
  for (const created of [0, 100, 200]) {
    assert.equal(perAgent.fullUntil("revive", "web1", created), undefined);
    perAgent.add({ reactor: "revive", agent: "web1", created });
  }
  assert.equal(perAgent.fullUntil("revive", "web1", 999), 1_000);
  assert.equal(perAgent.fullUntil("revive", "web1", 1_000), undefined);
  assert.equal(perAgent.fullUntil("revive", "web2", 999), undefined);
  assert.equal(perAgent.fullUntil("other", "web1", 999), undefined);
});

test("whatever comes when: no window holds more tasks than may be, and none is refused that may be", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 600 }), { maxLength: 60 }), (waits) => {
      const perAgent = new PerAgent(limits);
      const made: number[] = [];
      let now = 0;
      for (const wait of waits) {
        now += wait;
        const within = made.filter((at) => at > now - 1_000).length;
        assert.equal(perAgent.fullUntil("revive", "web1", now) !== undefined, within >= 3);
        if (within >= 3) continue;
        made.push(now);
        perAgent.add({ reactor: "revive", agent: "web1", created: now });
      }
    }),
  );
});
