/** `needfire actions list` and `show`, with a master and without one. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { startFakeMaster } from "./testing/fake-master.ts";
import { run } from "./testing/run.ts";

describe("actions", () => {
  test("list names every action, and the side that it runs on", async () => {
    const { code, stdout, stderr } = await run(["actions", "list", "--json", "--actions", "/nowhere"]);
    assert.deepEqual([code, stderr], [0, ""]);
    const listed = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { action: string; runs_on: string });
    const sides = new Map(listed.map(({ action, runs_on: side }) => [action, side]));
    assert.deepEqual([sides.get("file.write"), sides.get("event.emit")], ["agent", "master"]);
  });

  test("show tells arguments with their defaults, the result, and what a policy judges", async () => {
    const shown = await run(["actions", "show", "disk.clean"]);
    assert.deepEqual([shown.code, shown.stderr], [0, ""]);
    assert.match(shown.stdout, /^match +required +globs of paths below it/m);
    assert.match(shown.stdout, /^cross_mounts +false /m);
    assert.match(shown.stdout, /^removed +files$/m);
    assert.match(shown.stdout, /policy judges +the action, path \(paths\)/);
    assert.match((await run(["actions", "show", "script.run"])).stdout, /policy judges +the action, what it starts \(commands\)/);
    const json = JSON.parse((await run(["actions", "show", "file.restore", "--json"])).stdout) as Record<string, unknown>;
    assert.deepEqual([json["action"], json["verify"], json["runs_on"]], ["file.restore", "file.check", "agent"]);
  });

  test("an action that there is not is wrong usage, and says what may be meant", async () => {
    const ran = await run(["actions", "show", "file.wirte"]);
    assert.deepEqual([ran.code, ran.stdout], [2, ""]);
    assert.match(ran.stderr, /there is no action "file\.wirte"; did you mean "file\.write"\?/);
  });

  test("your own actions are listed beside the others, with what is wrong with them, and shown with their arguments", async () => {
    const folder = mkdtempSync(join(tmpdir(), "needfire-actions-"));
    try {
      const text = `name: local.say\ndescription: Say it.\nargs: { properties: { text: { type: string, description: what } }, required: [text] }\nargv: [echo, "\${{ args.text }}"]\n`;
      writeFileSync(join(folder, "say.yaml"), text);
      writeFileSync(join(folder, "bad.yaml"), "name: local.bad\n");
      writeFileSync(join(folder, "scale.yaml"), text.replace("local.say", "master.scale"));
      const { stdout, stderr } = await run(["actions", "list", "--json", "--actions", folder]);
      const own = stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { action: string; summary: string })
        .slice(-2);
      assert.deepEqual(
        own,
        [
          { action: "master.scale", runs_on: "master", summary: "Say it.", file: join(folder, "scale.yaml") },
          { action: "local.say", runs_on: "agent", summary: "Say it.", file: join(folder, "say.yaml") },
        ].toReversed(),
      );
      assert.match(stderr, /bad\.yaml:1:1: the key "description" is missing/);
      assert.match((await run(["actions", "show", "local.say", "--actions", folder])).stdout, /^text +required +what/m);
      const bad = await run(["actions", "show", "local.bad", "--actions", folder]);
      assert.deepEqual([bad.code, bad.stdout], [2, ""]);
      assert.match(bad.stderr, /bad\.yaml:1:1: the key "description" is missing/);
      assert.match(
        (await run(["actions", "show", "local.none", "--actions", folder])).stderr,
        /there is no action "local\.none" among your own, those of \//,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("where no master can be reached your own actions are those of the installed folder, which is said", async () => {
    const folder = mkdtempSync(join(tmpdir(), "needfire-actions-"));
    mkdirSync(join(folder, ".needfire"));
    const deaf = createServer((socket) => socket.destroy()).listen(join(folder, ".needfire", "master.sock"));
    try {
      await once(deaf, "listening");
      const listed = await run(["actions", "list"], { cwd: folder });
      assert.equal(listed.code, 0, listed.stderr);
      assert.match(
        listed.stderr,
        /^Your own actions \(\d+\) are those of \/etc\/needfire\/actions, since no master can be reached at .*\.sock\.$/m,
      );
      const shown = await run(["actions", "show", "local.no-such-action"], { cwd: folder });
      assert.match(shown.stderr, /among your own, those of \/etc\/needfire\/actions, since no master can be reached/);
    } finally {
      deaf.close();
      rmSync(folder, { recursive: true });
    }
  });

  test("your own actions are those of the master that answers, unless a folder is named; one that is named and does not answer is an error", async () => {
    const folder = mkdtempSync(join(tmpdir(), "needfire-actions-"));
    const master = await startFakeMaster(join(folder, "master.sock"));
    const env = { NEEDFIRE_MASTER: master.socket };
    try {
      const listed = await run(["actions", "list"], { env });
      assert.equal(listed.code, 0, listed.stderr);
      assert.match(listed.stdout, /^local\.say +agent +Say it\.$/m);
      assert.match(listed.stderr, /Your own actions \(1\) are those of the master at .*master\.sock\.\n.*bad\.yaml:4:7: /s);
      const shown = await run(["actions", "show", "local.say"], { env });
      assert.deepEqual([shown.code, shown.stderr], [0, ""]);
      assert.match(shown.stdout, /^text +required +what/m);
      assert.match(shown.stdout, /^output +what it printed, as JSON/m);
      const none = await run(["actions", "show", "local.sai"], { env });
      assert.match(none.stderr, /there is no action "local\.sai" among your own, those of the master at .*; did you mean "local\.say"\?/);
      const before = master.requests.length;
      assert.match((await run(["actions", "show", "local.say", "--actions", folder], { env })).stderr, /there is no action "local\.say"/);
      assert.equal((await run(["actions", "show", "file.write"], { env })).code, 0);
      assert.equal(master.requests.length, before, "no master is asked");
    } finally {
      await master.stop();
      rmSync(folder, { recursive: true });
    }
    assert.equal((await run(["actions", "list"], { env })).code, 3);
  });
});
