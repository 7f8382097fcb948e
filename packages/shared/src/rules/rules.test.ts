import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Rules } from "./rules.ts";
import { type RuleSource, type Said, type Silence, SlowModel } from "./slow-model.ts";
import { anyRule, anyRules, anySilences, anyTimeline, indexOf, type Moment, saidOf, seenOf, worldOf } from "./timelines.ts";
import type { Judgement, StateRow } from "./types.ts";

const runs = Number(process.env["RULES_RUNS"] ?? 1_500);

/** Judges each moment, and says what was said. */
function live(rules: Rules, moments: readonly Moment[]): Said[][] {
  return moments.map((moment) => saidOf(judge(rules, moment).decisions));
}

function judge(rules: Rules, moment: Moment): Judgement {
  return moment.kind === "tick" ? rules.tick(moment.at) : rules.hear(seenOf(moment.event));
}

function model(sources: RuleSource[], silences: Silence[], moments: readonly Moment[]): Said[][] {
  const slow = new SlowModel(sources, silences);
  return moments.map((moment) => (moment.kind === "tick" ? slow.tick(moment.at) : slow.hear(moment.event)));
}

/** The model does not know which events the values can see. */
function withoutUnseen(sources: RuleSource[], said: Said[][]): Said[][] {
  const keeps = new Set(sources.filter((source) => JSON.stringify(source.do).includes("matched")).map(({ name }) => name));
  return said.map((moment) =>
    moment.map((each) =>
      each.firing === undefined || keeps.has(each.reactor) ? each : { ...each, firing: { ...each.firing, matched: {} } },
    ),
  );
}

test("one rule of any kind decides as the slow model does, at every moment", () => {
  fc.assert(
    fc.property(anyRule(), anySilences, anyTimeline(30), (rule, silences, moments) => {
      const said = live(new Rules(indexOf([rule]), worldOf(silences)), moments);
      assert.deepEqual(said, withoutUnseen([rule], model([rule], silences, moments)));
    }),
    { numRuns: 3 * runs },
  );
});

test("rules that inhibit each other decide as in the slow model", () => {
  fc.assert(
    fc.property(anyRules, anySilences, anyTimeline(25), (rules, silences, moments) => {
      const said = live(new Rules(indexOf(rules), worldOf(silences)), moments);
      assert.deepEqual(said, withoutUnseen(rules, model(rules, silences, moments)));
    }),
    { numRuns: runs },
  );
});
