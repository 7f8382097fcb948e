import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Calendar } from "../rules/types.ts";
import { compileCalendar } from "./calendar.ts";

function calendar(cron: string, lasts: string, zone = "UTC"): Calendar {
  const compiled = compileCalendar({ cron, for: lasts, zone });
  assert.ok(compiled.ok, JSON.stringify(compiled));
  return compiled.calendar;
}

/** Until when the window lasts that a moment lies in, as ISO text. */
function until(found: Calendar, moment: string): string | undefined {
  const covered = found.covers(Date.parse(moment));
  return covered === undefined ? undefined : new Date(covered.until).toISOString().replace(".000Z", "Z");
}

test("a window lasts from a due time up to its end, which is not in it", () => {
  const nightly = calendar("0 2 * * *", "2h");
  assert.equal(until(nightly, "2026-05-01T01:59:59.999Z"), undefined);
  assert.equal(until(nightly, "2026-05-01T02:00:00Z"), "2026-05-01T04:00:00Z");
  assert.equal(until(nightly, "2026-05-01T03:59:59.999Z"), "2026-05-01T04:00:00Z");
  assert.equal(until(nightly, "2026-05-01T04:00:00Z"), undefined);
  assert.equal(nightly.text, "0 2 * * * UTC for 2 h 0 min");
});

test("the zone's own time counts, in winter and in summer", () => {
  const nightly = calendar("0 2 * * *", "1h", "Europe/Berlin");
  assert.equal(until(nightly, "2026-01-10T01:30:00Z"), "2026-01-10T02:00:00Z");
  assert.equal(until(nightly, "2026-07-10T00:30:00Z"), "2026-07-10T01:00:00Z");
  assert.equal(until(nightly, "2026-07-10T01:30:00Z"), undefined);
});

test("in the night without 02:00 the window begins when the clock has jumped to 03:00, and is no shorter", () => {
  const nightly = calendar("0 2 * * *", "2h", "Europe/Berlin");
  assert.equal(until(nightly, "2026-03-29T00:59:59Z"), undefined);
  assert.equal(until(nightly, "2026-03-29T01:00:00Z"), "2026-03-29T03:00:00Z");
  assert.equal(until(nightly, "2026-03-29T03:00:00Z"), undefined);
});

test("in the night that has 02:00 twice the window begins at the first and is no longer", () => {
  const nightly = calendar("0 2 * * *", "1h", "Europe/Berlin");
  assert.equal(until(nightly, "2026-10-24T23:59:59Z"), undefined);
  assert.equal(until(nightly, "2026-10-25T00:00:00Z"), "2026-10-25T01:00:00Z", "02:00 in summer time");
  assert.equal(until(nightly, "2026-10-25T01:00:00Z"), undefined, "02:00 in winter time");
  assert.equal(until(nightly, "2026-10-26T01:00:00Z"), "2026-10-26T02:00:00Z");
});

test("a window that begins before the clock is changed ends after its time, not by the clock on the wall", () => {
  assert.equal(until(calendar("0 1 * * *", "3h", "Europe/Berlin"), "2026-03-29T02:59:59Z"), "2026-03-29T03:00:00Z");
  assert.equal(until(calendar("0 1 * * *", "3h", "Europe/Berlin"), "2026-10-25T01:59:59Z"), "2026-10-25T02:00:00Z");
});

test("the next window is told, over a change of the clock, too", () => {
  const nightly = calendar("0 2 * * *", "2h", "Europe/Berlin");
  const next = (moment: string) => new Date(nightly.next(Date.parse(moment))!).toISOString();
  assert.equal(next("2026-01-10T03:00:00Z"), "2026-01-11T01:00:00.000Z");
  assert.equal(next("2026-03-29T05:00:00Z"), "2026-03-30T00:00:00.000Z");
  assert.equal(next("2026-01-10T01:00:00Z"), "2026-01-11T01:00:00.000Z", "after the moment");
});

test("windows that run into each other never leave a gap", () => {
  const always = calendar("*/10 * * * *", "10m", "Europe/Berlin");
  for (const day of ["2026-03-29", "2026-10-25", "2026-06-01"])
    for (let minute = 0; minute < 1440; minute += 7) assert.ok(always.covers(Date.parse(day) + minute * 60_000), `${day} ${minute}`);
});

test("days of the week and nicknames", () => {
  const weekend = calendar("0 0 * * 6", "48h");
  assert.equal(until(weekend, "2026-05-03T12:00:00Z"), "2026-05-04T00:00:00Z", "Sunday");
  assert.equal(until(weekend, "2026-05-04T12:00:00Z"), undefined, "Monday");
  assert.equal(until(calendar("@daily", "1h"), "2026-05-04T00:30:00Z"), "2026-05-04T01:00:00Z");
});

test("the same moment has the same answer whatever was asked before", () => {
  const nightly = calendar("30 2 * * *", "90m", "Europe/Berlin");
  fc.assert(
    fc.property(fc.integer({ min: 1_767_225_600_000, max: 1_798_761_600_000 }), (now) => {
      const covered = nightly.covers(now);
      assert.deepEqual(calendar("30 2 * * *", "90m", "Europe/Berlin").covers(now), covered);
      assert.ok(covered === undefined || (covered.until > now && covered.until <= now + 90 * 60_000));
    }),
    { numRuns: 200 },
  );
});
