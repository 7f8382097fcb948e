import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRate } from "./rate.ts";

test("a rate is a number of events and a time", () => {
  assert.deepEqual(parseRate("1000/10s"), { events: 1_000, perMs: 10_000 });
  assert.deepEqual(parseRate("1/1h30m"), { events: 1, perMs: 5_400_000 });
  for (const none of ["", "10", "0/1s", "-1/1s", "1.5/1s", "10/s", "10 / 1s", "1/1s/1s", "99999999/1s"])
    assert.equal(parseRate(none), undefined, none);
});
