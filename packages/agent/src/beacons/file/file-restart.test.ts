/** What a file beacon knows across restarts of the agent, with the real beacon over one store. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { start as startFile } from "./file.ts";
import { definition, Fixture, sha256 } from "../fixture.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";

interface World {
  /** Where the watched files are; stays over restarts. */
  home: Fixture;
  memory: MemoryStore;
  begin(options: Record<string, unknown>): Promise<Fixture>;
}

function world(t: TestContext): World {
  const home = new Fixture();
  const memory = forgetfulStore();
  t.after(() => home.end());
  const begin = async (options: Record<string, unknown>) => {
    const fixture = new Fixture({ memory });
    t.after(() => fixture.end());
    await fixture.beacons.apply([definition({ type: "file", settle: "20ms", ...options })]);
    return fixture;
  };
  return { home, memory, begin };
}

const told = ({ events }: Fixture) => events.map(({ type, subject }) => `${type} ${subject?.split("/").at(-1)}`).sort();

test("what was created, changed and removed while the agent was down is told at its next start, with the time until when it was known, once", async (t) => {
  const { home, begin } = world(t);
  for (const name of ["same", "content", "mode", "gone"]) fs.writeFileSync(home.host(name), `${name}\n`, { mode: 0o644 });
  const began = Date.now();
  const first = await begin({ paths: [home.host("")] });
  assert.deepEqual(told(first), []);
  await first.end();
  fs.writeFileSync(home.host("content"), "other\n");
  fs.chmodSync(home.host("mode"), 0o600);
  fs.rmSync(home.host("gone"));
  fs.writeFileSync(home.host("new"), "new\n");
  const again = Date.now();
  const second = await begin({ paths: [home.host("")] });
  assert.deepEqual(told(second), ["file.changed content", "file.changed mode", "file.created new", "file.removed gone"]);
  for (const { time, data } of second.events) {
    const since = Number(data["since"]);
    assert.ok(since >= began - 1 && since <= again, `known at ${since}, watched from ${began} to ${again}`);
    assert.ok(time >= again);
  }
  const content = second.events.find(({ subject }) => subject === home.host("content"))! as Awaited<ReturnType<Fixture["next"]>>;
  assert.equal(content.data.before?.digest, sha256("content\n"));
  assert.equal(content.data.after?.digest, sha256("other\n"));
  await second.end();
  const third = await begin({ paths: [home.host("")] });
  assert.deepEqual(told(third), []);
  // What did not change has its text at hand all the same.
  fs.writeFileSync(home.host("same"), "not the same\n");
  const now = await third.next();
  assert.match(now.data.diff ?? "", /-same\n\+not the same/);
  assert.equal(now.data.since, undefined);
});

test("a path that another definition comes to be about is taken as it is, and one that it is not about any more is not removed", async (t) => {
  const { home, begin } = world(t);
  for (const folder of ["old", "both", "new"]) {
    fs.mkdirSync(home.host(folder));
    fs.writeFileSync(home.host(`${folder}/file`), "before\n");
  }
  await (await begin({ paths: [home.host("old"), home.host("both")] })).end();
  fs.rmSync(home.host("old/file"));
  fs.writeFileSync(home.host("both/file"), "after\n");
  fs.writeFileSync(home.host("both/added"), "");
  fs.writeFileSync(home.host("new/added"), "");
  const second = await begin({ paths: [home.host("both"), home.host("new")] });
  assert.deepEqual(told(second), ["file.changed file", "file.created added"]);
  await second.end();
  // Back to the old one: what was forgotten is a baseline again.
  const third = await begin({ paths: [home.host("old"), home.host("both")] });
  assert.deepEqual(told(third), []);
});

test("a first look that was cut short makes no news of what it had not come to", async (t) => {
  const { home, begin, memory } = world(t);
  for (const name of ["seen", "not-seen"]) fs.writeFileSync(home.host(name), "x\n");
  await (await begin({ paths: [home.host("seen")] })).end();
  // As a kill in the midst of it leaves it: a row of one path, and none of the look's end.
  memory.remember("file:test", "scope", undefined);
  const second = await begin({ paths: [home.host("")] });
  assert.deepEqual(told(second), []);
});

test("rows that are damaged or of another kind are passed over", async (t) => {
  const { home, begin, memory } = world(t);
  fs.writeFileSync(home.host("file"), "x\n");
  await (await begin({ paths: [home.host("")] })).end();
  const { pack } = await import("@needfire/shared/pack");
  const scope = memory.recall("file:test").find(({ key }) => key === "scope")!;
  for (const value of [null, 7, "text", [], [9], [0, 1, 2], { a: 1 }]) {
    memory.remember("file:test", home.host("file"), pack(value));
    memory.remember("file:test", "known-at", pack(value));
    memory.remember("file:test", "scope", pack(value));
    const again = await begin({ paths: [home.host("")] });
    assert.deepEqual(told(again), [], JSON.stringify(value));
    await again.end();
  }
  assert.ok(scope.value.length > 0);
});

