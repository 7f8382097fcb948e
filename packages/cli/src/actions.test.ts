/** `needfire actions list` and `show`: no master is needed. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { run } from "./testing/run.ts";

describe("actions", () => {
  test("list names every action, and the side that it runs on", async () => {
    const { code, stdout, stderr } = await run(["actions", "list", "--json"]);
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
      const { stdout } = await run(["actions", "list", "--json", "--actions", folder]);
      const own = stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { action: string; summary: string })
        .slice(-3);
      assert.deepEqual(own[1], { action: "local.say", runs_on: "agent", summary: "Say it." });
      assert.deepEqual(own[2], { action: "master.scale", runs_on: "master", summary: "Say it." });
      assert.equal(own[0]!.action, "bad.yaml");
      assert.match(own[0]!.summary, /^cannot be used: .*bad\.yaml:1:1: the key "description" is missing/);
      assert.match((await run(["actions", "show", "local.say", "--actions", folder])).stdout, /^text +required +what/m);
      const bad = await run(["actions", "show", "local.bad", "--actions", folder]);
      assert.deepEqual([bad.code, bad.stdout], [2, ""]);
      assert.match(bad.stderr, /bad\.yaml:1:1: the key "description" is missing/);
      assert.match((await run(["actions", "show", "local.none", "--actions", folder])).stderr, /there is no action "local\.none" here/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
