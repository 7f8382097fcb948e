import assert from "node:assert/strict";
import { test } from "node:test";
import type { DecisionView } from "@needfire/shared/api";
import { Output } from "./output.ts";
import { decisionLines } from "./render.ts";

const until = "2026-01-02T12:00:00.000Z";
const throttled: DecisionView = {
  reactor: "ssh-bruteforce",
  decision: "throttled",
  detail: `throttled until ${until}; fired at 2026-01-02T11:50:00.000Z by web1:mi4k2x:42, and "${until}" is a value`,
  source: "recorded",
};
const outputOf = (width: number | undefined) => new Output({ json: false, colour: false, width, now: () => Date.parse(until) });

test("a reason has its times local, as all that people read; what an event holds stays as it is", () => {
  const out = outputOf(undefined);
  const [line] = decisionLines(out, [throttled], 0);
  assert.ok(line!.includes(`throttled until ${out.time(until)};`), line);
  assert.ok(line!.endsWith(`and "${until}" is a value`), line);
});

test("a reason fits the terminal, further lines indented", () => {
  const lines = decisionLines(outputOf(60), [throttled], 2);
  assert.ok(lines.length > 2);
  for (const [index, line] of lines.entries()) {
    assert.ok(line.length <= 58, line);
    assert.equal(line.startsWith("    "), index > 0, line);
  }
});
