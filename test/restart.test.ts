/** What outlives a process: events made while the master is away, an unfinished reaction, a clean stop. Real processes. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Process, Testbed, until } from "./testbed.ts";

const restore = "name: restore\non: file.drifted\nlimits: { breaker: off }\ndo:\n  - file.restore: { path: '${{ event.data.path }}' }\n";
const watchManaged = "name: managed\ntype: file\nmanaged: true\nsettle: 1ms\n";

async function withManagedFile(work: (bed: Testbed, file: string) => Promise<void>): Promise<void> {
  let file = "";
  const bed = await Testbed.start({}, (made) => {
    file = made.manage("app.conf", { content: "right\n" });
    made.reactor("restore", restore);
    made.beacon("managed", watchManaged);
  });
  try {
    await bed.addAgent("web1");
    await until("the file is in place", () => isRight(file));
    await bed.tasks((tasks) => tasks.length === 1 && tasks[0]!.state === "resolved");
    await work(bed, file);
  } finally {
    await bed.stop();
  }
}

function isRight(file: string): boolean {
  try {
    return readFileSync(file, "utf8") === "right\n";
  } catch {
    return false;
  }
}

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  test(`a master that is ended by ${signal} and started again finds its agent back, with what happened meanwhile`, () =>
    withManagedFile(async (bed, file) => {
      const code = await bed.master.stop(signal);
      if (signal === "SIGTERM") assert.equal(code, 0);
      // In one step: a truncation and a write may be seen as two changes.
      writeFileSync(`${file}.tmp`, "changed while nobody was there\n");
      renameSync(`${file}.tmp`, file);
      await bed.startMaster();
      await until("the file is back", () => isRight(file));
      const tasks = await bed.tasks((found) => found.length === 2 && found.every(({ state }) => state === "resolved"));
      const drifts = await bed.events({ type: "file.drifted" }, 2);
      assert.equal(drifts.length, 2);
      assert.deepEqual(new Set(tasks.map(({ event }) => event)), new Set(drifts.map(({ id }) => id)));
    }));
}

test("a file that changed while the agent was away is put back when it comes again", () =>
  withManagedFile(async (bed, file) => {
    assert.equal(await bed.agents.get("web1")!.stop(), 0);
    writeFileSync(file, "changed while the agent was away\n");
    await bed.startAgent("web1");
    await until("the file is back", () => isRight(file));
  }));

test("a command for an agent that is away waits for it, and runs once", async () => {
  const bed = await Testbed.start({}, (made) => {
    const script = ['echo ran >> "$1"', made.path("ran.txt")];
    made.reactor(
      "write",
      `name: write\non: file.created\nflow: { debounce: 3s }\ndo:\n  - command.run: { shell: true, argv: ${JSON.stringify(script)} }\n`,
    );
    made.beacon("drop", `name: drop\ntype: file\npaths: [${JSON.stringify(made.path("host"))}]\nsettle: 1ms\n`);
  });
  try {
    const agent = await bed.addAgent("web1");
    await bed.watching("web1", "drop");
    writeFileSync(bed.path("host", "first"), "");
    await bed.events({ type: "file.created" }, 1);
    // By the time that the master reacts, the agent is gone.
    await agent.stop("SIGKILL");
    await bed.tasks((tasks) => tasks.length === 1 && tasks[0]!.executions.length === 1);
    await bed.startAgent("web1");
    await bed.tasks((tasks) => tasks.length === 1 && tasks[0]!.state === "resolved");
    await bed.master.stop("SIGKILL");
    await bed.startMaster();
    await bed.connected("web1");
    writeFileSync(bed.path("host", "second"), "");
    await bed.tasks((tasks) => tasks.length === 2 && tasks.every(({ state }) => state === "resolved"));
    assert.equal(readFileSync(bed.path("ran.txt"), "utf8"), "ran\nran\n");
  } finally {
    await bed.stop();
  }
});

test("a drift whose remedy died with the agent is told once more", async () => {
  const bed = await Testbed.start({}, (made) => {
    made.manage("m.conf", { content: "good\n" });
    made.beacon("managed", "name: managed\ntype: file\nmanaged: true\nsettle: 1ms\n");
    const script = ['touch "$1"; exec sleep 60', made.path("began")];
    made.reactor(
      "slow",
      `name: slow\non: file.drifted\ndo:\n  - command.run: { shell: true, argv: ${JSON.stringify(script)}, timeout: 2m }\n`,
    );
  });
  try {
    const agent = await bed.addAgent("web1");
    // It is not there yet.
    const [first] = await bed.events({ type: "file.drifted" }, 1);
    await until("the command runs", () => existsSync(bed.path("began")));
    await agent.stop("SIGKILL");
    await bed.startAgent("web1");
    const [, again] = await bed.events({ type: "file.drifted" }, 2);
    assert.deepEqual([again!.subject, again!.data["after"]], [first!.subject, null]);
  } finally {
    await bed.stop();
  }
});

test("a command whose agent dies midway is reported as interrupted, and its task escalates", async () => {
  const bed = await Testbed.start({}, (made) => {
    const script = ['touch "$1"; exec sleep 60', made.path("began")];
    made.reactor(
      "slow",
      `name: slow\non: file.created\ndo:\n  - command.run: { shell: true, argv: ${JSON.stringify(script)}, timeout: 2m }\n`,
    );
    made.beacon("drop", `name: drop\ntype: file\npaths: [${JSON.stringify(made.path("host"))}]\nsettle: 1ms\n`);
  });
  try {
    const agent = await bed.addAgent("web1");
    await bed.watching("web1", "drop");
    writeFileSync(bed.path("host", "file"), "");
    await until("the command runs", () => existsSync(bed.path("began")));
    await agent.stop("SIGKILL");
    await bed.startAgent("web1");
    const [task] = await bed.tasks((found) => found.length === 1 && found[0]!.state === "escalated");
    assert.match(task!.reason!, /interrupted/);
    assert.equal(task!.executions[0]!.state, "interrupted");
  } finally {
    await bed.stop();
  }
});

test("two masters do not share a state directory, nor two agents", async () =>
  withManagedFile(async (bed) => {
    const master = new Process("second", bed.path("second.log"), ["master", "--config", bed.path("master.yaml")]);
    await until("the second master ends", () => !master.running);
    assert.equal(master.exitCode, 1);
    assert.match(master.output(), /another master/);
    const agent = new Process("second-agent", bed.path("second-agent.log"), ["agent", "--config", bed.path("web1.yaml")]);
    await until("the second agent ends", () => !agent.running);
    assert.equal(agent.exitCode, 1);
    assert.match(agent.output(), /another agent/);
    assert.equal(bed.master.running && bed.agents.get("web1")!.running, true);
  }));
