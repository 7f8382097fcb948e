import assert from "node:assert/strict";
import { test } from "node:test";
import { Turns } from "./turns.ts";

test("so many at a time, in the order that they came, and who fails leaves the place to the next", async () => {
  const turns = new Turns(2);
  const { signal } = new AbortController();
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const under = { way: 0, most: 0 };
  const all = Array.from({ length: 6 }, (_, at) =>
    turns.take(signal, async () => {
      begun.push(at);
      under.most = Math.max(under.most, ++under.way);
      await new Promise<void>((resolve) => ends.push(resolve));
      under.way -= 1;
      if (at === 1) throw new Error("failed");
      return at;
    }),
  );
  const results = Promise.allSettled(all);
  while (begun.length < 6 || under.way > 0) {
    ends.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual([begun, under.most], [[0, 1, 2, 3, 4, 5], 2]);
  assert.deepEqual(
    (await results).map(({ status }) => status === "fulfilled"),
    [true, false, true, true, true, true],
  );
});

test("who waits for a turn when the signal comes does nothing", async () => {
  const turns = new Turns(1);
  const stop = new AbortController();
  let end!: () => void;
  const first = turns.take(stop.signal, () => new Promise<void>((resolve) => (end = resolve)));
  const second = turns.take(stop.signal, () => Promise.reject(new Error("it was begun")));
  stop.abort();
  end();
  assert.deepEqual(await Promise.all([first, second]), [undefined, undefined]);
});
