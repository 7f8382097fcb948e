import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { contextOf } from "./actions/fixture.ts";
import { Fixture } from "./beacons/fixture.ts";
import { OwnActions } from "./own-actions.ts";

function setting(t: TestContext, files: Readonly<Record<string, string>>) {
  const f = new Fixture();
  t.after(() => f.end());
  mkdirSync(f.path("actions"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(f.path("actions"), `${name}.yaml`), text);
  const own = new OwnActions(f.path("actions"));
  const run = async (name: `local.${string}`, args: object, dryRun = false) => {
    const prepared = own.prepare(name, args);
    assert.ok(prepared.ok, JSON.stringify(prepared));
    return prepared.action.run(contextOf(f, { dryRun }));
  };
  return { f, own, run };
}

const say = (more: string) => `name: local.say
description: Say it.
args: { properties: { text: { type: string } }, required: [text] }
argv: [/bin/sh, -c, 'printf %s "$1"', sh, "\${{ args.text }}"]
${more}`;
const exits = (more: string) => `name: local.exits
description: End as it is told.
args: { properties: { code: { type: integer } }, required: [code] }
argv: [/bin/sh, -c, 'exit "$1"', sh, "\${{ args.code }}"]
${more}`;

test("whatever is in a value, it reaches the program as one literal argument", async (t) => {
  const { run } = setting(t, { say: say("") });
  for (const text of ["--help", "a b", "$(id)", "`id`", "'\"", "a\nb", "; rm -rf /", "${{ args.text }}"]) {
    const { outcome, result } = await run("local.say", { text });
    assert.deepEqual([outcome, result?.["stdout"]], ["succeeded", text]);
  }
});

test("its exit code says whether it worked and whether something changed", async (t) => {
  const { run } = setting(t, { exits: exits("unchanged_codes: [3]\n") });
  const ends = async (code: number) => {
    const { outcome, changed, message } = await run("local.exits", { code });
    return [outcome, changed, message];
  };
  assert.deepEqual(await ends(0), ["succeeded", true, undefined]);
  assert.deepEqual(await ends(3), ["succeeded", false, undefined]);
  assert.deepEqual(await ends(4), ["failed", true, "exited with 4"]);
});

test("what it prints is held against its result's schema", async (t) => {
  const { run } = setting(t, { say: say("result: { properties: { count: { type: integer } }, required: [count] }\n") });
  const { outcome, result } = await run("local.say", { text: '{ "count": 3 }' });
  assert.deepEqual([outcome, result?.["output"]], ["succeeded", { count: 3 }]);
  assert.match((await run("local.say", { text: '{ "count": "x" }' })).message ?? "", /^what it printed is not as `result` says: count: /);
  assert.match((await run("local.say", { text: "nothing" })).message ?? "", /^what it printed is no JSON: /);
  assert.equal((await run("local.say", { text: "[]" })).message, "what it printed is no JSON object");
});

test("a dry run starts nothing but what the file names for it", async (t) => {
  const { run } = setting(t, { say: say(""), exits: exits('dry_run: [/bin/sh, -c, "exit 3"]\nunchanged_codes: [3]\n') });
  const said = await run("local.say", { text: "x y" }, true);
  assert.equal(said.message, `would run ["/bin/sh","-c","printf %s \\"$1\\"","sh","x y"]`);
  assert.equal(said.result, undefined);
  const { outcome, changed } = await run("local.exits", { code: 9 }, true);
  assert.deepEqual([outcome, changed], ["succeeded", false]);
});

test("a host that lacks the file, has a bad one, or gets other arguments refuses with what to do; a new file counts at once", (t) => {
  const { f, own } = setting(t, { say: "name: local.say\n", exits: exits("") });
  const reason = (name: `local.${string}`, args: object) => {
    const prepared = own.prepare(name, args);
    return prepared.ok ? "" : prepared.reason;
  };
  const file = (name: string) => join(f.path("actions"), `${name}.yaml`);
  assert.equal(reason("local.none", {}), `${file("none")}:1:1: this host has no such action: put its file there`);
  assert.match(reason("local.say", {}), /say\.yaml:1:1: the key "description" is missing/);
  assert.match(reason("local.exits", { code: "x" }), /^arguments: code: expected /);
  assert.deepEqual(
    own.problems().map(({ file: at, line }) => [at, line]),
    [
      [file("say"), 1],
      [file("say"), 1],
    ],
  );
  writeFileSync(file("say"), say(""));
  assert.equal(reason("local.say", { text: "x" }), "");
  assert.deepEqual(own.problems(), []);
});
