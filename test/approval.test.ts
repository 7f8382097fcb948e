/** A remedy that waits for somebody's word, with real processes, and a master that is killed while it waits. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { TaskView } from "@needfire/shared/api";
import { run } from "../packages/cli/src/testing/run.ts";
import { Testbed } from "./testbed.ts";

describe("a task that waits for somebody's word", () => {
  let bed: Testbed;
  /** Says it to this test's master, as this user. */
  const as = (user: string, ...words: string[]) => run(words, { env: { NEEDFIRE_MASTER: bed.path("master.sock"), SUDO_USER: user } });
  const said = (line: string) =>
    existsSync(bed.path("notes.txt")) && readFileSync(bed.path("notes.txt"), "utf8").split("\n").includes(line);
  const task = async (reactor: string, isSo: (task: TaskView) => boolean) =>
    (await bed.tasks((tasks) => tasks.length === 1 && isSo(tasks[0]!), reactor))[0]!;
  /** The host says that there is something for this reactor. */
  const happens = (reactor: string) => writeFileSync(bed.path("host", "drop", reactor), "");
  const waiting = (reactor: string) => {
    happens(reactor);
    return task(reactor, ({ state }) => state === "waiting");
  };

  before(async () => {
    bed = await Testbed.start({}, (made) => {
      const note = (line: string) =>
        `{ command.run: { shell: true, argv: ${JSON.stringify(['echo "$2" >> "$1"', made.path("notes.txt"), line])} } }`;
      const reactor = (name: string, approve: string) =>
        made.reactor(
          name,
          `name: ${name}
on: file.created
when: event.subject.endsWith("/${name}")
task: { key: event.subject }
approve: { from: [ann, bob], message: "about \${{ event.subject }}?", ${approve} }
do: [${note(`${name} done`)}]
otherwise: [${note(`${name} called`)}]
`,
        );
      reactor("approved", "timeout: 1h");
      reactor("denied", "timeout: 1h");
      reactor("outlasting", "timeout: 1h");
      reactor("escalating", "timeout: 2s");
      reactor("proceeding", "timeout: 2s, on_timeout: proceed");
      reactor("unasked", 'if: event.subject.endsWith("other")');
      mkdirSync(made.path("host", "drop"));
      made.beacon("drop", `name: drop\ntype: file\npaths: [${JSON.stringify(made.path("host", "drop"))}]\nsettle: 1ms\n`);
    });
    await bed.addAgent("web1");
    await bed.watching("web1", "drop");
  });
  after(() => bed.stop());

  test("begins when one of those who may says so, and with nobody else's word", async () => {
    const { id, approval, waits_for: waitsFor } = await waiting("approved");
    assert.deepEqual([approval!.from, approval!.message], [["ann", "bob"], `about ${bed.path("host", "drop", "approved")}?`]);
    assert.equal(waitsFor, "the word of ann or bob");
    assert.match(
      (await as("eve", "tasks", "list", "--state", "waiting")).stdout,
      /WAITS FOR[^]*approved +web1.* the word of ann or bob +.*t-/,
    );
    assert.match(
      (await as("eve", "tasks", "show", id)).stdout,
      /waits for +the word of ann or bob, until [^]*asked +about [^]*without it +it escalates/,
    );
    for (const verb of ["approve", "deny"]) {
      const refused = await as("eve", "tasks", verb, id);
      assert.deepEqual([refused.code, refused.stdout], [1, ""]);
      assert.match(refused.stderr, /waits for the word of ann or bob, not of eve/);
    }
    assert.equal((await bed.client.task(id)).state, "waiting");
    assert.match((await as("bob", "tasks", "approve", id, "--why", "checked")).stdout, /is approved, and begins/);
    const done = await task("approved", ({ state }) => state === "resolved");
    assert.deepEqual([done.approved!.by, done.approved!.why, said("approved done")], ["bob", "checked", true]);
    const late = await as("ann", "tasks", "approve", id);
    assert.match(late.stderr, /is resolved already: there is nothing to approve/);
  });

  test("is over when one of them says no: nothing was sent, and it is known who and why", async () => {
    const { id } = await waiting("denied");
    assert.match((await as("ann", "tasks", "deny", id, "--why", "not now")).stdout, /is denied: it is cancelled/);
    const over = await bed.client.task(id);
    assert.deepEqual([over.state, over.cancelled_by, over.reason, over.executions], ["cancelled", "ann", "not now", []]);
    const [told] = await bed.events({ type: "task.denied" }, 1);
    assert.deepEqual([told!.data["by"], told!.data["why"]], ["ann", "not now"]);
  });

  test("escalates, or begins all the same, when nobody answered in time, as its reactor says", async () => {
    happens("escalating");
    happens("proceeding");
    happens("unasked");
    const escalated = await task("escalating", ({ state, executions }) => state === "escalated" && executions[0]?.ended !== undefined);
    assert.match(escalated.reason!, /^nobody approved it within 2.*s; asked: ann, bob$/);
    const began = await task("proceeding", ({ state }) => state === "resolved");
    const unasked = await task("unasked", ({ state }) => state === "resolved");
    assert.deepEqual([began.attempts, unasked.attempts, said("escalating called"), said("escalating done")], [1, 1, true, false]);
    assert.ok((await bed.events({ type: "task.waiting" }, 4)).every(({ data }) => data["reactor"] !== "unasked"));
  });

  test("outlasts a master that is killed, and further firings join it", async () => {
    const { id, due } = await waiting("outlasting");
    await bed.master.stop("SIGKILL");
    await bed.startMaster();
    await bed.connected("web1");
    const after = await bed.client.task(id);
    assert.deepEqual([after.state, after.due], ["waiting", due]);
    const file = bed.path("host", "drop", "outlasting");
    rmSync(file);
    await bed.events({ type: "file.removed", where: 'event.subject.endsWith("outlasting")' }, 1);
    writeFileSync(file, "again");
    await task("outlasting", ({ state, joined }) => state === "waiting" && joined === 1);
    assert.match((await as("ann", "tasks", "approve", id)).stdout, /begins/);
    await task("outlasting", ({ state }) => state === "resolved");
    assert.ok(said("outlasting done"));
    assert.equal((await bed.events({ type: "task.approved", where: 'event.data.reactor == "outlasting"' }, 1)).length, 1);
  });
});
