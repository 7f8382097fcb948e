/** An action of the user's own, with real processes: the host's file says what is done, the master's copy what may be written in a reactor. */
import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { masterAgent } from "@needfire/shared/ids";
import { byHand } from "@needfire/shared/task/order";
import { run } from "../packages/cli/src/testing/run.ts";
import { Testbed, until } from "./testbed.ts";

const action = (folder: string) => `name: local.note
description: Write a note.
args: { properties: { text: { type: string, maxLength: 100 } }, required: [text] }
argv: [/bin/sh, -c, 'printf %s "$1" >${folder}/note', sh, "\${{ args.text }}"]
`;

test("an action of the user's own runs where its file is, is refused where it is not, and its reactor is checked against the master's copy", async () => {
  const reactor = 'name: note\non: file.created\ndo:\n  - local.note: { text: "${{ event.subject }}" }\n';
  const bed = await Testbed.start({}, (made) => {
    for (const folder of ["actions", "host-actions", "out"]) mkdirSync(made.path(folder));
    made.write("actions/note.yaml", action(made.path("out")));
    made.reactor("note", reactor);
    made.beacon("drop", `name: drop\ntype: file\npaths: [${JSON.stringify(made.path("host"))}]\nsettle: 1ms\n`);
  });
  const settled = async (count: number) => {
    const tasks = await bed.tasks(
      (found) => found.length === count && found.every(({ state }) => ["resolved", "escalated"].includes(state)),
    );
    return bed.client.task(tasks[0]!.id);
  };
  try {
    const { join_string: joinString } = await bed.client.createToken({ uses: 1, labels: {} });
    assert.equal((await bed.join("web1", joinString)).code, 0);
    appendFileSync(bed.path("web1.yaml"), "actions: host-actions\n");
    await bed.startAgent("web1");
    await bed.watching("web1", "drop");
    writeFileSync(bed.path("host", "a"), "");
    const refused = await settled(1);
    assert.equal(refused.executions[0]!.state, "refused");
    assert.match(refused.executions[0]!.message ?? "", /note\.yaml:1:1: this host has no such action: put its file there$/);
    bed.write("host-actions/note.yaml", action(bed.path("out")));
    const name = "$(id) ; 'b'";
    writeFileSync(bed.path("host", name), "");
    const { state, executions } = await settled(2);
    assert.deepEqual([state, executions[0]!.action, executions[0]!.changed], ["resolved", "local.note", true], JSON.stringify(executions));
    assert.equal(readFileSync(bed.path("out", "note"), "utf8"), bed.path("host", name));
    // The master's copy changes: the reactor that it does not fit any more is told, and what was in force stays.
    bed.write("actions/note.yaml", action(bed.path("out")).replaceAll("text", "words"));
    const [problem] = await bed.events({ type: "reactor.refused" }, 1);
    assert.match(String(problem!.data["message"]), /local\.note: .*(words|text)/);
    assert.ok(existsSync(bed.path("reactors", "note.yaml")));
    await until("the status says so", async () => (await bed.client.reactors()).problems.length > 0);
  } finally {
    await bed.stop();
  }
});

