import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Timed, Timers } from "./due.ts";

const row = (reactor: string, key: string): Timed => ({ reactor, key, due: undefined, queued: undefined });

test("rows come out when they are due, in the order of time, reactor and key, however often they were put off, brought forward or ended", () => {
  const anyDue = fc.option(fc.nat({ max: 20 }), { nil: undefined });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 8 }), anyDue), { maxLength: 60 }), fc.array(fc.nat({ max: 25 })), (changes, moments) => {
      const rows = Array.from({ length: 9 }, (_, index) => row(`r${index % 3}`, `c${Math.floor(index / 3)}`));
      const timers = new Timers();
      for (const [index, due] of changes) {
        rows[index]!.due = due;
        timers.schedule(rows[index]!);
      }
      let left = rows.filter(({ due }) => due !== undefined);
      for (const now of [...moments, 100]) {
        const due = left
          .filter((each) => each.due! <= now)
          .toSorted((a, b) => a.due! - b.due! || (a.reactor + a.key < b.reactor + b.key ? -1 : 1));
        left = left.filter((each) => !due.includes(each));
        const taken: Timed[] = [];
        for (let next = timers.take(now); next !== undefined; next = timers.take(now)) taken.push(next);
        assert.deepEqual(taken, due);
        assert.equal(timers.next(), left.length === 0 ? undefined : Math.min(...left.map((each) => each.due!)));
      }
    }),
    { numRuns: 1_000 },
  );
});

test("rows that end long before their time do not stay in the heap", () => {
  const timers = new Timers();
  for (let index = 0; index < 50_000; index++) {
    const short = row("r", `c${index}`);
    short.due = 1_000_000 + index;
    timers.schedule(short);
    if (index % 100 === 0) continue;
    short.due = undefined;
    timers.schedule(short);
  }
  assert.ok(timers.size < 3_000, `${timers.size} places for 500 rows`);
  let count = 0;
  while (timers.take(2_000_000) !== undefined) count++;
  assert.deepEqual([count, timers.size], [500, 0]);
});
