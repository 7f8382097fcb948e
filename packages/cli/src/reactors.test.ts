/** `needfire reactors check`, `test` and `new`, as people and CI run them. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type FakeMaster, event, startFakeMaster } from "./testing/fake-master.ts";
import { run, start } from "./testing/run.ts";

const folder = mkdtempSync(join(tmpdir(), "needfire-reactors-"));
after(() => rmSync(folder, { recursive: true }));

/** A directory with `reactors/` in it. */
function at(name: string, texts: Record<string, string>): string {
  const place = join(folder, name);
  mkdirSync(join(place, "reactors"), { recursive: true });
  for (const [file, text] of Object.entries(texts)) writeFileSync(join(place, "reactors", file), text);
  return place;
}

const reactor = `name: block
on: login.failed
when: event.data.user != "backup"
correlate: { count: 2, within: 1m, by: event.data.address }
do:
  - command.run: { argv: [block, "\${{ key[0] }}"] }
`;
const testOf = (address: string) => `tests:
  - name: two failures block the address
    timeline:
      - { at: 0s, event: { type: login.failed, data: { user: ann, address: 10.0.0.1 } }, repeat: { times: 2, every: 10s } }
      - { at: 10s, expect: [{ agent: web1, do: [{ command.run: { argv: [block, ${address}] } }] }] }
`;
const good = { "block.yaml": reactor, "block.test.yaml": testOf("10.0.0.1") };
const bad = { "block.yaml": reactor, "block.test.yaml": testOf("10.0.0.2") };

describe("reactors test", () => {
  test("what goes as expected passes, and no master is needed", async () => {
    const ran = await run(["reactors", "test"], { cwd: at("good", good) });
    assert.equal(ran.stdout, "reactors/block.yaml\n  ✓ two failures block the address\n\nok: 1 of 1 test passed\n");
    assert.deepEqual([ran.code, ran.stderr], [0, ""]);
  });

  test("what does not is told with the difference, its place, and why nothing fired before", async () => {
    const ran = await run(["reactors", "test", "reactors/block.test.yaml"], { cwd: at("bad", bad) });
    assert.equal(ran.code, 1);
    assert.match(
      ran.stdout,
      /✗ two failures block the address\n {6}at 10 s \(reactors\/block\.test\.yaml:5\)\n {6}block fired for web1, and not as expected:\n {8}do\[0\]\.command\.run\.argv\[1\]\n {8}- "10\.0\.0\.2"\n {8}\+ "10\.0\.0\.1"\n/,
    );
    assert.match(ran.stdout, /0 s {2}login\.failed {2}block: waiting: 1 of 2 within 1m/);
    assert.match(ran.stdout, /\n1 failed, 0 of 1 test passed\n$/);
  });

  test("a problem of a reactor or a test is told with its place, and is a failure", async () => {
    const cwd = at("wrong", {
      ...good,
      "other.yaml": "name: other\non: a.b\nwhne: x\ndo: [{ event.emit: { type: c.d } }]\n",
      "third.yaml": "name: third\non: a.b\ndo: [{ event.emit: { type: c.d } }]\n",
      "third.test.yaml": "tests:\n  - name: x\n    timelin: []\n",
      "gone.test.yaml": testOf("10.0.0.1"),
    });
    for (const command of ["test", "check"]) {
      const ran = await run(["reactors", command], { cwd });
      assert.equal(ran.code, 1);
      assert.match(ran.stdout, /reactors\/other\.yaml:3:1: unknown key "whne"; did you mean "when"\?\n.*\n> 3 \| whne: x/);
      assert.match(ran.stdout, /reactors\/third\.test\.yaml:3:5: unknown key "timelin"; did you mean "timeline"\?\n.*\n> 3 \|/);
      assert.match(ran.stdout, /reactors\/gone\.test\.yaml:1:1: there is no reactors\/gone\.yaml that these tests could be of/);
    }
  });

  test("a reactor without a test is told, and fails with --strict; no test at all fails", async () => {
    const lonely = "name: lonely\non: a.b\ndo: [{ event.emit: { type: c.d } }]\n";
    const cwd = at("lonely", { ...good, "lonely.yaml": lonely });
    const ran = await run(["reactors", "test"], { cwd });
    assert.match(ran.stdout, /\nno test: lonely \(reactors\/lonely\.yaml:1\)\nok: 1 of 1 test passed\n$/);
    assert.equal(ran.code, 0);
    assert.equal((await run(["reactors", "test", "--strict"], { cwd })).code, 1);
    const none = await run(["reactors", "test", "reactors/lonely.yaml"], { cwd });
    assert.deepEqual([none.code, none.stdout.split("\n").at(-2)], [1, "no test was found"]);
  });

  test("--coverage shows what was seen, and --coverage-min what is too little", async () => {
    const cwd = at("coverage", good);
    const ran = await run(["reactors", "test", "--coverage"], { cwd });
    assert.match(
      ran.stdout,
      /block +when +event\.data\.user != "backup" +✓ +✗\nblock +fires +✓\nblock +waiting +✓\n\ncoverage: 75 % \(3 of 4 in 1 reactor\)/,
    );
    assert.equal(ran.code, 0);
    assert.equal((await run(["reactors", "test", "--coverage-min", "75"], { cwd })).code, 0);
    const little = await run(["reactors", "test", "--coverage-min", "76"], { cwd });
    assert.equal(little.code, 1);
    assert.match(little.stdout, /coverage is below 76 %/);
    assert.equal((await run(["reactors", "test", "--coverage-min", "101"], { cwd })).code, 2);
  });

  test("--json is an object a line, each of a kind", async () => {
    const ran = await run(["reactors", "test", "--json"], { cwd: at("json", bad) });
    assert.equal(ran.code, 1);
    const told = ran.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { kind: string; passed?: boolean; unmet?: { different: unknown[] }[]; coverage_percent?: number });
    assert.deepEqual(
      told.map(({ kind }) => kind),
      ["test", "coverage", "total"],
    );
    assert.equal(told[0]!.passed, false);
    assert.equal(told[0]!.unmet![0]!.different.length, 1);
    assert.equal(told[2]!.coverage_percent, 75);
  });

  test("--junit has a case for each test, and markup in a name is only text", async () => {
    const cwd = at("junit", {
      "block.yaml": reactor,
      "block.test.yaml": testOf("10.0.0.2")
        .replace("two failures", '"<two> & \\u001b[1m"')
        .replace('" block the address', ' block the address"'),
    });
    await run(["reactors", "test", "--junit", "out.xml"], { cwd });
    const xml = readFileSync(join(cwd, "out.xml"), "utf8");
    assert.match(xml, /<testsuite name="reactors\/block\.yaml" tests="1" failures="1" errors="0">/);
    assert.match(xml, /name="&lt;two&gt; &amp; \\x1b\[1m block the address" file="reactors\/block\.test\.yaml" line="2">/);
    assert.match(xml, /<failure message="at 10 s \(reactors\/block\.test\.yaml:5\)">/);
    await run(["reactors", "check", "--junit", "check.xml"], { cwd });
    assert.match(readFileSync(join(cwd, "check.xml"), "utf8"), /<testcase classname="reactors\/block\.yaml" name="check"[^>]*\/>/);
    const strict = at("junit-strict", { "block.yaml": reactor });
    assert.equal((await run(["reactors", "check", "--strict", "--junit", "check.xml"], { cwd: strict })).code, 1);
    assert.match(readFileSync(join(strict, "check.xml"), "utf8"), /failures="1"[^]*<failure message="[^"]*has no test[^"]*\[no-test\]"/);
    const nowhere = await run(["reactors", "check", "--junit", "no/such/place.xml"], { cwd });
    assert.equal(nowhere.code, 1);
    assert.match(nowhere.stderr, /JUnit file cannot be written/);
  });

  test("--watch runs them again when a file changes, until it is told to end", async () => {
    const cwd = at("watch", bad);
    const running = start(["reactors", "test", "--watch"], { cwd });
    await running.said("waits for changes");
    writeFileSync(join(cwd, "reactors", "block.test.yaml"), testOf("10.0.0.1"));
    await running.said("ok: 1 of 1 test passed");
    running.child.kill("SIGINT");
    assert.equal((await running.ended).code, 0);
  });
});

