import assert from "node:assert/strict";
import { test } from "node:test";
import { causeFilter, mayHaveEffects } from "./cause-filter.ts";

test("a filter has all that went in, and hardly anything else", () => {
  const causes = Array.from({ length: 5_000 }, (_value, index) => `web1:mi4k2x:${index}`);
  const filter = causeFilter(causes)!;
  assert.ok(causes.every((cause) => mayHaveEffects(filter, cause)));
  const others = Array.from({ length: 5_000 }, (_value, index) => `web2:mi4k2x:${index}`);
  const wrong = others.filter((cause) => mayHaveEffects(filter, cause)).length;
  assert.ok(wrong < 150, `${wrong} of 5000 were taken for causes`);
});

test("without causes a filter has none; with too many there is no filter", () => {
  assert.equal(mayHaveEffects(causeFilter([])!, "web1:e1:1"), false);
  assert.equal(causeFilter(Array.from({ length: 60_000 }, (_value, index) => String(index))), undefined);
});