test("a drift that was told is not told again by the next start; another one is, and one that was put right and came again", async (t) => {
  const { home, memory } = world(t);
  const path = home.host("m");
  const begin = async (before: () => void) => {
    const fixture = new Fixture({ memory });
    t.after(() => fixture.end());
    await fixture.manage({ [path]: "good\n" }, { write: false });
    before();
    await fixture.beacons.apply([definition({ type: "file", settle: "0ms", managed: true })]);
    return fixture;
  };
  fs.writeFileSync(path, "good\n", { mode: 0o644 });
  const first = await begin(() => {});
  fs.writeFileSync(path, "bad\n");
  assert.equal((await first.next()).type, "file.drifted");
  await first.end();
  const second = await begin(() => {});
  assert.deepEqual(told(second), []);
  second.beacons.restate();
  assert.equal((await second.next()).type, "file.drifted");
  await second.end();
  const third = await begin(() => fs.writeFileSync(path, "worse\n"));
  assert.deepEqual(told(third), ["file.drifted m"]);
  assert.equal(typeof third.events[0]!.data["since"], "number");
  fs.writeFileSync(path, "good\n");
  const state = () => JSON.stringify(memory.recall("file:test").find(({ key }) => key === path)!.value);
  const drifted = state();
  await third.until(() => state() !== drifted, "it is known to be right");
  await third.end();
  const fourth = await begin(() => fs.writeFileSync(path, "worse\n"));
  assert.deepEqual(told(fourth), ["file.drifted m"]);
});

test("a drift whose remedy was under way when the beacon stopped is told again, if it is still there", async (t) => {
  const { home, memory } = world(t);
  const begin = async () => {
    const fixture = new Fixture({ memory });
    t.after(() => fixture.end());
    await fixture.manage({ [home.host("a")]: "good\n", [home.host("b")]: "good\n" }, { write: false });
    await fixture.beacons.apply([definition({ type: "file", settle: "0ms", managed: true })]);
    return fixture;
  };
  const first = await begin();
  assert.deepEqual(told(first), ["file.drifted a", "file.drifted b"]);
  first.remedies.begin("t-0000000000000000.1", { path: home.host("a") });
  await first.end();
  assert.deepEqual(told(await begin()), ["file.drifted a"]);
});

test("a file that was managed and is not any more is taken as it is", async (t) => {
  const { home, memory, begin } = world(t);
  const managing = new Fixture({ memory });
  t.after(() => managing.end());
  await managing.manage({ [home.host("m")]: "good\n" });
  await managing.beacons.apply([definition({ type: "file", managed: true, paths: [home.host("")] })]);
  await managing.end();
  const second = await begin({ managed: true, paths: [home.host("")] });
  assert.deepEqual(told(second), []);
  fs.writeFileSync(home.host("m"), "by hand\n");
  assert.equal((await second.next()).type, "file.changed");
});

test("what cannot be read is told once, over restarts too", () => {
  const script = `
    import * as fs from "node:fs";
    import { definition, Fixture } from ${JSON.stringify(join(import.meta.dirname, "..", "fixture.ts"))};
    import { forgetfulStore } from ${JSON.stringify(join(import.meta.dirname, "..", "remembered.ts"))};
    const memory = forgetfulStore();
    const home = new Fixture();
    fs.writeFileSync(home.host("file"), "x", { mode: 0 });
    fs.mkdirSync(home.host("dir"), { mode: 0 });
    const begin = async () => {
      const fixture = new Fixture({ memory });
      await fixture.beacons.apply([definition({ type: "file", paths: [home.host("")], settle: "0ms" })]);
      console.log(fixture.events.map(({ type, subject }) => type + " " + subject.split("/").at(-1)).sort().join(", "));
      await fixture.end();
    };
    await begin();
    await begin();
    fs.chmodSync(home.host("dir"), 0o700);
    fs.chmodSync(home.host("file"), 0o600);
    await begin();
    fs.chmodSync(home.host("dir"), 0);
    await begin();
    fs.chmodSync(home.host("dir"), 0o700);
    await home.end();`;
  const run = spawnSync(process.execPath, ["--input-type=module-typescript", "-e", script], {
    encoding: "utf8",
    timeout: 60_000,
    cwd: "/",
    ...(process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}), // root reads everything
  });
  const expected = [
    "file.unreadable dir, file.unreadable file",
    "",
    "file.changed dir, file.changed file",
    "file.changed dir, file.unreadable dir",
  ];
  assert.deepEqual(run.stdout.trimEnd().split("\n"), expected, run.stderr);
});

test("more paths than can be remembered: that is said, and those left over are no news at the next start", async (t) => {
  const home = new Fixture();
  t.after(() => home.end());
  for (let i = 0; i < 20; i++) fs.writeFileSync(home.host(`f${i}`), "x\n");
  const memory = forgetfulStore();
  const begin = async () => {
    const rows = new Set<string>();
    const fixture = new Fixture({
      memory,
      start: (wanted, context) => {
        const set = context.memory.set.bind(context.memory);
        context.memory.set = (key, value) => {
          if (value !== undefined && !rows.has(key) && rows.size >= 10) return false;
          if (value === undefined) rows.delete(key);
          else rows.add(key);
          return set(key, value);
        };
        return startFile(wanted as Extract<typeof wanted, { type: "file" }>, context);
      },
    });
    t.after(() => fixture.end());
    await fixture.beacons.apply([definition({ type: "file", settle: "0ms", paths: [home.host("")] })]);
    return fixture;
  };
  const first = await begin();
  assert.deepEqual(told(first), ["beacon.degraded test"]);
  // It watches them all the same.
  for (let i = 0; i < 20; i++) fs.writeFileSync(home.host(`f${i}`), "y\n");
  await first.until(() => first.events.filter(({ type }) => type === "file.changed").length === 20, "20 changes");
  await first.end();
  const second = await begin();
  assert.deepEqual(
    told(second).filter((line) => !line.startsWith("beacon.")),
    [],
  );
});
