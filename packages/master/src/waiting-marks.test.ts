import assert from "node:assert/strict";
import { test } from "node:test";
import type { Mark } from "./store/store.ts";
import { WaitingMarks } from "./waiting-marks.ts";

const mark = (execution: string, state: Mark["state"], at = 1): Mark => ({ execution, state, at });

test("marks wait for more of their kind, and those of an execution that has ended go with its end", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let due = 0;
  const marks = new WaitingMarks(() => due++);
  marks.add([mark("a", "sent"), mark("b", "sent")]);
  marks.add([mark("a", "accepted", 2)]);
  assert.deepEqual(marks.take({ all: false, ended: [] }), []);
  assert.deepEqual(marks.take({ all: false, ended: ["a", "c"] }), [mark("a", "sent"), mark("a", "accepted", 2)]);
  assert.equal(marks.areDue, false);
  t.mock.timers.tick(500);
  assert.deepEqual([due, marks.areDue], [1, true]);
  assert.deepEqual(marks.take({ all: false, ended: [] }), [mark("b", "sent")]);
  assert.equal(marks.areDue, false);
});

test("nothing waits when all are wanted, and what is added after that waits anew", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const marks = new WaitingMarks(() => {});
  marks.add([mark("a", "sent")]);
  assert.deepEqual(marks.take({ all: true, ended: [] }), [mark("a", "sent")]);
  marks.add([mark("b", "sent")]);
  assert.deepEqual(marks.take({ all: false, ended: [] }), []);
  marks.hurry();
  assert.equal(marks.areDue, true);
});
