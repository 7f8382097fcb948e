/**
 * Reactors, beacons and managed files while everything runs: a change on disk is in force without a restart, and what is bad is refused
 * with its place, while the rest, and what was in force before, goes on. Real processes.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { EventView } from "@needfire/shared/api";
import { run } from "../packages/cli/src/testing/run.ts";
import { Testbed, until } from "./testbed.ts";

/** A reactor that the master itself carries out, so that no host is needed. */
const answering = (name: string, answer: string, on = "test.ping") =>
  `name: ${name}\non: ${on}\ndo:\n  - event.emit: { type: ${answer} }\n`;

/** Which reactors fire on an event of this type, sent now. A witness that fires on a later event says that all have been judged. */
async function firedBy(bed: Testbed, type: string): Promise<string[]> {
  const { id } = await bed.client.send({ type });
  const { id: later } = await bed.client.send({ type: "witness.ping" });
  const tasks = await bed.tasks((found) => found.some(({ event }) => event === later));
  return tasks.filter(({ event }) => event === id).map(({ reactor }) => reactor);
}

const about = (file: string) => `event.subject == ${JSON.stringify(file)}`;
const placeOf = ({ data }: EventView) => `${data["file"]}:${data["line"]}:${data["column"]}: ${data["message"]}`;

describe("reactors", () => {
  let bed: Testbed;
  const file = (name: string) => bed.path("reactors", `${name}.yaml`);
  const loaded = (name: string, count: number) => bed.events({ type: "reactor.loaded", where: about(file(name)) }, count);
  const refused = (name: string, count: number) => bed.events({ type: "reactor.refused", where: about(file(name)) }, count);
  /** Both lists that tell of problems say the same. */
  const problemsOf = async (name: string) => {
    const problems = (await bed.client.status()).problems.filter(({ file: of }) => of === file(name));
    assert.deepEqual(
      (await bed.client.reactors()).problems.filter(({ file: of }) => of === file(name)),
      problems,
    );
    return problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
  };

  before(async () => {
    bed = await Testbed.start({}, (made) => {
      made.reactor("witness", answering("witness", "witness.answer", "witness.ping"));
      made.reactor("a-good", answering("a-good", "answer.a"));
      made.reactor("b-key", "name: b-key\non: test.ping\nwhne: 'true'\ndo:\n  - event.emit: { type: answer.bad }\n");
      made.reactor("c-cel", "name: c-cel\non: test.ping\nwhen: event.data.count >\ndo:\n  - event.emit: { type: answer.bad }\n");
      made.reactor("d-action", "name: d-action\non: test.ping\ndo:\n  - event.emitt: { type: answer.bad }\n");
      made.reactor("e-type", "name: e-type\non: test.ping\ndo:\n  - command.run:\n      argv: [echo]\n      shell: yes please\n");
      made.reactor("f-yaml", "name: f-yaml\non: [test.ping\ndo:\n  - event.emit: { type: answer.bad }\n");
      // A good one beside a bad one in the same file: the file is taken as a whole.
      made.reactor("g-two", `${answering("g-one", "answer.g")}---\nname: g-two\non: test.ping\n`);
      made.reactor("z-good", answering("z-good", "answer.z"));
    });
  });
  after(() => bed.stop());

  test("bad files among good ones: the good ones run, and every error names file, line and column", async () => {
    assert.deepEqual((await firedBy(bed, "test.ping")).toSorted(), ["a-good", "z-good"]);
    assert.deepEqual((await bed.client.reactors()).reactors.map(({ name }) => name).toSorted(), ["a-good", "witness", "z-good"]);
    assert.match((await problemsOf("b-key")).join("\n"), /^3:1 .*"whne".*"when"/);
    assert.match((await problemsOf("c-cel")).join("\n"), /^3:\d+ in the condition: /);
    assert.match((await problemsOf("d-action")).join("\n"), /^4:5 there is no action "event\.emitt".*event\.emit/);
    assert.match((await problemsOf("e-type")).join("\n"), /^6:14 command\.run: .*boolean/);
    assert.match((await problemsOf("f-yaml")).join("\n"), /^[23]:\d+ /);
    assert.match((await problemsOf("g-two")).join("\n"), /^\d+:\d+ .*"do"/);
  });

  test("each refusal is an event with the place", async () => {
    const { problems } = await bed.client.status();
    const events = await bed.events({ type: "reactor.refused" }, problems.length);
    assert.deepEqual(events.map(({ data }) => data).toSorted(byFile), [...problems].toSorted(byFile));
    assert.deepEqual(new Set(events.map(({ agent, severity }) => `${agent} ${severity}`)), new Set(["master high"]));
  });

  test("needfire reactors list names the place, beside the reactors that are in force", async () => {
    const ran = await run(["--master", bed.path("master.sock"), "reactors", "list"]);
    assert.equal(ran.code, 0);
    assert.match(ran.stdout, /a-good/);
    assert.ok(ran.stderr.includes(`${file("b-key")}:3:1: `), ran.stderr);
    assert.ok(ran.stderr.includes(`${file("d-action")}:4:5: `), ran.stderr);
  });

  test("a changed file is in force without a restart; a bad edit keeps the old one; a removed one is gone", async () => {
    bed.reactor("hot", answering("hot", "answer.one", "hot.ping"));
    await loaded("hot", 1);
    assert.deepEqual(await firedBy(bed, "hot.ping"), ["hot"]);
    await bed.events({ type: "answer.one" }, 1);

    bed.reactor("hot", answering("hot", "answer.two", "hot.ping"));
    await loaded("hot", 2);
    assert.deepEqual(await firedBy(bed, "hot.ping"), ["hot"]);
    await bed.events({ type: "answer.two" }, 1);

    bed.reactor("hot", "name: hot\non: hot.ping\ndo:\n  - event.emit: { typ: answer.three }\n");
    // What is unknown, and what is missing for it.
    const refusals = (await refused("hot", 2)).map(placeOf).join("\n");
    assert.match(refusals, /hot\.yaml:4:19: .*"typ"/);
    assert.match(refusals, /hot\.yaml:4:17: .*"type"/);
    assert.deepEqual(await firedBy(bed, "hot.ping"), ["hot"]);
    await bed.events({ type: "answer.two" }, 2);
    assert.equal((await problemsOf("hot")).length > 0, true);

    bed.reactor("hot", answering("hot", "answer.four", "hot.ping"));
    await loaded("hot", 3);
    assert.deepEqual(await problemsOf("hot"), []);
    await firedBy(bed, "hot.ping");
    await bed.events({ type: "answer.four" }, 1);

    rmSync(file("hot"));
    await loaded("hot", 4);
    assert.deepEqual(await firedBy(bed, "hot.ping"), []);
    assert.equal((await bed.client.events({ type: "answer.one" })).events.length, 1);
  });

  test("a file that turned bad while the master was down stays what it was, and the problem is told", async () => {
    bed.reactor("down", answering("down", "answer.up", "down.ping"));
    await loaded("down", 1);
    // By an answer, it is in force; and it is recorded with what comes after it.
    assert.deepEqual(await firedBy(bed, "down.ping"), ["down"]);
    assert.equal(await bed.master.stop(), 0);
    bed.reactor("down", "name: down\non: down.ping\ndo: []\nwhne: 'true'\n");
    await bed.startMaster();
    assert.ok((await refused("down", 1)).map(placeOf).join().includes('"whne"'));
    assert.ok((await problemsOf("down")).join().includes('"whne"'));
    assert.deepEqual(await firedBy(bed, "down.ping"), ["down"]);
    rmSync(file("down"));
    await loaded("down", 2);
    assert.deepEqual(await firedBy(bed, "down.ping"), []);
  });

  test("of two files with one name the first by path is in force, and the other when the first is gone", async () => {
    bed.reactor("twin-b", answering("twin", "answer.b", "twin.ping"));
    await loaded("twin-b", 1);
    bed.reactor("twin-a", answering("twin", "answer.a", "twin.ping"));
    await loaded("twin-a", 1);
    assert.match((await problemsOf("twin-b")).join(), /"twin" is defined in .*twin-a\.yaml already/);
    assert.deepEqual(await firedBy(bed, "twin.ping"), ["twin"]);
    assert.equal((await bed.client.events({ type: "answer.b" })).events.length, 0);
    rmSync(file("twin-a"));
    await loaded("twin-b", 2);
    assert.deepEqual(await problemsOf("twin-b"), []);
    await firedBy(bed, "twin.ping");
    await bed.events({ type: "answer.b" }, 1);
  });

  test("POST /v1/reload answers when what is on the disk is in force, with what is wrong there", async () => {
    bed.reactor("asked", answering("asked", "answer.asked", "asked.ping"));
    const fine = await bed.client.reload();
    assert.deepEqual(await firedBy(bed, "asked.ping"), ["asked"]);
    assert.deepEqual(fine.problems, (await bed.client.status()).problems);
    bed.reactor("asked", "name: asked\n");
    const { problems } = await bed.client.reload();
    assert.match(problems.find(({ file: of }) => of === file("asked"))!.message, /"do"/);
    assert.deepEqual(await firedBy(bed, "asked.ping"), ["asked"]);
    const ran = await run(["--master", bed.path("master.sock"), "reload"]);
    assert.equal(ran.code, 1);
    assert.match(ran.stdout, /asked\.yaml:1:1: /);
  });

  test("SIGHUP reads everything again", async () => {
    const reloads = () => bed.master.output().split("definitions are loaded").length;
    bed.reactor("signalled", answering("signalled", "answer.signalled", "signalled.ping"));
    await loaded("signalled", 1);
    // Nothing changes on disk now: only the signal can make it read again.
    const before = reloads();
    bed.master.signal("SIGHUP");
    await until("the master has read its files again", () => reloads() > before);
    assert.deepEqual(await firedBy(bed, "signalled.ping"), ["signalled"]);
    assert.equal(bed.master.running, true);
  });
});