describe("the operator's router", () => {
  const routed = "rules: [{ when: 'event.data.user == \"ann\"', priority: critical, owner: security }]\n";
  const expecting = (what: string) => testOf("10.0.0.1").replace("{ agent: web1,", `{ agent: web1, ${what},`);
  const files = { "block.yaml": reactor, "block.test.yaml": expecting("priority: critical, owner: security") };

  test("tests run by the one in the folder, beside it, or named", async () => {
    const inside = await run(["reactors", "test"], { cwd: at("router-inside", { ...files, "router.yaml": routed }) });
    assert.match(inside.stdout, /\nok: 1 of 1 test passed; router: reactors\/router\.yaml\n$/);
    const cwd = at("router-beside", { ...files, "../router.yaml": routed, "../other.yaml": "rules: []\n" });
    assert.match(
      (await run(["reactors", "test", "reactors/block.yaml"], { cwd })).stdout,
      /\nok: 1 of 1 test passed; router: router\.yaml\n$/,
    );
    const named = await run(["reactors", "test", "--router", "other.yaml"], { cwd });
    assert.equal(named.code, 1);
    assert.match(named.stdout, /priority\n {8}- critical\n {8}\+ normal\n[^]*1 failed, 0 of 1 test passed; router: other\.yaml\n$/);
    const gone = await run(["reactors", "test", "--router", "gone.yaml"], { cwd });
    assert.match(gone.stdout, /^gone\.yaml:1:1: there is no such file/);
    assert.equal(gone.code, 1);
  });

  test("what is wrong in it is a problem with its place, and no test runs by another", async () => {
    for (const place of ["router.yaml", "../router.yaml"]) {
      const cwd = at(`router-bad-${place.length}`, { ...files, [place]: "rules:\n  - { when: event., priority: low }\n" });
      for (const command of ["test", "check"]) {
        const ran = await run(["reactors", command], { cwd });
        assert.equal(ran.code, 1);
        assert.match(ran.stdout, /^(reactors\/)?router\.yaml:2:\d+: in the condition: /);
        assert.doesNotMatch(ran.stdout, /✗/);
      }
      const junit = await run(["reactors", "check", "--junit", "out.xml"], { cwd });
      assert.equal(junit.code, 1);
      assert.match(readFileSync(join(cwd, "out.xml"), "utf8"), /<testsuite name="(reactors\/)?router\.yaml" tests="1" failures="1"/);
    }
  });

  test("a good one is checked along, one that is given alone, too; reactors may stand in a file of that name", async () => {
    const cwd = at("router-checked", { ...good, "../router.yaml": routed });
    assert.equal((await run(["reactors", "check"], { cwd })).stdout, "ok: 1 reactor in 1 file; router: router.yaml\n");
    assert.equal((await run(["reactors", "check", "router.yaml"], { cwd })).stdout, "ok: 0 reactors in 0 files; router: router.yaml\n");
    const devices = at("router-devices", { "router.yaml": reactor, "router.test.yaml": testOf("10.0.0.1") });
    assert.match((await run(["reactors", "test"], { cwd: devices })).stdout, /\nok: 1 of 1 test passed\n$/);
  });

  test("--watch sees it change, though it lies beside the folder", async () => {
    const cwd = at("router-watch", files);
    const running = start(["reactors", "test", "--watch"], { cwd });
    await running.said("waits for changes");
    writeFileSync(join(cwd, "router.yaml"), routed);
    await running.said("ok: 1 of 1 test passed; router: router.yaml");
    running.child.kill("SIGINT");
    assert.equal((await running.ended).code, 0);
  });
});

