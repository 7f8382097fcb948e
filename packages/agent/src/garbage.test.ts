import assert from "node:assert/strict";
import { test } from "node:test";
import { Garbage } from "./garbage.ts";

test("garbage is collected once, when nothing has come for a while", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let collected = 0;
  const garbage = new Garbage(() => collected++);
  for (let times = 0; times < 5; times++) {
    garbage.collectLater();
    t.mock.timers.tick(4_000);
  }
  assert.equal(collected, 0, "not while more comes");
  t.mock.timers.tick(60_000);
  assert.equal(collected, 1);
});

test("an agent that has stopped collects nothing", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const garbage = new Garbage(() => assert.fail("collected"));
  garbage.collectLater();
  garbage.stop();
  t.mock.timers.tick(60_000);
});
