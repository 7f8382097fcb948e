import assert from "node:assert/strict";
import { test } from "node:test";
import { compileTarget } from "./target.ts";

const agent = { id: "web1", labels: { role: "web" }, facts: { cores: 4, os: { family: "debian" } } };

function hits(targets: string | string[]): boolean {
  const compiled = compileTarget(targets);
  assert.ok(compiled.ok, JSON.stringify(compiled));
  return compiled.test(agent);
}

test("a target is a glob on the id, a list of globs, or CEL over labels and facts", () => {
  for (const target of [
    "*",
    "web1",
    "web*",
    "{web,db}?",
    ["db1", "web*"],
    "agent.labels.role == 'web'",
    "agent.facts.cores > 2 && agent.facts.os.family == 'debian'",
    "agent.id.startsWith('web')",
  ]) {
    assert.equal(hits(target), true, String(target));
  }
  for (const target of ["db*", "web", ["db1", "mail"], "agent.labels.role == 'db'"]) assert.equal(hits(target), false, String(target));
});

test("a label or fact that an agent does not have makes it no target", () => {
  assert.equal(hits("agent.labels.site == 'x'"), false);
  assert.equal(hits("agent.facts.gpu.cores > 1"), false);
});

test("what is neither glob nor condition is refused with its place", () => {
  for (const target of ["agent.labels.role ==", "event.type == 'x'", "1 + 1", "web 1"]) {
    const compiled = compileTarget(target);
    assert.ok(!compiled.ok, target);
    assert.ok(compiled.offset >= 0 && compiled.offset <= target.length);
  }
});
