import assert from "node:assert/strict";
import { test } from "node:test";
import { loadOwnAction, ownArgv } from "./own-action.ts";
import { loadReactors } from "./reactor.ts";
import { problemText } from "./yaml-file.ts";

const restart = `name: local.restart-app
description: Restart one instance.
args:
  type: object
  properties:
    instance: { type: string, pattern: "^[a-z]+$" }
    hard: { type: boolean, default: false }
    times: { type: array }
    note: { type: string }
  required: [instance]
argv: [/usr/local/sbin/app, restart, "\${{ args.instance }}", "\${{args.hard}}"]
`;

function problemsOf(text: string, file = "restart-app.yaml"): string[] {
  const loaded = loadOwnAction(file, text);
  return loaded.ok ? [] : loaded.problems.map(problemText);
}

test("a value is a whole argument of the program, whatever is in it", () => {
  const loaded = loadOwnAction("/etc/needfire/actions/restart-app.yaml", restart);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const hostile = "-rf $(id) `id` 'x' \"y\"\n;";
  assert.deepEqual(ownArgv(loaded.action.argv, { instance: hostile, hard: true }), ["/usr/local/sbin/app", "restart", hostile, "true"]);
  assert.deepEqual(loaded.action.checkArgs({ instance: "a" }), { ok: true, value: { instance: "a", hard: false } });
  assert.equal(loaded.action.checkArgs({ instance: "A" }).ok, false);
  assert.equal(loaded.action.checkArgs({ instance: "a", more: 1 }).ok, false, "what the schema does not name is not taken");
});

test("what is wrong with a file is told with its place", () => {
  const argv = (words: string) => restart.replace(/^argv: .*$/m, `argv: ${words}`);
  assert.deepEqual(problemsOf(restart, "other.yaml"), [
    "other.yaml:1:7: this file is for local.other or master.other: name the action after its file, or the file after it",
  ]);
  assert.match(problemsOf(argv('[app, "x${{ args.instance }}"]'))[0] ?? "", /^restart-app\.yaml:11:13: a value is a whole word/);
  assert.match(problemsOf(argv('[app, "${{ args.none }}"]'))[0] ?? "", /:11:13: there is no argument "none"/);
  assert.match(problemsOf(argv('[app, "${{ args.times }}"]'))[0] ?? "", /:11:13: the argument "times" must have the type string/);
  assert.match(problemsOf(argv('[app, "${{ args.note }}"]'))[0] ?? "", /:11:13: the argument "note" may be missing/);
  assert.match(problemsOf(argv('["${{ args.instance }}"]'))[0] ?? "", /:11:8: the program itself is none of the arguments/);
  assert.match(problemsOf(restart.replace("type: array", "type: list"))[0] ?? "", /:4:3: this is no JSON Schema: /);
  assert.match(problemsOf(`${restart}unchanged_codes: [0]\n`)[0] ?? "", /:12:18: 0 cannot mean both/);
  assert.match(problemsOf(`${restart}---\n${restart}`)[0] ?? "", /a file holds one action/);
  assert.match(problemsOf("")[0] ?? "", /there is no action in this file/);
  assert.match(problemsOf(restart.replace("local.restart-app", "local.../x"))[0] ?? "", /:1:7: /);
});

test("a reactor is checked against the master's copy when it is read, with its place", () => {
  const files: Record<string, string> = { "../actions/restart-app.yaml": restart, "../actions/broken.yaml": "name: local.broken\n" };
  const load = (step: string) => {
    const loaded = loadReactors("r.yaml", `name: heal\non: app.stuck\ndo:\n  - ${step}\n`, { file: (path) => files[path] });
    return loaded.ok ? [] : loaded.problems.map(problemText);
  };
  assert.deepEqual(load('local.restart-app: { instance: "${{ event.data.instance }}" }'), []);
  assert.match(load("local.restart-app: { instance: A }")[0] ?? "", /^r\.yaml:4:\d+: local\.restart-app: /);
  assert.match(load("local.restart-app: {}")[0] ?? "", /the key "instance" is missing/);
  assert.match(load('local.restart-app: { instance: x, hard: "${{ 1 }}" }')[0] ?? "", /hard|boolean/);
  assert.match(load("local.none: {}")[0] ?? "", /^r\.yaml:4:5: there is no \.\.\/actions\/none\.yaml \(seen from this file\)/);
  assert.match(load("local.broken: {}")[0] ?? "", /^r\.yaml:4:5: local\.broken: \.\.\/actions\/broken\.yaml:1:1: /);
});
