/** Commands and definitions on their way to real agents: cancelled in every state, expired, in thousands, and in parts. */
import assert from "node:assert/strict";
import { appendFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { test } from "node:test";
import type { TaskView } from "@needfire/shared/api";
import { parseJoinString, parseKeyFile } from "@needfire/shared/identity";
import { BusPeer } from "./bus-peer.ts";
import { Testbed, type TestbedOptions, until } from "./testbed.ts";

/** A host on which a file that is made below `host/` begins a command; one that never ends, if `script` is the default. */
async function withCommands(
  options: TestbedOptions,
  work: (bed: Testbed) => Promise<void>,
  script = 'sleep 600 & echo $! > "$1.child"; touch "$1.began"; wait',
): Promise<void> {
  const bed = await Testbed.start({ heartbeat: "300ms", ...options }, (made) => {
    const argv = JSON.stringify([script, "${{ event.data.path }}"]);
    made.reactor(
      "slow",
      `name: slow\non: file.created\nwhen: 'event.subject.endsWith(".go")'\ndo:\n  - command.run: { shell: true, argv: ${argv}, timeout: 2h }\n`,
    );
    made.beacon("drop", `name: drop\ntype: file\npaths: [${JSON.stringify(made.path("host"))}]\nsettle: 1ms\n`);
  });
  try {
    await bed.addAgent("web1");
    await bed.watching("web1", "drop");
    await work(bed);
  } finally {
    await bed.stop();
  }
}

/** Makes the event for a command, and resolves with its task. */
async function begin(bed: Testbed, name: string): Promise<TaskView> {
  const before = (await bed.client.tasks({ limit: 1_000 })).tasks.length;
  writeFileSync(bed.path("host", `${name}.go`), "");
  return (await bed.tasks((tasks) => tasks.length > before))[0]!;
}

/** Looks for text in the spool's file and its log, since its owner holds the lock. */
function spooled(bed: Testbed, text: string): boolean {
  const spool = bed.path("state-web1", "spool.db");
  return [spool, `${spool}-wal`].some((file) => existsSync(file) && readFileSync(file).includes(text));
}

const began = (bed: Testbed, name: string) => existsSync(bed.path("host", `${name}.go.began`));
const stateOf = async (bed: Testbed, id: string) => (await bed.client.task(id)).executions.map(({ state }) => state);
const ends = (bed: Testbed, id: string, state: string) =>
  until(
    `${id} is ${state}`,
    async () => (await stateOf(bed, id))[0] === state,
    () => id,
  );

test("a task is cancelled while its command runs: the command ends with all that it started, and history says who and why", () =>
  withCommands({}, async (bed) => {
    const task = await begin(bed, "a");
    await until("the command runs", () => began(bed, "a"));
    const cancelled = await bed.client.cancelTask(task.id, { why: "wrong window", by: "alice" });
    assert.deepEqual([cancelled.state, cancelled.reason, cancelled.cancelled_by], ["cancelled", "wrong window", "alice"]);
    await ends(bed, task.id, "cancelled");
    const [execution] = (await bed.client.task(task.id)).executions;
    assert.equal(execution!.changed, true);
    assert.match(execution!.message!, /^it was cancelled; the command was ended by SIGTERM$/);
    const child = Number(readFileSync(bed.path("host", "a.go.child"), "utf8"));
    assert.throws(() => process.kill(child, 0), { code: "ESRCH" });
    const [event] = await bed.events({ type: "task.cancelled" }, 1);
    assert.deepEqual([event!.cause, event!.data["reason"], event!.data["by"]], [task.id, "wrong window", "alice"]);
    const { chain } = await bed.client.chain(task.event);
    assert.ok(chain.some(({ kind, detail }) => kind === "task" && detail === "cancelled by alice: wrong window"));

    await bed.client.cancelTask(task.id, { by: "bob" });
    assert.equal((await bed.client.task(task.id)).cancelled_by, "alice", "a second cancellation changes nothing");
    await assert.rejects(bed.client.cancelTask("t-0000000000000000", {}), { code: "NOT_FOUND" });
  }));

test("what is cancelled while its agent is away does not run when that comes back, although the master restarts meanwhile", () =>
  withCommands({}, async (bed) => {
    const running = await begin(bed, "a");
    await until("the command runs", () => began(bed, "a"));
    const agent = bed.agents.get("web1")!;
    agent.signal("SIGSTOP");
    await bed.events({ type: "agent.lost" }, 1);
    await bed.client.cancelTask(running.id, {});
    await bed.master.stop("SIGKILL");
    await bed.startMaster();
    const { state, executions } = await bed.client.task(running.id);
    assert.deepEqual([state, executions[0]!.ended], ["cancelled", undefined], "what became of its command is not known yet");
    agent.signal("SIGCONT");
    await ends(bed, running.id, "cancelled");
  }));

test("a command that is held for an absent agent is cancelled at once; one that has ended cannot be", () =>
  withCommands(
    {},
    async (bed) => {
      const done = await begin(bed, "a");
      await bed.tasks(([task]) => task?.state === "resolved");
      await assert.rejects(bed.client.cancelTask(done.id, {}), { code: "CONFLICT" });

      // The event reaches the master while its agent cannot be reached any more.
      bed.master.signal("SIGSTOP");
      writeFileSync(bed.path("host", "b.go"), "");
      await until("the event is in the spool", () => spooled(bed, "b.go"));
      await bed.agents.get("web1")!.stop("SIGKILL");
      bed.master.signal("SIGCONT");
      const [held] = await bed.tasks((tasks) => tasks.length === 2);
      await bed.client.cancelTask(held!.id, {});
      await bed.startAgent("web1");
      await ends(bed, held!.id, "cancelled");
      writeFileSync(bed.path("host", "c.go"), "");
      await bed.tasks((tasks) => tasks.length === 3 && tasks[0]!.state === "resolved");
      assert.ok(!existsSync(bed.path("host", "b.go.ran")));
      assert.ok(existsSync(bed.path("host", "c.go.ran")));
    },
    'touch "$1.ran"',
  ));

test("a command that expired while its agent stood still is not run when the agent goes on", () =>
  withCommands(
    { master: "execution_expires: 3s" },
    async (bed) => {
      await bed.agents.get("web1")!.stop();
      appendFileSync(bed.path("web1.yaml"), "executions_max: 1\n");
      const agent = await bed.startAgent("web1");
      await bed.watching("web1", "drop");
      // Both at once: while a command runs, what changes on the host is judged later.
      for (const name of ["a", "b"]) writeFileSync(bed.path("host", `${name}.go`), "");
      const accepted = ({ executions }: TaskView) => executions[0]?.state === "accepted";
      await bed.tasks((found) => found.length === 2 && found.every(accepted));
      agent.signal("SIGSTOP");
      const tasks = await bed.tasks((found) => found.every(({ state }) => state === "escalated"));
      for (const { reason } of tasks) assert.equal(reason, "command.run on web1 had no result within its time");
      writeFileSync(bed.path("host", "release"), "");
      agent.signal("SIGCONT");
      const results = await bed.events({ type: "execution.finished", agent: "web1" }, 2);
      assert.deepEqual(
        results.map(({ data }) => data["outcome"]),
        ["succeeded", "expired"],
      );
      assert.equal(["a", "b"].filter((name) => existsSync(bed.path("host", `${name}.go.ran`))).length, 1);
    },
    'touch "$1.ran"; while [ ! -e "${1%/*}/release" ]; do sleep 0.05; done',
  ));

test("what expired while the master was away is not sent when it comes back, and what has not still is", () =>
  withCommands(
    { master: "execution_expires: 4s" },
    async (bed) => {
      const waiting = async (name: string) => {
        await bed.startAgent("web1");
        await bed.watching("web1", "drop");
        // The event reaches the master while its agent cannot be reached any more.
        bed.master.signal("SIGSTOP");
        writeFileSync(bed.path("host", `${name}.go`), "");
        await until("the event is in the spool", () => spooled(bed, `${name}.go`));
        await bed.agents.get("web1")!.stop("SIGKILL");
        const before = performance.now();
        bed.master.signal("SIGCONT");
        await bed.tasks((tasks) => tasks[0]?.subject?.endsWith(`${name}.go`) === true);
        await bed.master.stop("SIGKILL");
        return before;
      };
      await bed.agents.get("web1")!.stop();
      const made = await waiting("a");
      await until("its time is over", () => performance.now() - made > 4_500);
      await bed.startMaster();
      const [expired] = await bed.tasks(([task]) => task?.state === "escalated");
      assert.match(expired!.reason!, /within its time$/);
      await waiting("b");
      await bed.startMaster();
      await bed.startAgent("web1");
      await bed.tasks(([task]) => task?.state === "resolved");
      assert.deepEqual(
        ["a", "b"].map((name) => existsSync(bed.path("host", `${name}.go.ran`))),
        [false, true],
      );
    },
    'touch "$1.ran"',
  ));

/** Makes `count` events as the agent itself would; who asks sees to it that it is not there meanwhile. */
async function makeEvents(bed: Testbed, agent: string, { count, event }: { count: number; event(number: number): object }): Promise<void> {
  const file = bed.path(`state-${agent}`, "agent.key");
  const keys = parseKeyFile(file, readFileSync(file, "utf8"), statSync(file).mode);
  const peer = new BusPeer({ ...parseJoinString((await bed.client.status()).join_string), keys });
  try {
    assert.equal(await peer.join(agent), "welcome");
    for (let first = 1; first <= count; first += 500) {
      const events = Array.from({ length: 500 }, (_, index) => ({ sequence: first + index, time: Date.now(), ...event(first + index) }));
      await peer.send({ kind: "events", body: { epoch: "e1", events } });
      assert.equal((await peer.expect("ack"))?.body.sequence, first + 499);
    }
    await peer.send({ kind: "bye", body: {} });
    await until("the peer is gone", async () => !(await bed.client.agent(agent)).connected);
  } finally {
    peer.close();
  }
}

test("5,000 commands at once to one agent all run, each once, without a stall, the critical first", async () => {
  const count = 5_000;
  // What is looked at is the way, not the disk: 15,000 syncs of a busy one take longer than the test may.
  const bed = await Testbed.start({ master: "synchronous: NORMAL" }, (made) => {
    for (const priority of ["critical", "normal"])
      made.reactor(
        priority,
        `name: ${priority}\non: job.${priority}\npriority: ${priority}\ndo:\n  - file.remove: { path: '\${{ event.subject }}' }\n`,
      );
  });
  try {
    await (await bed.addAgent("web1")).stop();
    appendFileSync(bed.path("web1.yaml"), "synchronous: NORMAL\n");
    for (let number = 1; number <= count; number++) writeFileSync(bed.path("host", String(number)), "");
    const event = (number: number) => ({
      type: number > count - 100 ? "job.critical" : "job.normal",
      subject: bed.path("host", String(number)),
      severity: "normal",
      data: {},
    });
    await makeEvents(bed, "web1", { count, event });
    await until("there is a task of each", async () => (await bed.client.status()).tasks === count);
    await bed.startAgent("web1");
    const left = () => readdirSync(bed.path("host")).length;
    // A stall is when nothing is done for so long; as long as it goes on there is time.
    for (let before = count; before > 0; before = left()) await until(`less than ${before} commands are left`, () => left() < before);
    const events = await bed.events({ type: "execution.finished" }, count);
    assert.equal(events.length, count);
    assert.equal(new Set(events.map(({ cause }) => cause)).size, count);
    // What was lost on its way goes out again after 10 s; nothing was, and nothing had to wait for that.
    const received = events.map((event) => Date.parse(event.received)).toSorted((a, b) => a - b);
    const pauseMs = Math.max(...received.map((time, index) => time - (received[index - 1] ?? time)));
    assert.ok(pauseMs < 9_000, `for ${pauseMs} ms nothing ended`);
    const first = events.slice(0, 200).filter(({ subject }) => Number(basename(subject!)) > count - 100);
    assert.ok(first.length >= 100, `${first.length} of the first 200 results are of critical commands`);
    assert.ok(events.every(({ data }) => data["outcome"] === "succeeded" && data["changed"] === true));
  } finally {
    await bed.stop();
  }
});

test("an agent takes 20,000 managed files, in parts, and what changes in them", async () => {
  const count = 20_000;
  const map = (bed: Testbed, mode: string) => {
    const [owner, group] = [String(process.getuid?.() ?? 0), String(process.getgid?.() ?? 0)];
    const lines = Array.from(
      { length: count },
      (_, number) => `- {path: /n/${number}, source: one, owner: "${owner}", group: "${group}", mode: "${mode}"}`,
    );
    bed.write("files.yaml", `files:\n${lines.join("\n")}\n`);
  };
  const bed = await Testbed.start({}, (made) => {
    writeFileSync(made.path("files", "one"), "the same\n");
    map(made, "0644");
  });
  try {
    await bed.addAgent("web1");
    const modes = (): number[] => {
      try {
        const { files } = JSON.parse(readFileSync(bed.path("state-web1", "files.json"), "utf8")) as { files: { mode: number }[] };
        return files.map(({ mode }) => mode);
      } catch {
        return []; // not there yet
      }
    };
    await until("all of them are there", () => modes().length === count);
    map(bed, "0600");
    await bed.client.reload();
    await until("all of them are as they are now", () => modes().every((mode) => mode === 0o600));
    assert.equal(modes().length, count);
    assert.deepEqual((await bed.client.events({ type: "agent.overfull" })).events, []);
  } finally {
    await bed.stop();
  }
});
