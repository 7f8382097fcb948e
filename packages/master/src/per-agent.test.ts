import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PerAgent } from "./per-agent.ts";

const limits = new Map([["revive", { tasks: 3, withinMs: 1_000 }]]);

test("it is full with so many tasks for the agent within the time, and until the oldest of them is older", () => {
  const perAgent = new PerAgent(limits);
  for (const created of [0, 100, 200]) {
    assert.equal(perAgent.full("revive", "web1", created), undefined);
    perAgent.add({ reactor: "revive", agent: "web1", created });
  }
  assert.deepEqual(perAgent.full("revive", "web1", 999), { until: 1_000, promised: 0 });
  assert.equal(perAgent.full("revive", "web1", 1_000), undefined);
  assert.equal(perAgent.full("revive", "web2", 999), undefined);
  assert.equal(perAgent.full("other", "web1", 999), undefined);
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
        assert.equal(perAgent.full("revive", "web1", now) !== undefined, within >= 3);
        if (within >= 3) continue;
        made.push(now);
        perAgent.add({ reactor: "revive", agent: "web1", created: now });
      }
    }),
  );
});

test("what is promised counts as if it were made, until it is, or is withdrawn", () => {
  const perAgent = new PerAgent(limits);
  const web1 = { reactor: "revive", agent: "web1" };
  const full = (now = 500) => perAgent.full("revive", "web1", now);
  perAgent.promise({ ...web1, rollout: "r1" });
  perAgent.promise({ ...web1, rollout: "r1" });
  perAgent.promise({ ...web1, agent: "web2", rollout: "r1" });
  perAgent.promise({ reactor: "other", agent: "web1", rollout: "r1" });
  assert.equal(full(), undefined);
  perAgent.add({ ...web1, created: 100 });
  assert.deepEqual(full(), { until: 1_100, promised: 2 });
  perAgent.keep({ ...web1, rollout: "r1" });
  perAgent.add({ ...web1, created: 200 });
  assert.deepEqual(full(), { until: 1_100, promised: 1 });
  assert.equal(full(1_100), undefined);
  perAgent.keep({ ...web1, rollout: "another" });
  perAgent.promise({ ...web1, rollout: "r2" });
  perAgent.promise({ ...web1, rollout: "r2" });
  assert.deepEqual(full(5_000), { until: undefined, promised: 3 });
  perAgent.withdraw("r2");
  assert.equal(full(5_000), undefined);
  perAgent.withdraw("r1");
  for (const created of [5_000, 5_001]) perAgent.add({ ...web1, created });
  assert.equal(full(5_001), undefined);
});
