import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Severity } from "@needfire/shared/event";
import type { Task } from "@needfire/shared/task";
import { holdsLock, waitsForLock } from "@needfire/shared/task/lock";
import { Locks } from "./locks.ts";
import { someTask } from "./store/store.conformance.ts";

const lock = ["web1", "apt"];
const risesAfterMs = 100;
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
  const locks = new Locks(risesAfterMs);
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
  const locks = new Locks(risesAfterMs);
  locks.note(task(1, running));
  locks.note(task(2, waiting));
  const { lock: _, ...free } = task(3, running);
  locks.note(free);
  locks.note(task(2, { state: "cancelled", reason: "no", by: "ann" }));
  locks.note(task(1, over));
  assert.deepEqual([locks.next(), locks.holderOf(lock)], [undefined, undefined]);
});

test("a low task is not starved by a stream of high ones, a critical one is before all, and who waits keeps its place when others join it", () => {
  const locks = new Locks(risesAfterMs);
  let holder = task(0, running);
  locks.note(holder);
  const low = task(1, waiting, "low");
  const tasks = new Map([[low.id, low]]);
  const comes = (each: Task) => {
    tasks.set(each.id, each);
    locks.note(each);
  };
  comes(low);
  const turns: string[] = [];
  /** One ends, and the next one has its turn. */
  const passes = () => {
    locks.note({ ...holder, status: over });
    holder = { ...tasks.get(locks.next()!)!, status: running };
    locks.note(holder);
    turns.push(holder.id);
  };
  // Before each turn one of high comes: there is always one that could go first.
  for (let number = 10; number <= 1_000 && !turns.includes("t-1"); number += 10) {
    comes(task(number, waiting, "high"));
    comes({ ...low, joined: number });
    passes();
  }
  assert.equal(turns.at(-1), "t-1");
  assert.equal(turns.length, 21, "when one of high that came at 201 would be before it otherwise");
  comes(task(2, waiting, "low"));
  comes(task(5_000, waiting, "critical"));
  passes();
  assert.equal(turns.at(-1), "t-5000");
});

test("very many that wait for one lock are let in one after the other in no more time than it takes to look at each a few times", () => {
  const locks = new Locks(risesAfterMs);
  const count = 20_000;
  const tasks = Array.from({ length: count }, (_, number) => task(number, number === 0 ? running : waiting));
  let reads = 0;
  for (const each of tasks) {
    const { priority } = each;
    Object.defineProperty(each, "priority", { get: () => (reads++, priority) });
    locks.note(each);
  }
  for (const [number, each] of tasks.entries()) {
    locks.note({ ...each, status: over });
    if (number + 1 < count) {
      assert.equal(locks.next(), tasks[number + 1]!.id);
      locks.note({ ...tasks[number + 1]!, status: running });
    }
  }
  assert.ok(reads < 10 * count, `${reads} looks`);
  assert.equal(locks.holderOf(lock), undefined);
});

test("whatever happens: one at a time is let in, nobody is forgotten, and a memory that is filled from the tasks says the same", () => {
  const move = fc.record({ number: fc.integer({ min: 1, max: 8 }), ends: fc.boolean() });
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60 }), fc.integer({ min: 0, max: 60 }), (moves, restart) => {
      let locks = new Locks(risesAfterMs);
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
          locks = new Locks(risesAfterMs);
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
