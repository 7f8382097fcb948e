/** Beacons of real agents, as people see them from the master: which are in force, how they are, and what one of them says. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { BeaconView } from "@needfire/shared/api-beacons";
import type { EventView } from "@needfire/shared/api";
import { run, start } from "../packages/cli/src/testing/run.ts";
import { Testbed } from "./testbed.ts";

describe("beacons of a host", () => {
  let bed: Testbed;
  const needfire = (...words: string[]) => run(words, { env: { NEEDFIRE_MASTER: bed.path("master.sock") } });
  const listed = async (...words: string[]) => {
    const ran = await needfire("beacons", "list", "--json", ...words);
    assert.equal(ran.code, 0, ran.stderr);
    const lines = ran.stdout.split("\n").filter((line) => line !== "");
    return { beacons: lines.map((line) => JSON.parse(line) as BeaconView), stderr: ran.stderr };
  };
  /** How a beacon of web1 is, by its name. */
  const states = async () => new Map((await listed("--agent", "web1")).beacons.map(({ name, state, message }) => [name, [state, message]]));

  before(async () => {
    bed = await Testbed.start({}, (made) => {
      made.beacon(
        "files",
        `name: files\ntype: file\ndescription: what comes in\nseverity: high\npaths: [${JSON.stringify(made.path("host"))}]\nsettle: 1ms\n`,
      );
      made.beacon("others", "name: others\ntype: cpu\nabove: 100\ntargets: db*\n");
      made.beacon("bad", "name: bad\ntype: nothing\n");
      made.write("local/own.yaml", "name: own\ntype: memory\nabove: 100\n");
    });
    const { join_string: joinString } = await bed.client.createToken({ uses: 1, labels: {} });
    await bed.join("web1", joinString);
    const config = bed.path("web1.yaml");
    writeFileSync(config, `beacons: [local]\n`, { flag: "a" });
    await bed.startAgent("web1");
    await bed.watching("web1", "files", "own");
  });
  after(() => bed.stop());

  test("the master's are listed with how many hosts have them, and what is wrong in its files", async () => {
    const { beacons, stderr } = await listed();
    assert.deepEqual(
      beacons.map(({ name, type, agents, targets, severity, description }) => ({ name, type, agents, targets, severity, description })),
      [
        { name: "files", type: "file", agents: 1, targets: ["*"], severity: "high", description: "what comes in" },
        { name: "others", type: "cpu", agents: 0, targets: ["db*"], severity: "normal", description: undefined },
      ],
    );
    assert.match(stderr, /bad\.yaml:2:7: there is no beacon type "nothing"/);
  });

  test("those of a host are listed with how they are, its own among them", async () => {
    assert.deepEqual(Object.fromEntries(await states()), { files: ["watching", undefined], own: ["watching", undefined] });
    const shown = await needfire("beacons", "list", "--agent", "web1");
    assert.match(shown.stdout, /^own +memory +watching .* this host/m);
    const nobody = await needfire("beacons", "list", "--agent", "nobody");
    assert.deepEqual([nobody.code, nobody.stdout], [1, ""]);
    assert.match(nobody.stderr, /there is no agent "nobody"/);
  });

  test("local definitions that are read again are listed, those that are gone are not, and what one cannot see is said", async () => {
    const socket = bed.path("no-engine.sock");
    bed.write("local/own.yaml", `name: own-containers\ntype: container\nsocket: ${JSON.stringify(socket)}\n`);
    bed.agents.get("web1")!.signal("SIGHUP");
    await bed.watching("web1", "own-containers");
    await bed.events({ type: "beacon.degraded", where: 'event.beacon == "own-containers"' }, 1);
    const { files, "own-containers": own } = Object.fromEntries(await states());
    assert.deepEqual([files, own?.[0]], [["watching", undefined], "degraded"]);
    assert.match(own![1]!, new RegExp(socket));
  });

  test("tail follows what one of them says, and nothing else", async () => {
    const tail = start(["beacons", "tail", "web1", "files", "--json"], { env: { NEEDFIRE_MASTER: bed.path("master.sock") } });
    const path = bed.path("host", "seen");
    // Written until it is told: the stream may begin a moment later than the program.
    const writing = setInterval(() => writeFileSync(path, String(Math.random())), 20);
    await tail.said("\n").finally(() => clearInterval(writing));
    tail.child.kill("SIGINT");
    const { code, stdout } = await tail.ended;
    assert.equal(code, 0);
    const told = stdout.split("\n").filter((line) => line !== "");
    for (const line of told) {
      const { agent, beacon, subject } = JSON.parse(line) as EventView;
      assert.deepEqual([agent, beacon, subject], ["web1", "files", path]);
    }
    const unknown = await needfire("beacons", "tail", "web2", "files");
    assert.equal(unknown.code, 1);
  });
});
