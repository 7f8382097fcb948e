import assert from "node:assert/strict";
import { test } from "node:test";
import { AfterStorm } from "./after-storm.ts";

test("memory is given back once, when a great many have come and no more come", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let collected = 0;
  const storm = new AfterStorm(() => collected++);
  for (let session = 0; session < 3_000; session++) {
    storm.came();
    if (session % 100 === 0) t.mock.timers.tick(2_000);
  }
  assert.equal(collected, 0, "not while more come");
  t.mock.timers.tick(60_000);
  assert.equal(collected, 1);
});

test("a few sessions hold nothing up", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const storm = new AfterStorm(() => assert.fail("collected"));
  for (let session = 0; session < 999; session++) storm.came();
  t.mock.timers.tick(60_000);
});

test("a master that has stopped gives nothing back", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const storm = new AfterStorm(() => assert.fail("collected"));
  for (let session = 0; session < 2_000; session++) storm.came();
  storm.stop();
  t.mock.timers.tick(60_000);
});
