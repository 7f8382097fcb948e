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
const scenarios = "reactors/scenarios";

/** In the root, with Node 24. */
function needfire(...words: string[]): { code: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...words], { cwd: root, encoding: "utf8", timeout: 120_000 });
  return { code: status, said: stdout + stderr };
}

test("our reactors and all examples pass reactors check --strict", () => {
  const { code, said } = needfire("reactors", "check", "--strict", "reactors", examples, scenarios);
  assert.equal(code, 0, said);
  assert.match(said, /^ok: \d+ reactors in \d+ files\n$/);
});

test("each of them has a test that passes, and the tests have seen every condition and outcome", () => {
  const { code, said } = needfire("reactors", "test", "--strict", "--coverage-min", "100", "reactors", examples, scenarios);
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

test("the table of the library names every reactor of it, each stands beside its tests, and none of the scenarios is in force by surprise", () => {
  const table = readFileSync(join(root, "reactors", "README.md"), "utf8");
  const named = [...table.matchAll(/\]\(([a-z/-]+\.yaml)\)/g)].map((match) => match[1]!);
  const there = ["", "scenarios"].flatMap((folder) => {
    const names = readdirSync(join(root, "reactors", folder)).filter((name) => name.endsWith(".yaml"));
    for (const name of names) assert.ok(names.includes(name.replace(/(\.test)?\.yaml$/, ".test.yaml")), name);
    return names.filter((name) => !name.endsWith(".test.yaml")).map((name) => join(folder, name));
  });
  assert.deepEqual(named.toSorted(), there.toSorted());
  assert.match(readFileSync(join(root, "scripts", "demo.ts"), "utf8"), /reactors: \[\.\.\/reactors\]/);
});
