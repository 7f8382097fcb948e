/** `needfire beacons types`, `check` and `test`, as people and CI run them: no master is needed. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { run } from "./testing/run.ts";

const folder = mkdtempSync(join(tmpdir(), "needfire-beacons-"));
after(() => rmSync(folder, { recursive: true }));

/** A directory with `beacons/` in it. */
function at(name: string, texts: Record<string, string>): string {
  const place = join(folder, name);
  mkdirSync(join(place, "beacons"), { recursive: true });
  for (const [file, text] of Object.entries(texts)) writeFileSync(join(place, "beacons", file), text);
  return place;
}

describe("beacons types", () => {
  test("lists every type; of one, its options with their defaults, and its events", async () => {
    const listed = await run(["beacons", "types", "--json"]);
    const types = listed.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string; events: string[] });
    assert.ok(types.length >= 8 && types.some(({ type, events }) => type === "disk" && events.includes("disk.filling")));
    const shown = await run(["beacons", "types", "disk"]);
    assert.match(shown.stdout, /^filling_over +10m +the time over which the rate is taken$/m);
    assert.match(shown.stdout, /^disk\.high +The space or the inodes/m);
    assert.deepEqual([shown.code, shown.stderr], [0, ""]);
  });

  test("a type that there is not is wrong usage, and says what may be meant", async () => {
    const ran = await run(["beacons", "types", "dsik"]);
    assert.deepEqual([ran.code, ran.stdout], [2, ""]);
    assert.match(ran.stderr, /there is no beacon type "dsik"; did you mean "disk"\?/);
  });
});

describe("beacons check", () => {
  test("what is sound passes", async () => {
    const cwd = at("good", { "a.yaml": "name: a\ntype: cpu\nabove: 90\n---\nname: b\ntype: swap\nabove: 5\n", "notes.txt": "no beacon" });
    const ran = await run(["beacons", "check"], { cwd });
    assert.deepEqual([ran.code, ran.stdout, ran.stderr], [0, "ok: 2 beacons in 1 file\n", ""]);
  });

  test("every problem is told with its place, and is a failure; so is a name twice, in whichever files", async () => {
    const cwd = at("bad", {
      "a.yaml": "name: a\ntype: cpu\nabove: 90\n",
      "b.yaml": "name: b\ntype: cpu\nabove: 90\nclear_below: 95\n",
      "c.yaml": "name: a\ntype: swap\nabove: 5\n",
    });
    const ran = await run(["beacons", "check", "beacons", "nowhere.yaml"], { cwd });
    assert.equal(ran.code, 1);
    assert.match(ran.stdout, /^nowhere\.yaml:1:1: there is no such file or directory$/m);
    assert.match(
      ran.stdout,
      /^beacons\/b\.yaml:4:14: clear_below \(95\) is over above \(90\)[^\n]*\n {2}3 \| above: 90\n> 4 \| clear_below: 95\n/m,
    );
    assert.match(ran.stdout, /^beacons\/c\.yaml:1:1: a second beacon of the name "a": the first is in beacons\/a\.yaml$/m);
    assert.match(ran.stdout, /\n3 problems; without problems: 2 beacons in 3 files\n$/);
  });
});

describe("beacons test", () => {
  test("runs one here and now and prints what it sees, as text and as JSON", async () => {
    const options = ["--options", "{per_core: false, average: 15m, above: 0, for: 0s, interval: 100ms}", "--for", "1s"];
    const ran = await run(["beacons", "test", "load", ...options]);
    assert.deepEqual([ran.code, ran.stderr], [0, "try (load) watches; Ctrl-C ends it\n"]);
    assert.match(ran.stdout, /^\S+ {2}load\.high\n {4}load: [0-9.]+\n {4}averages: /);
    const { stdout } = await run(["beacons", "test", "load", ...options, "--json"]);
    const event = JSON.parse(stdout) as { type: string; severity: string; data: { above: number } };
    assert.deepEqual([event.type, event.severity, event.data.above], ["load.high", "normal", 0]);
  });

  test("options that are none are told with their place in what was typed", async () => {
    const ran = await run(["beacons", "test", "cpu", "--options", "{above: 5, intervall: 1s}"]);
    assert.equal(ran.code, 1);
    assert.match(ran.stdout, /^--options:1:12: unknown key "intervall"; did you mean "interval"\?\n> 1 \| /);
    const broken = await run(["beacons", "test", "cpu", "--options", "{above: 5"]);
    assert.equal(broken.code, 1);
    assert.match(broken.stdout, /^--options:1:\d+: /);
  });

  test("takes a definition of a file, and asks which when there are several", async () => {
    const cwd = at("several", { "a.yaml": "name: a\ntype: swap\nabove: 100\n---\nname: b\ntype: swap\nabove: 100\n" });
    const ran = await run(["beacons", "test", "--file", "beacons/a.yaml", "--name", "b", "--for", "10ms"], { cwd });
    assert.deepEqual([ran.code, ran.stdout, ran.stderr], [0, "", "b (swap) watches; Ctrl-C ends it\n"]);
    const which = await run(["beacons", "test", "--file", "beacons/a.yaml"], { cwd });
    assert.deepEqual([which.code, which.stderr], [2, "error: which one? --name a, --name b\n"]);
    assert.equal((await run(["beacons", "test", "--file", "beacons/a.yaml", "--name", "c"], { cwd })).code, 1);
    assert.equal((await run(["beacons", "test", "swap", "--file", "beacons/a.yaml"], { cwd })).code, 2);
    assert.equal((await run(["beacons", "test"], { cwd })).code, 2);
  });
});
