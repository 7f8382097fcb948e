/**
 * The engine against a slow model, on random rules and timelines. `RULES_RUNS=20000 npm test -- packages/shared/src/rules/rules.test.ts`
 * looks longer.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Rules } from "./rules.ts";
import { type ModelFiring, type RuleSource, type Said, type Silence, SlowModel } from "./slow-model.conformance.ts";
import {
  anyCombining,
  anyRule,
  anyRules,
  anySilences,
  anyTimeline,
  indexOf,
  type Moment,
  realIndexOf,
  saidOf,
  seenOf,
  worldOf,
} from "./timelines.conformance.ts";
import type { Judgement, StateRow } from "./types.ts";

const runs = Number(process.env["RULES_RUNS"] ?? 400);

test("one rule of any kind decides as the slow model does, at every moment", () => {
  fc.assert(
    fc.property(anyRule(), anySilences, anyTimeline(30), (rule, silences, moments) => {
      const said = live(new Rules(indexOf([rule]), worldOf(silences)), moments);
      assert.deepEqual(inOrder(said, [rule]), inOrder(modelled([rule], silences, moments), [rule]));
    }),
    { numRuns: 3 * runs },
  );
});

test("what would do the same on several hosts goes together as in the slow model", () => {
  let together = 0;
  fc.assert(
    fc.property(anyCombining, anySilences, anyTimeline(30, { ofSeveral: true }), (rule, silences, moments) => {
      const said = live(new Rules(indexOf([rule]), worldOf(silences)), moments);
      assert.deepEqual(inOrder(said, [rule]), inOrder(modelled([rule], silences, moments), [rule]));
      together += said.flat().filter(({ firing }) => firing?.members !== undefined).length;
    }),
    { numRuns: runs },
  );
  assert.ok(together > runs / 10, `only ${together} firings were of several hosts`);
});

test("rules that inhibit each other decide as in the slow model", () => {
  fc.assert(
    fc.property(anyRules, anySilences, anyTimeline(25), (rules, silences, moments) => {
      const said = live(new Rules(indexOf(rules), worldOf(silences)), moments);
      assert.deepEqual(inOrder(said, rules), inOrder(modelled(rules, silences, moments), rules));
      const firings = said.flat().flatMap(({ reactor, firing }) => {
        const all = firing === undefined ? [] : (firing.members ?? [firing]);
        return all.map(({ trigger }) => `${reactor} ${trigger}`);
      });
      assert.equal(new Set(firings).size, firings.length, "one firing a reactor and trigger (P2)");
    }),
    { numRuns: 2 * runs },
  );
});

test("after a crash at any moment an engine made of the rows goes on as if nothing had been, and nothing fires twice (P2)", () => {
  fc.assert(
    fc.property(anyRules, anySilences, anyTimeline(25), fc.infiniteStream(anyFate), (rules, silences, moments, fates) => {
      const world = worldOf(silences);
      const index = indexOf(rules);
      const whole = new Rules(index, world);
      const expected = live(whole, moments);
      const store = new Map<string, string>();
      let engine = new Rules(index, world);
      let committed = 0;
      const said: Said[][] = [];
      for (let at = 0; at < moments.length; at++) {
        said[at] = saidOf(judge(engine, moments[at]!).decisions);
        const [fate] = fates.take(1);
        if (fate === "commit") {
          commit(store, engine.takeDirty());
          committed = at + 1;
        } else if (fate === "reload") engine.setReactors(indexOf(rules));
        else if (fate === "crash") {
          engine = new Rules(index, world);
          engine.load(rowsOf(store));
          // What was not committed is judged again; what came of it was lost with it.
          at = committed - 1;
          said.length = committed;
        }
      }
      assert.deepEqual(said, expected);
      assert.equal(engine.nextDue(), whole.nextDue());
      assert.equal(engine.time, whole.time);
    }),
    { numRuns: runs },
  );
});

const anyFate = fc.constantFrom("nothing", "nothing", "nothing", "commit", "commit", "crash", "reload");

test("a replay, which is told the time by events alone, fires the same in the same order as it was live", () => {
  fc.assert(
    fc.property(anyRules, anySilences, anyTimeline(25), (rules, silences, moments) => {
      const fired = (told: readonly Moment[]) => live(new Rules(indexOf(rules), worldOf(silences)), told).flat();
      assert.deepEqual(fired(moments.filter(({ kind }, at) => kind === "event" || at === moments.length - 1)), fired(moments));
    }),
    { numRuns: runs },
  );
});

test("an engine with the index decides as one that asks every reactor of the type, but for what is cut before conditions are asked", () => {
  fc.assert(
    fc.property(anyRules, anySilences, anyTimeline(25), (rules, silences, moments) => {
      const engines = [indexOf(rules), realIndexOf(rules)].map((index) => new Rules(index, worldOf(silences)));
      const [plain, indexed] = engines.map((engine) =>
        live(engine, moments)
          .flat()
          .filter(({ reason }) => reason !== "own-effect" && reason !== "loop-cut"),
      );
      assert.deepEqual(indexed, plain);
    }),
    { numRuns: runs },
  );
});

test("an engine that records nothing but firings fires the same", () => {
  fc.assert(
    fc.property(anyRules, anyTimeline(15), (rules, moments) => {
      const quiet = live(new Rules(indexOf(rules), worldOf(), { records: new Set() }), moments);
      const all = live(new Rules(indexOf(rules), worldOf()), moments);
      assert.deepEqual(
        quiet.flat(),
        all.flat().filter(({ firing }) => firing !== undefined),
      );
    }),
    { numRuns: runs / 2 },
  );
});

test("state is bounded: not more keys than may be, and nothing is left when all windows are over but what is raised", () => {
  fc.assert(
    fc.property(anyRules, anyTimeline(30), (rules, moments) => {
      const engine = new Rules(indexOf(rules), worldOf());
      const store = new Map<string, string>();
      for (const moment of moments) {
        judge(engine, moment);
        commit(store, engine.takeDirty());
        for (const { name, keys_max: keysMax = 10_000 } of rules)
          for (const kind of "cfil")
            assert.ok([...store.keys()].filter((key) => key.startsWith(`${name} ${kind}`)).length <= keysMax, `${name} ${kind}`);
      }
      engine.tick(engine.time + 200_000);
      commit(store, engine.takeDirty());
      const lasting = rules.flatMap(({ name, raise }) => (raise === undefined ? [] : [`${name} c`, `${name} i`]));
      for (const key of store.keys()) assert.ok(key === " t[]" || lasting.some((begin) => key.startsWith(begin)), key);
    }),
    { numRuns: runs / 2 },
  );
});

/** Judges each moment, and says what was said. */
function live(rules: Rules, moments: readonly Moment[]): Said[][] {
  return moments.map((moment) => saidOf(judge(rules, moment).decisions));
}