describe("reactors new", () => {
  let master: FakeMaster | undefined;
  after(() => master?.stop());

  test("what it writes passes check and test at once, in mode shadow, for known types and others", async () => {
    const cwd = at("new", {});
    for (const [name, type] of [
      ["a", "file.changed"],
      ["b", "cpu.high"],
      ["task", "deploy.wanted"],
      ["d", "agent.lost"],
    ])
      assert.equal((await run(["reactors", "new", name!, "--on", type!], { cwd })).code, 0);
    assert.deepEqual(
      readdirSync(join(cwd, "reactors")),
      ["a", "b", "d", "task"].flatMap((name) => [`${name}.test.yaml`, `${name}.yaml`]),
    );
    assert.match(readFileSync(join(cwd, "reactors", "a.yaml"), "utf8"), /^mode: shadow$/m);
    assert.deepEqual((await run(["reactors", "check", "--strict"], { cwd })).stdout, "ok: 4 reactors in 4 files\n");
    const tested = await run(["reactors", "test", "--strict", "--coverage-min", "100"], { cwd });
    assert.equal(tested.code, 0, tested.stdout);
  });

  test("from a recorded event, however hostile its data: they stay data", async () => {
    master = await startFakeMaster(join(folder, "api.sock"));
    const cwd = at("recorded", {});
    const made = await run(["reactors", "new", "drift", "--from", event.id], { cwd, env: { NEEDFIRE_MASTER: master.socket } });
    assert.equal(made.code, 0, made.stderr);
    assert.match(
      readFileSync(join(cwd, "reactors", "drift.yaml"), "utf8"),
      /^on: file\.drifted\nwhen: event\.subject == "\/etc\/app\/app\.conf"$/m,
    );
    assert.match(readFileSync(join(cwd, "reactors", "drift.test.yaml"), "utf8"), /agent: web1[^]*whole: true/);
    assert.equal((await run(["reactors", "test", "--strict"], { cwd })).code, 0);
    assert.equal((await run(["reactors", "check", "--strict"], { cwd })).code, 0);
  });

  test("nothing is ever overwritten, and half of it is never left", async () => {
    const cwd = at("there", { "x.test.yaml": "mine" });
    const ran = await run(["reactors", "new", "x", "--on", "file.changed"], { cwd });
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /reactors\/x\.test\.yaml is there already; nothing was written/);
    assert.deepEqual(readdirSync(join(cwd, "reactors")), ["x.test.yaml"]);
    assert.equal(readFileSync(join(cwd, "reactors", "x.test.yaml"), "utf8"), "mine");
    const named = await run(["reactors", "new", "block", "--on", "file.changed"], { cwd: at("named", { "other.yaml": reactor }) });
    assert.equal(named.code, 1);
    assert.match(named.stderr, /reactors\/other\.yaml:1 has a reactor of that name/);
  });

  test("wrong usage is said", async () => {
    const wrong: [words: string[], says: RegExp][] = [
      [["x"], /one of --from EVENT and --on TYPE/],
      [["x", "--on", "a.b", "--from", "y"], /one of --from EVENT and --on TYPE/],
      [["../x", "--on", "a.b"], /a name of lower-case letters/],
      [["x", "--on", "nodot"], /an event type such as/],
    ];
    for (const [words, says] of wrong) {
      const ran = await run(["reactors", "new", ...words], { cwd: folder });
      assert.equal(ran.code, 2);
      assert.match(ran.stderr, says);
    }
  });
});
