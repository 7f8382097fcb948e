import assert from "node:assert/strict";
import { test } from "node:test";
import { growthOf } from "./growth.ts";
import type { Usage } from "./usage.ts";

const usage = (more: Partial<Usage> = {}): Usage => ({
  ...{ private_mb: 40, rss_mb: 80, handles: 30, inotify_watches: 12, threads: 11, children: 0 },
  ...more,
});
const grew = (samples: Usage[]) => growthOf(samples).flatMap(({ what, grew: did }) => (did ? [what] : []));

test("what goes up and down is no growth", () => {
  const samples = [30, 44, 41, 39, 43, 42].map((private_mb, index) => usage({ private_mb: private_mb + 10, handles: 30 + (index % 2) }));
  assert.deepEqual(grew(samples), []);
});

test("what is more at every rest of the second half is growth, of each kind", () => {
  const samples = Array.from({ length: 6 }, (_, index) =>
    usage({ private_mb: 40 + 4 * index, handles: 30 + 2 * index, inotify_watches: 12 + 3 * index, threads: 11, children: index }),
  );
  assert.deepEqual(grew(samples), ["private_mb", "handles", "inotify_watches", "children"]);
});

test("one sample that is high is no growth: what leaks is in every one", () => {
  const samples = [usage({ handles: 31 }), usage({ handles: 30 }), usage({ handles: 30 }), usage({ handles: 34 })];
  assert.deepEqual(grew(samples), []);
});
