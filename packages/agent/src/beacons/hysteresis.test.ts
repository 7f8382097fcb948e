import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { calm, step, type Thresholds } from "./hysteresis.ts";

/** Seconds and per cent in, `second: word` out. */
function timeline(thresholds: Thresholds, samples: [seconds: number, value: number][]): string[] {
  let level = calm;
  const said: string[] = [];
  for (const [seconds, value] of samples) {
    const stepped = step(level, { value, now: seconds * 1_000 }, thresholds);
    level = stepped.level;
    if (stepped.crossing !== undefined) said.push(`${seconds}: ${stepped.crossing.turned} after ${stepped.crossing.lastedMs / 1_000}`);
  }
  return said;
}

const thresholds = { above: 80, clearBelow: 50, forMs: 10_000 };

test("it is high when it was over long enough, normal when it was under long enough, and nothing between", () => {
  assert.deepEqual(
    timeline(thresholds, [
      [0, 90],
      [5, 85],
      [9, 99],
      [10, 81],
      [15, 95],
      [20, 60],
      [40, 79],
      [50, 40],
      [55, 30],
      [60, 49],
      [70, 10],
    ]),
    ["10: high after 10", "60: normal after 10"],
  );
});

test("a dip starts the time anew, on both sides", () => {
  assert.deepEqual(
    timeline(thresholds, [
      [0, 90],
      [9, 80],
      [10, 90],
      [19, 90],
      [20, 90],
    ]),
    ["20: high after 10"],
  );
  assert.deepEqual(
    timeline(thresholds, [
      [0, 90],
      [10, 90],
      [11, 40],
      [20, 50],
      [21, 40],
      [31, 40],
    ]),
    ["10: high after 10", "31: normal after 10"],
  );
});

test("with a time of 0 a single sample is enough", () => {
  assert.deepEqual(
    timeline({ ...thresholds, forMs: 0 }, [
      [0, 90],
      [1, 60],
      [2, 40],
      [3, 40],
    ]),
    ["0: high after 0", "2: normal after 0"],
  );
});

test("for every course: high and normal alternate, and each was true of every sample for its time", () => {
  const samples = fc.array(fc.tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 0, max: 100 })), { maxLength: 200 });
  fc.assert(
    fc.property(samples, fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 100 }), (steps, one, other) => {
      const limits = { above: Math.max(one, other), clearBelow: Math.min(one, other), forMs: 5 };
      let level = calm;
      let now = 0;
      let expected = "high";
      const past: { now: number; value: number }[] = [];
      for (const [wait, value] of steps) {
        now += wait;
        past.push({ now, value });
        const { level: next, crossing } = step(level, { value, now }, limits);
        level = next;
        if (crossing === undefined) continue;
        assert.equal(crossing.turned, expected);
        assert.ok(crossing.lastedMs >= limits.forMs);
        for (const sample of past.filter((sample) => sample.now >= now - crossing.lastedMs)) {
          assert.ok(expected === "high" ? sample.value > limits.above : sample.value <= limits.clearBelow);
        }
        expected = expected === "high" ? "normal" : "high";
      }
    }),
  );
});
