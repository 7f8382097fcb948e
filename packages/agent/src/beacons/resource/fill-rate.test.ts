import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FillRate } from "./fill-rate.ts";

test("a steady growth is found as it is, and when it will be full", () => {
  const rate = new FillRate(60_000);
  const fills = Array.from({ length: 10 }, (_, n) => rate.add({ at: n * 5_000, used: 1_000 + n * 500 }, 10_000));
  assert.deepEqual(fills.slice(0, 6), Array.from({ length: 6 }));
  assert.ok(fills.slice(6).every((fill) => Math.abs(fill!.perSecond - 100) < 1e-6 && Math.abs(fill!.fullInMs! - 100_000) < 1e-3));
});

test("one burst is no growth to be full by, and what shrinks is never full", () => {
  const rate = new FillRate(60_000);
  let fill;
  for (let n = 0; n <= 12; n++) fill = rate.add({ at: n * 5_000, used: n === 6 ? 50_000 : 1_000 }, 10_000);
  assert.ok(fill!.fullInMs === undefined || fill!.fullInMs > 1_000_000, JSON.stringify(fill));
  const emptied = new FillRate(10_000);
  for (let n = 0; n <= 12; n++) fill = emptied.add({ at: n * 1_000, used: 50_000 - n }, 10_000);
  assert.ok(fill!.perSecond < 0 && fill!.fullInMs === undefined);
});

test("what lies back further than the time does not count, and samples without end are bounded", () => {
  const rate = new FillRate(10_000);
  for (let n = 0; n < 100; n++) rate.add({ at: n * 1_000, used: n * 1_000 }, 1);
  let fill;
  for (let n = 100; n < 5_100; n++) fill = rate.add({ at: 99_000 + n * 10, used: 99_000 }, 1);
  assert.deepEqual(fill, { perSecond: 0, fullInMs: undefined });
});

test("samples in any order of values give a number", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1e15, noNaN: true }), { minLength: 3, maxLength: 50 }), (values) => {
      const rate = new FillRate(1_000);
      let fill;
      for (const [n, used] of values.entries()) fill = rate.add({ at: n * 500, used }, 1e9);
      assert.ok(Number.isFinite(fill!.perSecond) && (fill!.fullInMs === undefined || fill!.fullInMs >= 0));
    }),
  );
});
