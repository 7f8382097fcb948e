import assert from "node:assert/strict";
import { test } from "node:test";
import { judged, type Limits, reachOf, step } from "./reachability-state.ts";

const limits: Limits = { attempts: 2, successes: 1, slowAboveMs: 500, clearBelowMs: 300 };

/** One answer a second: its latency, or x for none. Every turn as "second: from>to since lasted checks". */
function turns(answers: string, own: Partial<Limits> = {}): string[] {
  const all = { ...limits, ...own };
  let reach = reachOf("up", 0);
  return answers.split(" ").flatMap((text, second) => {
    const answer = text === "x" ? { ok: false, latencyMs: 0 } : { ok: true, latencyMs: Number(text) };
    const stepped = step(reach, { seen: judged(reach.state, answer, all), now: second * 1_000 }, all);
    reach = stepped.reach;
    const { turn } = stepped;
    return turn === undefined ? [] : [`${second}: ${turn.from}>${turn.to} ${turn.since} ${turn.lastedMs} ${turn.checks}`];
  });
}

for (const [promise, answers, expected, own] of [
  ["one failure among answers is nothing", "10 x 10 x 10", [], {}],
  ["failures in a row are told once, from the first of them", "10 x x x x", ["2: up>down 1000 1000 2"], {}],
  [
    "the first answer ends it, and what it lasted goes from failure to answer",
    "x x x 10 10",
    ["1: up>down 0 0 2", "3: down>up 3000 3000 1"],
    {},
  ],
  [
    "with successes one answer among failures does not end it",
    "x x 10 x 10 10",
    ["1: up>down 0 0 2", "5: down>up 4000 4000 2"],
    { successes: 2 },
  ],
  ["slow is told after as many slow answers", "501 10 501 502 600", ["3: up>slow 2000 2000 2"], {}],
  ["between the two limits it stays what it is", "400 501 501 400 400 299 400", ["2: up>slow 1000 1000 2", "5: slow>up 5000 4000 1"], {}],
  [
    "with one limit an answer right on it is not slow",
    "501 501 500",
    ["1: up>slow 0 0 2", "2: slow>up 2000 2000 1"],
    { clearBelowMs: 500 },
  ],
  ["slow and failing in turn is slow, failing in a row is down", "501 x 501 x x", ["2: up>slow 0 0 3", "4: slow>down 3000 3000 2"], {}],
  [
    "what answers again, but slowly, is slow and not up",
    "x x 600 10",
    ["1: up>down 0 0 2", "2: down>slow 2000 2000 1", "3: slow>up 3000 1000 1"],
    {},
  ],
] as const) {
  test(promise, () => assert.deepEqual(turns(answers, own), expected));
}
