import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Severity } from "@needfire/shared/event";
import type { Task } from "@needfire/shared/task";
import { holdsLock, waitsForLock } from "@needfire/shared/task/lock";
import { Locks } from "./locks.ts";
import { someTask } from "./store/store.conformance.ts";

const lock = ["web1", "apt"];
const task = (number: number, status: Task["status"], priority: Severity = "normal"): Task => ({
  ...someTask(`web1:e1:${number}`, status),
  id: `t-${number}`,
  created: number,
  priority,
  open: [],
  lock,
});
const running = { state: "running", execution: "" } as const;
const waiting = { state: "waiting", lock, behind: "" } as const;
const over = { state: "resolved", verified: true } as const;

test("whose turn is next: the highest priority, of these the oldest; and nobody's as long as somebody is at work", () => {
  const locks = new Locks();
  assert.equal(locks.holderOf(lock), undefined);
  locks.note(task(1, running));
  for (const [number, priority] of [
    [4, "low"],
    [3, "normal"],
    [2, "normal"],
    [5, "critical"],
  ] as const)
    locks.note(task(number, waiting, priority));
  assert.deepEqual([locks.holderOf(lock), locks.next()], ["t-1", undefined]);
  locks.note(task(1, over));
  assert.equal(locks.holderOf(lock), "t-5", "who comes now does not overtake");
  const turns: string[] = [];
  for (let id = locks.next(); id !== undefined; id = locks.next()) {
    turns.push(id);
    const number = Number(id.slice(2));
    const priority = number === 5 ? "critical" : number === 4 ? "low" : "normal";
    locks.note(task(number, running, priority));
    assert.equal(locks.next(), undefined);
    locks.note(task(number, over, priority));
  }
  assert.deepEqual([turns, locks.holderOf(lock)], [["t-5", "t-2", "t-3", "t-4"], undefined]);
});

test("somebody who gives up the wait, and a task without a lock, hold nothing up", () => {
  const locks = new Locks();
  locks.note(task(1, running));
  locks.note(task(2, waiting));
  const { lock: _, ...free } = task(3, running);
  locks.note(free);
  locks.note(task(2, { state: "cancelled", reason: "no", by: "ann" }));
  locks.note(task(1, over));
  assert.deepEqual([locks.next(), locks.holderOf(lock)], [undefined, undefined]);
});

test("whatever happens: one at a time is let in, nobody is forgotten, and a memory that is filled from the tasks says the same", () => {
  const move = fc.record({ number: fc.integer({ min: 1, max: 8 }), ends: fc.boolean() });
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60 }), fc.integer({ min: 0, max: 60 }), (moves, restart) => {
      let locks = new Locks();
      const tasks = new Map<string, Task>();
      const note = (each: Task) => {
        tasks.set(each.id, each);
        locks.note(each);
      };
      const letIn = () => {
        for (let id = locks.next(); id !== undefined; id = locks.next()) note({ ...tasks.get(id)!, status: running });
      };
      for (const [at, { number, ends }] of moves.entries()) {
        if (at === restart) {
          locks = new Locks();
          for (const each of [...tasks.values()].toReversed()) locks.note(each);
        }
        const known = tasks.get(`t-${number}`);
        if (known === undefined) note(task(number, locks.holderOf(lock) === undefined ? running : waiting));
        else if (ends) note({ ...known, status: over });
        letIn();
        const all = [...tasks.values()];
        const holding = all.filter(holdsLock).length;
        assert.ok(holding <= 1);
        assert.ok(holding === 1 || !all.some(waitsForLock), "somebody waits for nobody");
      }
    }),
  );
});