test("one of a host by hand is checked before anything is made, runs on its host, and is tried without a change", async () => {
  const bed = await Testbed.start({ master: "actions: actions" }, (made) => {
    for (const folder of ["actions", "out"]) mkdirSync(made.path(folder));
    made.write("actions/note.yaml", action(made.path("out")));
    made.write("actions/broken.yaml", "name: local.broken\n");
  });
  const needfire = (...words: string[]) => run(words, { env: { NEEDFIRE_MASTER: bed.path("master.sock") }, timeoutMs: 120_000 });
  try {
    const { join_string: joinString } = await bed.client.createToken({ uses: 1, labels: {} });
    assert.equal((await bed.join("web1", joinString)).code, 0);
    appendFileSync(bed.path("web1.yaml"), "actions: actions\n");
    await bed.startAgent("web1");
    const says = async (...words: string[]) => {
      const { code, stderr } = await needfire("do", ...words);
      assert.equal(code, 2, stderr);
      return stderr;
    };
    assert.match(await says("web1", "local.note"), /local\.note: the key "text" is missing/);
    assert.match(await says("web1", "local.note", "text=a", "more=b"), /unknown key "more"/);
    assert.match(await says("web1", "local.broken"), /broken\.yaml:1:1: the key "description" is missing/);
    assert.match(await says("web1", "local.none"), /there is no .*none\.yaml on the master that says what local\.none is/);
    assert.match(await says("web1", "master.note", "text=a"), /note\.yaml says what local\.note is/);
    assert.match(await says(masterAgent, "local.note", "text=a"), /local\.note runs on hosts, and "master" is none/);
    assert.deepEqual((await bed.client.tasks({ reactor: byHand })).tasks, [], "nothing was made of any of them");
    const tried = await needfire("do", "web1", "local.note", "text=a", "--dry-run");
    assert.match(tried.stdout, /^web1 {2}ok, would change .*\n {2}would run /m);
    assert.ok(!existsSync(bed.path("out", "note")));
    const text = "$(id) ; 'b' = \"c\"";
    assert.equal((await needfire("do", "web1", "local.note", `text=${text}`)).code, 0);
    assert.equal(readFileSync(bed.path("out", "note"), "utf8"), text);
  } finally {
    await bed.stop();
  }
});

test("one of the master's own runs there, by a reactor and by hand, as commands_local allows it; a bad file is told, and what was in force stays", async () => {
  const bed = await Testbed.start({ master: 'actions: actions\ncommands_local: ["/bin/sh **"]' }, (made) => {
    for (const folder of ["actions", "out"]) mkdirSync(made.path(folder));
    made.write("actions/note.yaml", action(made.path("out")).replace("local.note", "master.note"));
    made.write("actions/other.yaml", "name: master.other\ndescription: Not allowed.\nargv: [/bin/true]\n");
    made.reactor("note", 'name: note\non: try.note\ndo:\n  - master.note: { text: "${{ event.subject }}" }\n');
  });
  const needfire = (...words: string[]) => run(words, { env: { NEEDFIRE_MASTER: bed.path("master.sock") }, timeoutMs: 120_000 });
  const note = () => readFileSync(bed.path("out", "note"), "utf8");
  try {
    const subject = "a; $(id) `id`";
    await bed.client.send({ type: "try.note", subject, severity: "normal", data: {} });
    const [task] = await bed.tasks((found) => found.length === 1 && found[0]!.state === "resolved", "note");
    assert.deepEqual([(await bed.client.task(task!.id)).executions[0]!.agent, note()], [masterAgent, subject]);
    assert.match((await needfire("actions", "list")).stdout, /^master\.note +master /m);
    const done = await needfire("do", masterAgent, "master.note", "text=by hand");
    assert.deepEqual([done.code, note()], [0, "by hand"], done.stderr);
    const refused = await needfire("do", masterAgent, "master.other");
    assert.equal(refused.code, 1);
    assert.match(refused.stdout, /policy: no pattern of commands_local fits \["\/bin\/true"\]/);
    bed.write("actions/note.yaml", "name: master.note\nargv: []\n");
    const [problem] = await bed.events({ type: "action.refused" }, 1);
    assert.match(String(problem!.data["file"]), /actions\/note\.yaml$/);
    assert.ok((await bed.client.status()).problems.some(({ message }) => message === 'the key "description" is missing'));
    assert.equal((await needfire("do", masterAgent, "master.note", "text=still there")).code, 0);
    assert.equal(note(), "still there");
    await bed.client.send({ type: "try.note", subject: "this one, too", severity: "normal", data: {} });
    await until("the reactor goes on", () => note() === "this one, too");
  } finally {
    await bed.stop();
  }
});
