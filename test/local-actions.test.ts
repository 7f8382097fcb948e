/** An action of the user's own, with real processes: the host's file says what is done, the master's copy what may be written in a reactor. */
import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
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
