import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { durationMs, formatDuration, parseDuration, parseWhen } from "./duration.ts";

test("a duration is the sum of its parts", () => {
  for (const [text, ms] of [
    ["500ms", 500],
    ["15m", 900_000],
    ["1h30m", 5_400_000],
    ["1.5s", 1_500],
    ["2d", 172_800_000],
    ["1w", 604_800_000],
    ["0s", 0],
  ] as const) {
    assert.equal(parseDuration(text), ms, text);
    assert.equal(durationMs(text), ms, text);
  }
});

test("what is no duration is none, rather than something near it", () => {
  for (const text of ["", "5", "m", "-5m", "5 m", "5min", "1h 30m", "5m\n", ".5s", "1e3s", "5M"])
    assert.equal(parseDuration(text), undefined, text);
});

test("a duration of whole units comes back for any numbers", () => {
  const part = fc.integer({ min: 0, max: 10_000 });
  fc.assert(
    fc.property(part, part, part, (hours, seconds, ms) => {
      assert.equal(parseDuration(`${hours}h${seconds}s${ms}ms`), hours * 3_600_000 + seconds * 1_000 + ms);
    }),
  );
});

test("a point in time is an ISO time, or a duration ago", () => {
  const now = Date.parse("2026-11-22T10:00:00Z");
  assert.equal(parseWhen("15m", now), now - 900_000);
  assert.equal(parseWhen("2026-11-22T09:00:00Z", now), now - 3_600_000);
  assert.equal(parseWhen("2026-11-22", now), Date.parse("2026-11-22T00:00:00Z"));
  for (const text of ["yesterday", "12", "2026", "2026-13-45", ""]) assert.equal(parseWhen(text, now), undefined, text);
});

test("a duration is shown in the unit that suits it", () => {
  for (const [ms, text] of [
    [0.85, "850 µs"],
    [3.21, "3.2 ms"],
    [42.4, "42 ms"],
    [1_500, "1.5 s"],
    [12_000, "12 s"],
    [245_000, "4 min 5 s"],
    [11_520_000, "3 h 12 min"],
    [187_200_000, "2 d 4 h"],
  ] as const) {
    assert.equal(formatDuration(ms), text);
  }
});
