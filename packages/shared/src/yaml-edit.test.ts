import assert from "node:assert/strict";
import { test } from "node:test";
import { setYamlKeys } from "./yaml-edit.ts";

test("a key is set where it stands, or added; all other keys and their comments stay", () => {
  const before = "# mine\nid: web1 # the id\npolicy:\n  deny:\n    paths: [ /etc/shadow ] # never\n";
  const after = setYamlKeys(before, { id: "web2", "policy.allow.commands": ["nginx -t"], state: "/s" });
  assert.equal(
    after,
    "# mine\nid: web2\npolicy:\n  deny:\n    paths: [ /etc/shadow ] # never\n  allow:\n    commands:\n      - nginx -t\nstate: /s\n",
  );
  assert.equal(setYamlKeys(after, { "policy.allow.commands": "any" }).match(/commands: any/g)?.length, 1);
  assert.equal(setYamlKeys("", { "policy.allow.commands": "any" }), "policy:\n  allow:\n    commands: any\n");
});

test("what is no map, and a key below a value that is none, is told", () => {
  for (const text of ["- a\n", "a: [\n", "policy: none\n"])
    assert.throws(() => setYamlKeys(text, { "policy.allow.commands": "any" }), { code: "CONFIG_INVALID" }, text);
});