describe("beacons", () => {
  let bed: Testbed;
  const folder = (name: string) => bed.path("host", name);
  const touch = (path: string) => writeFileSync(bed.path(path), "");
  const watching = (path: string) => `name: drop\ntype: file\npaths: [${JSON.stringify(path)}]\nsettle: 1ms\n`;
  const created = (path: string) => bed.events({ type: "file.created", where: about(bed.path(path)) }, 1);
  const appliedBy = async (agent: string) => (await bed.client.events({ type: "beacon.applied", agent, limit: 10_000 })).events;
  /** Changes something and resolves when the agent has put definitions in force after it; with the names of those. */
  const applying = async (agent: string, change: () => void) => {
    const before = (await appliedBy(agent)).length;
    change();
    await until(`${agent} applied something`, async () => (await appliedBy(agent)).length > before);
    return ((await appliedBy(agent))[0]!.data["beacons"] as { name: string }[]).map(({ name }) => name).toSorted();
  };

  before(async () => {
    bed = await Testbed.start({}, (made) => {
      for (const name of ["a", "b", "c", "d"]) mkdirSync(made.path("host", name));
      made.beacon("drop", watching(made.path("host", "a")));
      made.write("web1.yaml", `beacons: [local]\n`);
      made.write("local/own.yaml", `name: own\ntype: file\npaths: [${JSON.stringify(made.path("host", "c"))}]\nsettle: 1ms\n`);
    });
    await bed.addAgent("web1", { role: "web" });
    await bed.addAgent("db1", { role: "db", site: "berlin" });
    await bed.watching("web1", "drop", "own");
    await bed.watching("db1", "drop");
  });
  after(() => bed.stop());

  test("a changed beacon is pushed to a running agent and in force there, the old one no more", async () => {
    touch("host/a/first");
    await created("host/a/first");
    await applying("web1", () => bed.beacon("drop", watching(folder("b"))));
    touch("host/a/second");
    touch("host/b/second");
    const [event] = await created("host/b/second");
    assert.equal(event!.beacon, "drop");
    assert.equal(bed.agents.get("web1")!.running, true);
    const seen = (await bed.client.events({ type: "file.*", limit: 1_000 })).events.map(({ subject }) => subject);
    assert.ok(!seen.includes(bed.path("host/a/second")), "the old beacon still watches");
  });

  test("a bad beacon file is refused with its place, and the old one stays in force on the agent", async () => {
    bed.beacon("drop", `name: drop\ntype: file\npaths:\n  - ${folder("a")}\nsettle: soon\n`);
    const [refusal] = await bed.events({ type: "beacon.refused", agent: "master" }, 1);
    assert.match(placeOf(refusal!), /drop\.yaml:5:9: /);
    assert.equal(refusal!.data["file"], bed.path("beacons", "drop.yaml"));
    assert.deepEqual(
      (await bed.client.status()).problems.map(({ line, column }) => [line, column]),
      [[5, 9]],
    );
    touch("host/b/third");
    await created("host/b/third");
    // What the master hands out is still the old one.
    assert.deepEqual(
      (await bed.client.agent("web1")).beacons.map(({ name }) => name),
      ["drop"],
    );
  });

  test("a beacon whose file is removed watches no more", async () => {
    const names = await applying("web1", () => rmSync(bed.path("beacons", "drop.yaml")));
    assert.deepEqual(names, ["own"]);
    assert.deepEqual((await bed.client.status()).problems, []);
  });

  test("a beacon goes to the agents that its targets name: by glob, by list, by CEL over labels and facts", async () => {
    const cpu = (name: string, targets: string) => `name: ${name}\ntype: cpu\nabove: 99\ntargets: ${targets}\n`;
    const targets = {
      "by-glob": '"web*"',
      "by-list": "[db1, nobody]",
      "by-label": `'agent.labels.role == "db"'`,
      "by-several": `'agent.labels.role in ["web", "db"] && agent.labels.site == "berlin"'`,
      "by-fact": `'agent.facts.os == "linux" && agent.id != "db1"'`,
      "for-none": `'agent.labels.role == "mail"'`,
      "for-all": '"*"',
    };
    const text = Object.entries(targets).map(([name, target]) => cpu(name, target));
    bed.beacon("targets", text.join("---\n"));
    const given = async (id: string) => (await bed.client.agent(id)).beacons.map(({ name }) => name);
    await until("the file is read", async () => (await given("db1")).length > 0);
    assert.deepEqual((await given("web1")).toSorted(), ["by-fact", "by-glob", "for-all"]);
    assert.deepEqual((await given("db1")).toSorted(), ["by-label", "by-list", "by-several", "for-all"]);
    for (const [id, names] of [
      ["web1", ["by-fact", "by-glob", "for-all", "own"]],
      ["db1", ["by-label", "by-list", "by-several", "for-all"]],
    ] as const)
      await bed.watching(id, ...names);
  });

  test("a target that cannot be compiled is a problem with its place", async () => {
    bed.beacon("bad-target", `name: bad-target\ntype: cpu\nabove: 99\ntargets: 'agent.labels.role ='\n`);
    const [refusal] = await bed.events({ type: "beacon.refused", where: about(bed.path("beacons", "bad-target.yaml")) }, 1);
    assert.match(placeOf(refusal!), /bad-target\.yaml:4:\d+: /);
    rmSync(bed.path("beacons", "bad-target.yaml"));
    await until("the problem is gone", async () => (await bed.client.status()).problems.length === 0);
  });

  describe("of the host itself", () => {
    const hangUp = (change: () => void) =>
      applying("web1", () => {
        change();
        bed.agents.get("web1")!.signal("SIGHUP");
      });

    test("watch, and are read again on SIGHUP", async () => {
      touch("host/c/first");
      assert.equal((await created("host/c/first"))[0]!.beacon, "own");
      await hangUp(() => bed.write("local/own.yaml", `name: own\ntype: file\npaths: [${JSON.stringify(folder("d"))}]\nsettle: 1ms\n`));
      touch("host/d/first");
      assert.equal((await created("host/d/first"))[0]!.beacon, "own");
    });

    test("a bad file is refused as an event with its place, and its old content stays in force", async () => {
      const names = await hangUp(() => bed.write("local/own.yaml", "name: own\ntype: file\npath: /etc\n"));
      assert.ok(names.includes("own"));
      const [refusal] = await bed.events({ type: "beacon.refused", agent: "web1" }, 1);
      assert.match(String(refusal!.data["message"]), /local\/own\.yaml:3:1: .*"path"/);
      touch("host/d/second");
      await created("host/d/second");
    });

    test("of two with one name the master's is in force, and the other is refused", async () => {
      const names = await hangUp(() => {
        rmSync(bed.path("local/own.yaml"));
        bed.write("local/twin.yaml", `name: for-all\ntype: file\npaths: [${JSON.stringify(folder("c"))}]\n`);
      });
      assert.ok(names.includes("for-all") && !names.includes("own"), names.join());
      const refusals = await bed.events({ type: "beacon.refused", agent: "web1", where: about(bed.path("local/twin.yaml")) }, 1);
      assert.match(String(refusals[0]!.data["message"]), /another beacon of the name "for-all"/);
    });

    test("something that cannot be read is refused, and takes neither the agent nor the other beacons down", async () => {
      const names = await hangUp(() => {
        mkdirSync(bed.path("local/folder.yaml"));
        bed.write("local/zz.yaml", `name: own\ntype: file\npaths: [${JSON.stringify(folder("d"))}]\nsettle: 1ms\n`);
      });
      assert.ok(names.includes("own"), names.join());
      await bed.events({ type: "beacon.refused", agent: "web1", where: about(bed.path("local/folder.yaml")) }, 1);
      touch("host/d/third");
      await created("host/d/third");
    });
  });
});

