import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Breakers } from "./breakers.ts";
import type { BreakerRow } from "./store/store.ts";

const limits = { repeats: 2, withinMs: 1_000, keys: 2 };
const about = (subject: string) => ({ agent: "web1", subject });
const at = (now: number) => ({ limits, now });

function strike(breakers: Breakers, subject: string, now: number): void {
  breakers.strike("revive", about(subject), { limits, strike: { task: `t-${subject}-${now}`, at: now, how: "escalated: no" } });
}

/** What a store has after these rows. */
function kept(store: Map<string, BreakerRow>, rows: readonly BreakerRow[]): BreakerRow[] {
  for (const row of rows) {
    const name = `${row.reactor} ${row.key}`;
    store.delete(name);
    if (row.body !== undefined) store.set(name, JSON.parse(JSON.stringify(row)) as BreakerRow);
  }
  return [...store.values()];
}

test("a key trips for itself, then firings of it are counted; when so many keys have tripped the reactor does", () => {
  const breakers = new Breakers();
  for (const subject of ["a", "b"]) for (const now of [1, 2]) strike(breakers, subject, now);
  const first = breakers.admit("revive", about("a"), at(3));
  assert.deepEqual(first.kind === "trips" && [first.key, first.own.tasks, first.all], [["web1", "a"], ["t-a-1", "t-a-2"], undefined]);
  assert.equal(breakers.admit("revive", about("a"), at(4)).kind, "open");
  assert.equal(breakers.admit("revive", about("c"), at(4)).kind, "closed");
  assert.equal(breakers.admit("other", about("a"), at(4)).kind, "closed");
  const second = breakers.admit("revive", about("b"), at(5));
  assert.ok(second.kind === "trips" && second.all !== undefined);
  assert.equal(breakers.admit("revive", about("c"), at(6)).kind, "open", "all of its keys");
  assert.deepEqual(
    breakers.list().map(({ key, trip }) => [key, trip.held]),
    [
      [["web1", "a"], 1],
      [undefined, 1],
      [["web1", "b"], 0],
    ],
  );
});

test("a reset lets one key try again, or the reactor with all of its keys; strikes begin anew", () => {
  const breakers = new Breakers();
  for (const subject of ["a", "b"]) {
    for (const now of [1, 2]) strike(breakers, subject, now);
    breakers.admit("revive", about(subject), at(3));
  }
  assert.deepEqual(breakers.reset("revive", ["web1", "x"]), []);
  assert.equal(breakers.reset("revive", ["web1", "a"]).length, 1);
  assert.equal(breakers.admit("revive", about("a"), at(4)).kind, "open", "the reactor itself has tripped");
  assert.deepEqual(breakers.reset("nobody", undefined), []);
  assert.equal(breakers.reset("revive", undefined).length, 2);
  assert.deepEqual([breakers.list(), breakers.admit("revive", about("b"), at(5)).kind], [[], "closed"]);
});

test("state is bounded: the key that was struck longest ago goes first, and none that has tripped", () => {
  const breakers = new Breakers();
  for (const now of [1, 2]) strike(breakers, "tripped", now);
  breakers.admit("revive", about("tripped"), at(3));
  for (let key = 0; key < 10_100; key++) strike(breakers, `k${key}`, 4);
  const store = new Map<string, BreakerRow>();
  const rows = kept(store, breakers.takeDirty());
  assert.equal(rows.length, 10_000);
  assert.ok(rows.some(({ body }) => body?.breaker.trip !== undefined));
  assert.ok(!rows.some(({ key }) => key === '["web1","k0"]'));
});

test("P4: keys that are forgotten while they might still trip are counted and told, at once and then once a minute", () => {
  const breakers = new Breakers();
  const hour = { ...limits, withinMs: 3_600_000 };
  const strikeAt = (subject: string, now: number) =>
    breakers.strike("revive", about(subject), { limits: hour, strike: { task: `t-${subject}`, at: now, how: "escalated: no" } });
  for (let key = 0; key < 10_000; key++) strikeAt(`k${key}`, 1_000);
  assert.deepEqual(breakers.takeFull(1_000), []);
  strikeAt("x", 2_000);
  assert.deepEqual(breakers.takeFull(2_000), [{ reactor: "revive", keysMax: 10_000, dropped: 1 }]);
  for (const subject of ["y", "z"]) strikeAt(subject, 3_000);
  assert.deepEqual([breakers.takeFull(61_999), breakers.takeFull(62_000)], [[], [{ reactor: "revive", keysMax: 10_000, dropped: 2 }]]);
  strikeAt("later", 10_000_000);
  assert.deepEqual(breakers.takeFull(10_000_000), [], "what was struck so long ago could not have tripped any more");
});

const move = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("fires" as const), subject: fc.constantFrom("a", "b", "c") }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("fails" as const), subject: fc.constantFrom("a", "b", "c") }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("time" as const), ms: fc.integer({ min: 1, max: 900 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("crash" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("reset" as const), key: fc.constantFrom(undefined, ["web1", "a"], ["web1", "b"]) }),
  },
);

test("P2: whatever happens, and wherever it is loaded again from what it gave to be stored, it says the same, and trips once until it is reset", () => {
  fc.assert(
    fc.property(fc.array(move, { maxLength: 80 }), (moves) => {
      const store = new Map<string, BreakerRow>();
      const lasting = new Breakers();
      let restarted = new Breakers();
      const tripped = new Set<string>();
      let now = 10_000;
      for (const next of moves) {
        if (next.kind === "time") now += next.ms;
        if (next.kind === "fails") for (const each of [lasting, restarted]) strike(each, next.subject, now);
        if (next.kind === "reset") {
          const reset = [lasting, restarted].map((each) => each.reset("revive", next.key));
          assert.deepEqual(reset[0], reset[1]);
          for (const { key } of reset[0]!) tripped.delete(JSON.stringify(key) ?? "");
        }
        if (next.kind === "fires") {
          const [one, other] = [lasting, restarted].map((each) => each.admit("revive", about(next.subject), at(now)));
          assert.deepEqual(one, other);
          if (one!.kind === "trips") {
            assert.ok(!tripped.has(JSON.stringify(one!.key)), "it tripped twice");
            tripped.add(JSON.stringify(one!.key));
            if (one!.all !== undefined) tripped.add("");
          }
          if (one!.kind === "closed")
            assert.ok(!tripped.has("") && !tripped.has(JSON.stringify(["web1", next.subject])), "it let one through");
        }
        if (next.kind === "crash") {
          const rows = kept(store, restarted.takeDirty());
          restarted = new Breakers();
          restarted.load(rows);
        }
        assert.equal(lasting.list().length, tripped.size);
      }
    }),
    { numRuns: 500 },
  );
});
