import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileCron } from "@needfire/shared/cron";
import { judgeSchedule, type Schedule } from "./schedule-judge.ts";

function schedule(pattern: string, options: Partial<Schedule> & { zone?: string } = {}): Schedule {
  const compiled = compileCron(pattern, options.zone ?? "UTC");
  assert.ok(compiled.ok);
  return { cron: compiled.cron, missed: "skip", delayMs: () => 0, ...options };
}

const at = Date.parse;
const iso = (ms: number) => new Date(ms).toISOString().replace(".000Z", "Z");

/** What is told when one looks at these moments and whenever it says to look, up to the last of them. */
function told(scheduled: Schedule, { last, looks }: { last: string; looks: string[] }): string[] {
  const said: string[] = [];
  let handled = at(last);
  for (const [index, text] of looks.entries()) {
    let now = at(text);
    const until = index + 1 < looks.length ? now : Number.POSITIVE_INFINITY;
    for (let rounds = 0; rounds < 100; rounds += 1) {
      const judged = judgeSchedule(scheduled, handled, now);
      if (judged.kind === "wait") {
        if (judged.until === undefined || judged.until > until || said.length > 3) break;
        now = judged.until;
      } else if (judged.kind === "pass") handled = judged.last;
      else {
        said.push(`${iso(judged.due)} at ${iso(now)}${judged.missed > 0 ? ` missed ${judged.missed}` : ""}`);
        handled = judged.due;
      }
    }
  }
  return said;
}

test("each due time is told at its time", () => {
  assert.deepEqual(told(schedule("0 2 * * *"), { last: "2026-01-10T12:00:00Z", looks: ["2026-01-10T12:00:00Z"] }).slice(0, 2), [
    "2026-01-11T02:00:00Z at 2026-01-11T02:00:00Z",
    "2026-01-12T02:00:00Z at 2026-01-12T02:00:00Z",
  ]);
});

test("where the clock is changed, a night has one due time, at the gap's end or the first of the two", () => {
  const nightly = schedule("30 2 * * *", { zone: "Europe/Berlin" });
  const dues = (last: string) => told(nightly, { last, looks: [last] }).map((text) => text.slice(0, 20));
  assert.deepEqual(dues("2026-03-28T12:00:00Z").slice(0, 2), ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
  assert.deepEqual(dues("2026-10-24T12:00:00Z").slice(0, 2), ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
});

test("what was missed is passed over, or told once with how many", () => {
  const looks = ["2026-01-10T12:30:00Z"];
  const last = "2026-01-10T08:00:00Z";
  assert.deepEqual(told(schedule("0 * * * *"), { last, looks })[0], "2026-01-10T13:00:00Z at 2026-01-10T13:00:00Z");
  assert.deepEqual(told(schedule("0 * * * *", { missed: "once" }), { last, looks }).slice(0, 2), [
    "2026-01-10T12:00:00Z at 2026-01-10T12:30:00Z missed 4",
    "2026-01-10T13:00:00Z at 2026-01-10T13:00:00Z",
  ]);
});

test("a due time of less than a minute ago is on time; those before it are not", () => {
  const looks = ["2026-01-10T12:00:40Z"];
  const last = "2026-01-10T10:00:00Z";
  assert.equal(told(schedule("0 * * * *"), { last, looks })[0], "2026-01-10T12:00:00Z at 2026-01-10T12:00:40Z");
  assert.equal(
    told(schedule("0 * * * *", { missed: "once" }), { last, looks })[0],
    "2026-01-10T12:00:00Z at 2026-01-10T12:00:40Z missed 1",
  );
});

test("with a jitter a due time waits, over a restart as well, and is not taken for missed", () => {
  const jittered = schedule("0 2 * * *", { delayMs: () => 1_800_000 });
  const looks = ["2026-01-11T01:00:00Z", "2026-01-11T02:20:00Z", "2026-01-11T02:29:00Z", "2026-01-11T02:29:59Z"];
  assert.equal(told(jittered, { last: "2026-01-10T02:00:00Z", looks })[0], "2026-01-11T02:00:00Z at 2026-01-11T02:30:00Z");
});

test("a clock that is put back tells nothing twice; one that was wrong by hours begins anew", () => {
  const minutely = schedule("* * * * *");
  assert.deepEqual(judgeSchedule(minutely, at("2026-01-10T12:00:00Z"), at("2026-01-10T11:30:00Z")), {
    kind: "wait",
    until: at("2026-01-10T12:01:00Z"),
  });
  assert.deepEqual(judgeSchedule(minutely, at("2031-01-01T00:00:00Z"), at("2026-01-10T11:30:00Z")), {
    kind: "pass",
    last: at("2026-01-10T11:30:00Z"),
  });
});

test("a year that was missed is counted up to a thousand, and soon", () => {
  const judged = judgeSchedule(schedule("* * * * *", { missed: "once" }), at("2025-01-10T12:00:00Z"), at("2026-01-10T12:00:00Z"));
  assert.deepEqual(judged, { kind: "tell", due: at("2026-01-10T12:00:00Z"), missed: 1_000 });
});

test("whenever one looks, and however the clock is stepped, no due time is told twice", () => {
  const step = fc.oneof(fc.integer({ min: -1_800_000, max: 7_200_000 }), fc.integer({ min: 0, max: 90_000 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom("skip", "once"), fc.nat(600_000), (steps, missed, delay) => {
      const scheduled = schedule("*/5 * * * *", { missed: missed as "skip" | "once", delayMs: () => delay });
      let now = at("2026-01-10T12:00:00Z");
      let last = now;
      const dues = new Set<number>();
      for (const ms of steps) {
        now += ms;
        for (let rounds = 0; ; rounds += 1) {
          assert.ok(rounds < 10, "it goes round in circles");
          const judged = judgeSchedule(scheduled, last, now);
          if (judged.kind === "wait") break;
          if (judged.kind === "tell") {
            assert.ok(!dues.has(judged.due), iso(judged.due));
            dues.add(judged.due);
            last = judged.due;
          } else {
            if (judged.last === now && last - now > 3_600_000) dues.clear();
            last = judged.last;
          }
        }
      }
    }),
  );
});
