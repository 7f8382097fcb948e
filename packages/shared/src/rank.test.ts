import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { severities, type Severity } from "./event.ts";
import { Line } from "./line.ts";
import { rankOf } from "./rank.ts";

const risesAfterMs = 1_000;
const rank = (priority: Severity, since: number) => rankOf({ priority, since }, risesAfterMs);
const anyTime = fc.integer({ min: -1_000_000, max: 8.64e15 });
const belowCritical = fc.constantFrom("high", "normal", "low") satisfies fc.Arbitrary<Severity>;

test("P8: what is critical is before all that is not, of whatever age; of the critical the oldest is first", () => {
  fc.assert(
    fc.property(anyTime, anyTime, belowCritical, (critical, other, priority) => {
      assert.ok(rank("critical", critical) < rank(priority, other));
      assert.equal(rank("critical", critical) < rank("critical", other), critical < other);
    }),
  );
});

test("of those that came at one time the more urgent is first, of one priority the oldest", () => {
  const ranks = severities.map((priority) => rank(priority, 5_000));
  assert.deepEqual(
    ranks.toSorted((a, b) => a - b),
    ranks,
  );
  for (const priority of severities) assert.ok(rank(priority, 5_000) < rank(priority, 5_001));
});

test("what has waited for the time stands where something new of the next priority does, and after it before that", () => {
  for (const [lower, higher] of [
    ["low", "normal"],
    ["normal", "high"],
  ] as const) {
    assert.equal(rank(lower, 0), rank(higher, risesAfterMs));
    assert.ok(rank(lower, 0) < rank(higher, risesAfterMs + 1));
    assert.ok(rank(lower, 0) > rank(higher, risesAfterMs - 1));
  }
});

test("whatever comes below critical, and however much of it: nobody is overtaken by what came two such times later", () => {
  const arrival = fc.record({ priority: belowCritical, afterMs: fc.integer({ min: 0, max: 700 }), served: fc.integer({ min: 0, max: 2 }) });
  fc.assert(
    fc.property(fc.array(arrival, { minLength: 1, maxLength: 100 }), (arrivals) => {
      const line = new Line<{ since: number }>();
      let now = 0;
      for (const { priority, afterMs, served } of arrivals) {
        now += afterMs;
        line.add({ since: now }, rank(priority, now));
        for (let count = 0; count < served; count++) {
          const next = line.shift();
          if (next === undefined) break;
          for (const { since } of line.values()) assert.ok(next.since <= since + 2 * risesAfterMs);
        }
      }
    }),
  );
});

test("in a stream of high that never ends, of which each takes as long as the next one needs to come, the low one has its turn", () => {
  const line = new Line<Severity>();
  line.add("low", rank("low", 0));
  let served = 0;
  for (let now = 0; line.rankOf("low") !== undefined; now += 10, served++) {
    // A place of its own for each of them does not matter here: there is always one that is new.
    line.add("high", rank("high", now));
    line.shift();
    assert.ok(now <= 2 * risesAfterMs, "the low one starves");
  }
  assert.ok(served > 100, "it overtook what it must not");
});
