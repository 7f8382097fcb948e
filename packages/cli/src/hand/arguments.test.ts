import assert from "node:assert/strict";
import { test } from "node:test";
import { actions, argsCheckers } from "@needfire/shared/action";
import { argumentsOf } from "./arguments.ts";

const run = actions["command.run"].args;

test("a value is what the action's schema wants: a text, a number, a truth, a list, an object", () => {
  const words = [
    "argv=ls",
    "argv=-l",
    "argv=007",
    "shell=false",
    "output_bytes_max=100",
    "success_codes=0",
    "success_codes=3",
    "timeout=5",
  ];
  const args = argumentsOf([...words, 'env={"A": "1"}'], run);
  assert.deepEqual(args, {
    ...{ argv: ["ls", "-l", "007"], shell: false, output_bytes_max: 100, success_codes: [0, 3], timeout: "5", env: { A: "1" } },
  });
});

test("a list is given item by item, as JSON, or as one item that only looks like JSON", () => {
  assert.deepEqual(argumentsOf(["argv=one"], run), { argv: ["one"] });
  assert.deepEqual(argumentsOf(['argv=["a","b c"]'], run), { argv: ["a", "b c"] });
  assert.deepEqual(argumentsOf(["argv=[a"], run), { argv: ["[a"] });
  assert.deepEqual(argumentsOf(["argv="], run), { argv: [""] });
});

test("a text stays as it is: what is after the first = belongs to it", () => {
  const write = actions["file.write"].args;
  for (const content of ["a=b", "", "$(id)\n'\"", "-x", "42", "true", "[1]"])
    assert.equal(argumentsOf([`content=${content}`], write)["content"], content);
});

test("what does not fit is left for the master, which says what was expected", () => {
  const args = argumentsOf(["argv=ls", "output_bytes_max=many", "shel=true"], run);
  assert.deepEqual([args["output_bytes_max"], args["shel"]], ["many", "true"]);
  const checked = argsCheckers["command.run"](args);
  assert.ok(!checked.ok);
  assert.match(checked.problems.map(({ message }) => message).join("; "), /did you mean "shell"\?.*expected integer, got "many"/);
});

test("key=value adds to JSON and wins; an action that is not known here takes texts", () => {
  assert.deepEqual(argumentsOf(["timeout=5s"], run, { argv: ["ls"], timeout: "1s" }), { argv: ["ls"], timeout: "5s" });
  assert.deepEqual(argumentsOf(["n=1"], undefined), { n: "1" });
});

test("a word that is no key=value, and one value given twice, are refused", () => {
  for (const word of ["nonsense", "=x", ""])
    assert.throws(() => argumentsOf([word], run), { code: "BAD_REQUEST", message: /expected key=value/ });
  assert.throws(() => argumentsOf(["timeout=1s", "timeout=2s"], run), { code: "BAD_REQUEST", message: /given 2 times/ });
});