function judge(rules: Rules, moment: Moment): Judgement {
  return moment.kind === "tick" ? rules.tick(moment.at) : rules.hear(seenOf(moment.event));
}

/** Groups of one rule that go at one moment: in no order that anybody may rely on. */
function inOrder(said: Said[][], sources: RuleSource[]): Said[][] {
  const combining = new Set(sources.filter((source) => source.combine !== undefined).map(({ name }) => name));
  return said.map((each) => {
    const runs: Said[][] = [];
    for (const one of each) {
      const last = runs.at(-1)?.at(-1);
      if (last !== undefined && combining.has(one.reactor) && last.reactor === one.reactor && last.at === one.at) runs.at(-1)!.push(one);
      else runs.push([one]);
    }
    return runs.flatMap((run) => run.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)));
  });
}

/** The model knows `matched` also of rules whose values do not read it. */
function modelled(sources: RuleSource[], silences: Silence[], moments: readonly Moment[]): Said[][] {
  const slow = new SlowModel(sources, silences);
  const reads = new Set(sources.filter((source) => JSON.stringify(source.do).includes("matched")).map(({ name }) => name));
  return moments.map((moment) =>
    (moment.kind === "tick" ? slow.tick(moment.at) : slow.hear(moment.event)).map((said) =>
      said.firing === undefined || reads.has(said.reactor) ? said : { ...said, firing: withoutMatched(said.firing) },
    ),
  );
}

function withoutMatched({ members, ...firing }: ModelFiring): ModelFiring {
  return { ...firing, matched: {}, ...(members === undefined ? {} : { members: members.map(withoutMatched) }) };
}

/** Into texts, as a database would keep them. */
function commit(store: Map<string, string>, rows: readonly StateRow[]): void {
  for (const row of rows) {
    const key = `${row.reactor} ${row.key}`;
    if (row.body === undefined) store.delete(key);
    else store.set(key, JSON.stringify(row));
  }
}

/** In an order of the database's own. */
function rowsOf(store: Map<string, string>): StateRow[] {
  return [...store.values()].toSorted().map((text) => JSON.parse(text) as StateRow);
}
