/**
 * The YAML that comes with the project: every reactor and every example is clean, tested, and does what its tests promise; and the table
 * that sets other systems beside ours names each example, and no other.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

const root = dirname(import.meta.dirname);
const program = join(root, "packages", "cli", "bin", "needfire.js");
const examples = "reactors/examples";

/** In the root, with Node 24. */
function needfire(...words: string[]): { code: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...words], { cwd: root, encoding: "utf8", timeout: 120_000 });
  return { code: status, said: stdout + stderr };
}

test("our reactors and all examples pass reactors check --strict", () => {
  const { code, said } = needfire("reactors", "check", "--strict", "reactors", examples);
  assert.equal(code, 0, said);
  assert.match(said, /^ok: \d+ reactors in \d+ files\n$/);
});

test("each of them has a test that passes, and the tests have seen every condition and outcome", () => {
  const { code, said } = needfire("reactors", "test", "--strict", "--coverage-min", "100", "reactors", examples);
  assert.equal(code, 0, said);
});

test("the table of other systems names every example, and nothing that is not there", () => {
  const table = readFileSync(join(root, "docs", "guide", "coming-from.md"), "utf8");
  const named = [...table.matchAll(/\(\.\.\/\.\.\/reactors\/examples\/([^)]+)\)/g)].map((match) => match[1]!);
  const there = readdirSync(join(root, examples)).filter((name) => !name.endsWith(".test.yaml"));
  assert.deepEqual([...new Set(named)].toSorted(), there.toSorted());
});

test("every example stands beside its tests", () => {
  const names = readdirSync(join(root, examples));
  for (const name of names.filter((each) => !each.endsWith(".test.yaml")))
    assert.ok(names.includes(name.replace(/\.yaml$/, ".test.yaml")), name);
});
