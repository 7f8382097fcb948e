import assert from "node:assert/strict";
import { test } from "node:test";
import { plainRung } from "@needfire/shared/rules/fire";
import type { Lease, Task } from "@needfire/shared/task";
import { someTask } from "./store/store.conformance.ts";
import { UndoKeys } from "./undo-keys.ts";

const due: Lease = { rung: 0, due: 9_000 };
const task = (number: number, leases: Lease[], given: Partial<Task> = {}): Task => ({
  ...someTask(`web1:e1:${number}`),
  joinKey: ["10.0.0.1"],
  rungs: [{ ...plainRung([]), undo: { steps: [], afterMs: 1_000, onFailure: false } }],
  leases,
  ...given,
});

test("tasks that share a key while several have something to take back are given once for each change, and no others are", () => {
  const keys = new UndoKeys();
  const [first, second] = [task(1, [due]), task(2, [due])];
  for (const each of [first, task(3, [due], { joinKey: ["10.0.0.2"] }), task(4, [due], { agent: "web2" }), task(5, [])]) keys.note(each);
  const { joinKey: _, ...keyless } = task(6, [due]);
  keys.note(keyless);
  assert.equal(keys.hasShared, false);
  keys.note(second);
  assert.deepEqual([keys.hasShared, keys.nextShared(), keys.hasShared], [true, [first.id, second.id], false]);
  keys.note(second);
  keys.note({ ...first, leases: [{ rung: 0, execution: `${first.id}.1`, step: 0 }] });
  assert.equal(keys.hasShared, false, "it is being taken back");
  keys.note({ ...first, leases: [] });
  keys.note(second);
  assert.equal(keys.hasShared, false);
});
