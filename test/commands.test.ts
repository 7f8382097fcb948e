/** Commands and definitions on their way to real agents: cancelled in every state, expired, in thousands, and in parts. */
import assert from "node:assert/strict";
import { appendFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { test } from "node:test";
import type { TaskView } from "@needfire/shared/api";
import { setTimeout as delay } from "node:timers/promises";
import type { EventDraft } from "@needfire/shared/event";
import { parseJoinString, parseKeyFile } from "@needfire/shared/identity";
import { BusPeer, eventsMessage, plainEvent } from "./bus-peer.ts";
import { type Process, Testbed, type TestbedOptions, until } from "./testbed.ts";

/** A host on which a file that is made below `host/` begins a command; one that never ends, if `script` is the default. */
async function withCommands(
  options: TestbedOptions,
  work: (bed: Testbed) => Promise<void>,
  script = 'sleep 600 & echo $! > "$1.child"; touch "$1.began"; wait',
): Promise<void> {
  const bed = await Testbed.start({ heartbeat: "300ms", ...options }, (made) => {
    const argv = JSON.stringify([script, "${{ event.subject }}"]);
    made.reactor(
      "slow",
      `name: slow\non: [file.created, job.wanted]\nwhen: 'event.subject.endsWith(".go")'\ndo:\n  - command.run: { shell: true, argv: ${argv}, timeout: 2h }\n`,
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

/** Starts the agent again, and resolves when it watches again. */
async function watchAgain(bed: Testbed): Promise<Process> {
  const applied = { type: "beacon.applied", agent: "web1" };
  const before = (await bed.client.events({ ...applied, limit: 1_000 })).events.length;
  const agent = await bed.startAgent("web1");
  await bed.events(applied, before + 1);
  return agent;
}

/** Makes events as the agent itself would, while it is not there. */
async function makeEvents(bed: Testbed, epoch: string, events: Partial<EventDraft>[]): Promise<void> {
  const file = bed.path("state-web1", "agent.key");
  const keys = parseKeyFile(file, readFileSync(file, "utf8"), statSync(file).mode);
  // The agent's own numbering: what is sent to it in another one counts as sent before it lost its record of commands.
  const [said] = await bed.events({ agent: "web1", type: "beacon.applied" }, 1);
  const own = said!.id.split(":")[1]!;
  const peer = new BusPeer({ ...parseJoinString((await bed.client.status()).join_string), keys, epoch: own });
  try {
    assert.equal(await peer.join("web1"), "welcome");
    const numbered = events.map((event, index) => plainEvent(index + 1, { time: Date.now(), ...event }));
    for (let sent = 0; sent < numbered.length; sent += 500) {
      const batch = numbered.slice(sent, sent + 500);
      await peer.send(eventsMessage(batch, { epoch, after: sent }));
      assert.equal((await peer.expect("ack"))?.body.sequence, sent + batch.length);
    }
    await peer.send({ kind: "bye", body: {} });
    await until("the peer is gone", async () => !(await bed.client.agent("web1")).connected);
  } finally {
    peer.close();
  }
}

/** Has a command made for the agent, which is not there. */
async function wantWhileAway(bed: Testbed, name: string): Promise<TaskView> {
  const before = (await bed.client.tasks({ limit: 1_000 })).tasks.length;
  await makeEvents(bed, name, [{ type: "job.wanted", subject: bed.path("host", `${name}.go`) }]);
  return (await bed.tasks((tasks) => tasks.length > before))[0]!;
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

test("a command is held for an absent agent over a restart, unless it is cancelled; one that has ended cannot be", () =>
  withCommands(
    {},
    async (bed) => {
      const done = await begin(bed, "a");
      await bed.tasks(([task]) => task?.state === "resolved");
      await assert.rejects(bed.client.cancelTask(done.id, {}), { code: "CONFLICT" });

      await bed.agents.get("web1")!.stop();
      const held = await wantWhileAway(bed, "b");
      await bed.client.cancelTask(held.id, {});
      const kept = await wantWhileAway(bed, "d");
      await bed.master.stop("SIGKILL");
      await bed.startMaster();
      await watchAgain(bed);
      await ends(bed, held.id, "cancelled");
      await ends(bed, kept.id, "succeeded");
      // What changes in the moment in which a command ends counts as its effect, so the first one may not be answered.
      for (let file = 0; !existsSync(bed.path("host", `c${file - 1}.go.ran`)); file++) {
        assert.ok(file < 20, "no command runs any more");
        writeFileSync(bed.path("host", `c${file}.go`), "");
        await delay(250);
      }
      assert.ok(!existsSync(bed.path("host", "b.go.ran")));
    },
    'touch "$1.ran"',
  ));

test("a command that expired while its agent stood still is not run when the agent goes on", () =>
  withCommands(
    { master: "execution_expires: 3s" },
    async (bed) => {
      await bed.agents.get("web1")!.stop();
      appendFileSync(bed.path("web1.yaml"), "executions_max: 1\n");
      const agent = await watchAgain(bed);
      // Both at once: while a command runs, what changes on the host is judged later.
      for (const name of ["a", "b"]) writeFileSync(bed.path("host", `${name}.go`), "");
      const accepted = ({ executions }: TaskView) => executions[0]?.state === "accepted";
      await bed.tasks((found) => found.length === 2 && found.every(accepted));
      agent.signal("SIGSTOP");
      const tasks = await bed.tasks((found) => found.every(({ state }) => state === "escalated"));
      for (const { reason } of tasks) assert.equal(reason, "command.run on web1 had no result within its time");
      // The host counts from when it heard of them, some milliseconds after the master.
      await delay(500);
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

test("what expired while the master was away is not sent when it comes back, and its task is expired: it never went out", () =>
  withCommands(
    { master: "execution_expires: 6s" },
    async (bed) => {
      await bed.agents.get("web1")!.stop();
      const made = performance.now();
      await wantWhileAway(bed, "a");
      await bed.master.stop("SIGKILL");
      await until("its time is over", () => performance.now() - made > 6_500);
      await bed.startMaster();
      const [expired] = await bed.tasks(([task]) => task?.state === "escalated" || task?.state === "expired");
      assert.deepEqual([expired!.state, expired!.reason], ["expired", "web1 was not there within the time of command.run"]);
      await bed.startAgent("web1");
      await bed.events({ type: "beacon.applied" }, 2);
      assert.ok(!existsSync(bed.path("host", "a.go.ran")));
    },
    'touch "$1.ran"',
  ));

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
    const agent = await bed.addAgent("web1");
    await bed.events({ agent: "web1", type: "beacon.applied" }, 1);
    await agent.stop();
    appendFileSync(bed.path("web1.yaml"), "synchronous: NORMAL\n");
    for (let number = 1; number <= count; number++) writeFileSync(bed.path("host", String(number)), "");
    const events = Array.from({ length: count }, (_, index) => ({
      type: index < count - 100 ? "job.normal" : "job.critical",
      subject: bed.path("host", String(index + 1)),
    }));
    await makeEvents(bed, "e1", events);
    await until("there is a task of each", async () => (await bed.client.status()).tasks === count);
    await bed.startAgent("web1");
    const left = () => readdirSync(bed.path("host")).length;
    // A stall is when nothing is done for so long; as long as it goes on there is time.
    for (let before = count; before > 0; before = left()) await until(`less than ${before} commands are left`, () => left() < before);
    const results = await bed.events({ type: "execution.finished" }, count);
    assert.equal(results.length, count);
    assert.equal(new Set(results.map(({ cause }) => cause)).size, count);
    // What was lost on its way goes out again after 10 s; nothing was, and nothing had to wait for that.
    const received = results.map((event) => Date.parse(event.received)).toSorted((a, b) => a - b);
    const pauseMs = Math.max(...received.map((time, index) => time - (received[index - 1] ?? time)));
    assert.ok(pauseMs < 9_000, `for ${pauseMs} ms nothing ended`);
    const first = results.slice(0, 200).filter(({ subject }) => Number(basename(subject!)) > count - 100);
    assert.ok(first.length >= 100, `${first.length} of the first 200 results are of critical commands`);
    assert.ok(results.every(({ data }) => data["outcome"] === "succeeded" && data["changed"] === true));
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
