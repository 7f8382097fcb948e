/** Two remedies with one lock, of different reactors, with real processes and a master that is killed while one of them waits. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Testbed } from "./testbed.ts";

test("of two tasks with one lock the second begins when the first is over, although the master is killed meanwhile", async () => {
  const bed = await Testbed.start({}, (made) => {
    const reactor = (name: string, script: string) =>
      made.reactor(
        name,
        `name: ${name}
on: file.created
when: event.subject.endsWith("/${name}")
lock: [event.agent, "'packages'"]
do: [{ command.run: { shell: true, argv: ${JSON.stringify([script, made.path("notes.txt"), made.path("go")])} } }]
`,
      );
    reactor("slow", 'echo begun >> "$1"; until [ -e "$2" ]; do sleep 0.1; done; echo ended >> "$1"');
    reactor("quick", 'echo quick >> "$1"');
    mkdirSync(made.path("host", "drop"));
    made.beacon("drop", `name: drop\ntype: file\npaths: [${JSON.stringify(made.path("host", "drop"))}]\nsettle: 1ms\n`);
  });
  const happens = (name: string) => writeFileSync(bed.path("host", "drop", name), "");
  const task = async (reactor: string, state: string) => (await bed.tasks((tasks) => tasks[0]?.state === state, reactor))[0]!;
  const notes = () => (existsSync(bed.path("notes.txt")) ? readFileSync(bed.path("notes.txt"), "utf8").trimEnd().split("\n") : []);
  try {
    await bed.addAgent("web1");
    await bed.watching("web1", "drop");
    happens("slow");
    const slow = await task("slow", "running");
    happens("quick");
    const waiting = await task("quick", "waiting");
    assert.equal(waiting.waits_for, `the lock ["web1","packages"], which ${slow.id} had`);
    await bed.master.stop("SIGKILL");
    await bed.startMaster();
    await bed.connected("web1");
    assert.equal((await bed.client.task(waiting.id)).state, "waiting");
    assert.ok(!notes().includes("quick"));
    writeFileSync(bed.path("go"), "");
    await task("quick", "resolved");
    assert.deepEqual([notes(), (await bed.client.task(slow.id)).state], [["begun", "ended", "quick"], "resolved"]);
  } finally {
    writeFileSync(bed.path("go"), "");
    await bed.stop();
  }
});