describe("managed files", () => {
  let bed: Testbed;
  const entry = (path: string, source: string, more = "") =>
    `  - path: ${path}\n    source: ${source}\n    owner: "${process.getuid?.()}"\n    group: "${process.getgid?.()}"\n${more}`;
  const host = (name: string) => bed.path("host", name);
  const holds = (name: string, text: string) =>
    until(`${name} holds ${JSON.stringify(text)}`, () => existsSync(host(name)) && readFileSync(host(name), "utf8") === text);
  const writeMap = (...entries: string[]) => bed.write("files.yaml", `files:\n${entries.join("")}`);
  const problems = async (pattern: RegExp) => {
    const places = async () =>
      (await bed.client.status()).problems.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`);
    let found: string[] = [];
    await until(
      `a problem like ${pattern}`,
      async () => (found = await places()).some((place) => pattern.test(place)),
      () => found.join("; "),
    );
    assert.equal(found.length, 1, found.join("\n"));
  };
  const solved = () => until("no problem is left", async () => (await bed.client.status()).problems.length === 0);
  /** Proof that the list that is in force still has a file: somebody changes it, and it is put back. */
  const isKept = async (name: string, text: string) => {
    bed.write(`host/${name}`, "by hand\n");
    await holds(name, text);
  };

  before(async () => {
    bed = await Testbed.start({}, (made) => {
      made.reactor(
        "restore",
        "name: restore\non: file.drifted\nlimits: { breaker: off }\ndo:\n  - file.restore: { path: '${{ event.data.path }}' }\n",
      );
      made.beacon("managed", "name: managed\ntype: file\nmanaged: true\nsettle: 1ms\n");
      writeFileSync(made.path("files", "one.conf"), "one\n");
      writeFileSync(made.path("files", "two.conf"), "two\n");
      writeFileSync(made.path("outside.conf"), "nobody's business\n");
    });
    writeMap(entry(host("one.conf"), "one.conf"));
    await bed.client.reload();
    await bed.addAgent("web1");
    await holds("one.conf", "one\n");
  });
  after(() => bed.stop());

  test("a changed source is pushed and put in place, and so is a changed map", async () => {
    bed.write("files/one.conf", "one, changed\n");
    await holds("one.conf", "one, changed\n");
    // More than one chunk of the transfer.
    const large = `${"0123456789abcdef".repeat(64)}\n`.repeat(700);
    bed.write("files/one.conf", large);
    await holds("one.conf", large);
    bed.write("files/one.conf", "one\n");
    await holds("one.conf", "one\n");
    writeMap(entry(host("one.conf"), "one.conf"), entry(host("deep/er/two.conf"), "two.conf"));
    await holds("deep/er/two.conf", "two\n");
    await isKept("deep/er/two.conf", "two\n");
  });

  test("a bad entry is a problem with its place, and the old map stays in force", async () => {
    writeMap(entry(host("one.conf"), "one.conf"), entry(host("deep/er/two.conf"), "two.conf", "    mode: 0644\n"));
    await problems(/files\.yaml:10:11: /);
    await isKept("deep/er/two.conf", "two\n");
    writeMap(entry("relative.conf", "one.conf"));
    await problems(/files\.yaml:2:11: /);
    await isKept("one.conf", "one\n");
  });

  test("a source that leads out of the file root by .. is refused", async () => {
    writeMap(entry(host("one.conf"), "one.conf"), entry(host("stolen.conf"), "../outside.conf"));
    await problems(/files\.yaml:7:13: .*\.\./);
    writeMap(entry(host("one.conf"), "one.conf"), entry(host("stolen.conf"), bed.path("outside.conf")));
    await problems(/files\.yaml:7:13: .*below the file root/);
    await isKept("one.conf", "one\n");
    assert.equal(existsSync(host("stolen.conf")), false);
  });

  test("a source that leads out of the file root by a symbolic link is refused, and the other entries are in force", async () => {
    symlinkSync(bed.path("outside.conf"), bed.path("files", "link.conf"));
    symlinkSync(bed.dir, bed.path("files", "folder"));
    for (const source of ["link.conf", "folder/outside.conf", "folder/master/master.key"]) {
      writeMap(entry(host("one.conf"), "one.conf"), entry(host("stolen.conf"), source), entry(host("three.conf"), "two.conf"));
      await problems(/files\.yaml:7:13: the source leads out of the file root/);
      await isKept("three.conf", "two\n");
      assert.equal(existsSync(host("stolen.conf")), false);
    }
    assert.deepEqual((await bed.client.agent("web1")).files.toSorted(), [host("one.conf"), host("three.conf")]);
  });

  test("a source that goes away leaves its file as it was", async () => {
    writeMap(entry(host("one.conf"), "one.conf"), entry(host("three.conf"), "two.conf"));
    await solved();
    rmSync(bed.path("files", "two.conf"));
    await problems(/files\.yaml:7:13: there is no .*two\.conf/);
    await isKept("three.conf", "two\n");
    bed.write("files/two.conf", "two again\n");
    await holds("three.conf", "two again\n");
    await solved();
  });
});

function byFile(a: object, b: object): number {
  return JSON.stringify(a).localeCompare(JSON.stringify(b));
}
