/**
 * What was done for a time is taken back in time, whoever is away then: real processes, a master that is killed, an agent that is killed as well,
 * a policy that does not let the undo be, a person who wants it to stay, a remedy that comes again before that, and one whose master dies in the
 * middle of it.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TaskView } from "@needfire/shared/api";
import { parseJoinString } from "@needfire/shared/identity";
import { BusPeer, eventsMessage, plainEvent } from "./bus-peer.ts";
import { Testbed, until } from "./testbed.ts";

const program = join(import.meta.dirname, "..", "packages", "cli", "bin", "needfire.js");

const dropping = (bed: Testbed) => `name: drop\ntype: file\npaths: [${JSON.stringify(bed.path("host"))}]\nsettle: 1ms\n`;

/** An action that adds a line to a file of the testbed. */
function note(bed: Testbed, line: string): string {
  return `{ command.run: { shell: true, argv: ${JSON.stringify(['echo "$2" >> "$1"', bed.path("notes.txt"), line])} } }`;
}

function notes(bed: Testbed): string[] {
  const file = bed.path("notes.txt");
  return existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : [];
}

/** A reactor that blocks something for a time, an agent that watches for the cause, and the cause. */
async function blocked(
  after: string,
  work: (bed: Testbed, task: TaskView) => Promise<void>,
  { undo, policy, task }: { undo?: (bed: Testbed) => string; policy?: string; task?: string } = {},
): Promise<void> {
  const bed = await Testbed.start({}, (made) => {
    made.beacon("drop", dropping(made));
    const steps = undo?.(made) ?? `${note(made, "unblock")}, ${note(made, "tidy")}`;
    made.reactor(
      "block",
      `name: block\non: file.created\nwhen: event.subject.endsWith("/attack")\n${task === undefined ? "" : `task: ${task}\n`}do:\n  - steps: [${note(made, "block")}]\n    undo: { after: ${after}, steps: [${steps}] }\n`,
    );
  });
  try {
    await bed.addAgent("web1");
    if (policy !== undefined) await obey(bed, policy);
    await bed.watching("web1", "drop");
    writeFileSync(bed.path("host", "attack"), "");
    const [made] = await bed.tasks(([first]) => first?.state === "resolved" && first.undo_due[0]?.by !== undefined);
    await work(bed, made!);
  } finally {
    await bed.stop();
  }
}

/** The agent, with another policy. */
async function obey(bed: Testbed, policy: string): Promise<void> {
  const file = bed.path("web1.yaml");
  const text = readFileSync(file, "utf8").replace(/^policy:\n(?: .*\n)*/m, "");
  await bed.agents.get("web1")!.stop();
  writeFileSync(file, `${text}policy: ${policy.replace("{", "{ allow: { commands: any },")}\n`);
  await bed.startAgent("web1");
}

async function undone(bed: Testbed): Promise<TaskView> {
  const [task] = await bed.tasks(([first]) => first?.undo_due.length === 0);
  return task!;
}

test("what is blocked for a time is released in time by the host itself, although the master is dead and the agent was killed, and the master hears of it once", () =>
  blocked("15s", async (bed, task) => {
    const due = Date.parse(task.undo_due[0]!.due!);
    assert.equal(task.undo_due[0]!.by, "host");
    await bed.master.stop("SIGKILL");
    await bed.agents.get("web1")!.stop("SIGKILL");
    bed.launchAgent("web1");
    await until("it is released", () => notes(bed).length === 3);
    assert.ok(Date.now() >= due - 1_000, "not before its time");
    assert.deepEqual(notes(bed), ["block", "unblock", "tidy"]);
    // Not before its results are on its disk.
    await bed.agents.get("web1")!.stop();
    await bed.startMaster();
    await bed.startAgent("web1");
    const { executions, id } = await undone(bed);
    assert.deepEqual(
      executions.map(({ purpose, state }) => [purpose, state]),
      [
        ["do", "succeeded"],
        ["undo", "succeeded"],
        ["undo", "succeeded"],
      ],
    );
    const told = await bed.events({ type: "task.undone" }, 1);
    assert.deepEqual([told.length, told[0]!.cause], [1, id]);
    const results = await bed.events({ type: "execution.finished" }, 3);
    assert.deepEqual(results.map(({ cause }) => cause!).toSorted(), executions.map((each) => each.id).toSorted());
    assert.deepEqual(notes(bed), ["block", "unblock", "tidy"]);
  }));

/** The cause once more. */
async function attackAgain(bed: Testbed): Promise<void> {
  rmSync(bed.path("host", "attack"));
  await bed.events({ type: "file.removed" }, 1);
  writeFileSync(bed.path("host", "attack"), "");
}

test("what fires again before it was taken back is taken back once, at the later time, by the host itself, although the master was killed between and is dead then; both tasks say so", () =>
  blocked(
    "20s",
    async (bed, { id: first }) => {
      await bed.master.stop("SIGKILL");
      await bed.startMaster();
      await bed.connected("web1");
      await attackAgain(bed);
      const tasks = await bed.tasks(
        ([second, given]) => given?.taken_over !== undefined && second?.state === "resolved" && second.undo_due[0]?.by === "host",
      );
      const [{ id: second, undo_due: later, took_over: tookOver }] = tasks as [TaskView, TaskView];
      assert.deepEqual(tookOver, [first]);
      assert.match(needfire(bed, "tasks", "show", first), new RegExp(`taken over +undo of rung 1 by ${second} at `));
      assert.match(needfire(bed, "tasks", "show", second), new RegExp(`takes over +the undo of ${first}\n`));
      assert.throws(() => needfire(bed, "tasks", "keep", first), new RegExp(`${second} takes it back instead`));
      await bed.master.stop("SIGKILL");
      await until("it is released", () => notes(bed).length === 4);
      assert.ok(Date.now() >= Date.parse(later[0]!.due!) - 1_000, "not before the later time");
      await bed.agents.get("web1")!.stop();
      await bed.startMaster();
      await bed.startAgent("web1");
      await bed.tasks((all) => all.every(({ undo_due: due }) => due.length === 0));
      assert.deepEqual(notes(bed), ["block", "block", "unblock", "tidy"]);
      const told = async (type: string) => (await bed.events({ type }, 1)).map(({ cause }) => cause);
      assert.deepEqual([await told("task.undo_taken_over"), await told("task.undone")], [[first], [second]]);
    },
    { task: "{ key: event.subject }" },
  ));

for (const [how, away, back] of [
  ["dies", (bed: Testbed) => bed.master.stop("SIGKILL"), (bed: Testbed) => bed.startMaster()],
  ["hangs", (bed: Testbed) => bed.master.signal("SIGSTOP"), (bed: Testbed) => bed.master.signal("SIGCONT")],
] as const) {
  test(`a host whose master ${how} while a remedy is verified takes it back by itself, and the master, back, learns that the rung failed, and climbs`, async () => {
    const bed = await Testbed.start({ master: "undo_guard: 10s" }, (made) => {
      made.beacon("drop", dropping(made));
      made.reactor(
        "block",
        `name: block\non: file.created\ndo:\n  - steps: [${note(made, "block")}]\n    verify: { command.run: { argv: ["true"] }, after: 1h }\n    undo: { after: 1s, steps: [${note(made, "unblock")}] }\n  - steps: [${note(made, "second")}]\n`,
      );
    });
    try {
      await bed.addAgent("web1");
      await bed.watching("web1", "drop");
      writeFileSync(bed.path("host", "attack"), "");
      await bed.tasks(([task]) => task?.state === "verifying" && task.undo_due[0]?.by === "host");
      assert.deepEqual(notes(bed), ["block"]);
      await away(bed);
      await until("it is taken back", () => notes(bed).includes("unblock"));
      assert.deepEqual(notes(bed), ["block", "unblock"]);
      await back(bed);
      const [task] = await bed.tasks(([each]) => each?.state === "resolved");
      assert.deepEqual([task!.rung, task!.undo_due, notes(bed)], [2, [], ["block", "unblock", "second"]]);
      assert.match(task!.history[0]!.reason, /the host took it back: nobody was heard of for too long/);
      assert.deepEqual(
        (await bed.events({ type: "task.undone" }, 1)).map(({ cause }) => cause),
        [task!.id],
      );
    } finally {
      // What is stopped cannot end.
      bed.master.signal("SIGCONT");
      await bed.stop();
    }
  });
}

test("what the host's policy refuses is refused when it is lent, which is told, and done by nobody when it is due", () =>
  blocked(
    "15s",
    async (bed, task) => {
      const due = task.undo_due[0]!;
      assert.equal(due.by, "master");
      assert.match(due.why!, /^policy: deny\.actions "file\.remove" forbids file\.remove$/);
      const [told] = await bed.events({ type: "task.lease_refused" }, 1);
      assert.deepEqual([told!.cause, told!.data["reason"]], [task.id, due.why]);
      const [failed] = await bed.events({ type: "task.undo_failed" }, 1);
      assert.match(String(failed!.data["reason"]), /was refused by the agent: policy/);
      await undone(bed);
    },
    {
      undo: (bed) => `{ file.remove: { path: ${JSON.stringify(bed.path("notes.txt"))} } }`,
      policy: "{ deny: { actions: [file.remove] } }",
    },
  ));

test("what a person wants to stay is not taken back, however urgent: the host drops the undo, and history says who wanted it", () =>
  blocked(
    "10m",
    async (bed, task) => {
      const shown = needfire(bed, "tasks", "show", task.id);
      assert.match(shown, /undo +of rung 1 at .*, leased to the host, which does it by itself\n/);
      assert.match(needfire(bed, "tasks", "keep", task.id, "--why", "for good"), /did stays\.$/m);
      const [dropped] = await bed.events({ type: "task.undo_dropped" }, 1);
      assert.equal(dropped!.data["why"], "for good");
      const { executions, kept } = await undone(bed);
      assert.deepEqual([executions.map(({ state }) => state), kept!.why], [["succeeded", "cancelled"], "for good"]);
      assert.deepEqual(notes(bed), ["block"]);
    },
    { task: "{ priority: critical }" },
  ));

function needfire(bed: Testbed, ...args: string[]): string {
  const run = spawnSync(process.execPath, [program, "--master", bed.path("master.sock"), ...args], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(run.stderr);
  return run.stdout;
}

test("an agent that does not know leases is sent the undo when it is due, under the same id; the lease goes before what it takes back", async () => {
  const bed = await Testbed.start({ heartbeat: "1m" }, (made) => {
    const step = (name: string) => `{ file.remove: { path: /${name} } }`;
    made.reactor(
      "block",
      `name: block\non: x.attack\npriority: critical\ndo:\n  - { steps: [${step("a")}], undo: { after: 2s, steps: [${step("b")}] } }\n`,
    );
  });
  const { address, masterKey, token } = parseJoinString((await bed.client.createToken({ uses: 1 })).join_string);
  const peer = new BusPeer({ address, masterKey });
  try {
    assert.equal(await peer.join("old1", token), "welcome");
    await peer.send({ kind: "facts", body: { facts: {}, labels: {}, beacons: "", files: "" } });
    await peer.send(eventsMessage([plainEvent(1, { type: "x.attack" })]));
    const finish = async (execution: string, sequence: number) => {
      const data = { execution, action: "file.remove", outcome: "succeeded", changed: true, started: 1, ended: 2 };
      const result = plainEvent(sequence, { type: "execution.finished", severity: "normal", cause: execution, data });
      await peer.send(eventsMessage([result], { after: sequence - 1 }));
    };
    const first = await peer.expect("execute", 30_000);
    const offered = peer.heard.find(({ kind }) => kind === "lease");
    assert.ok(offered?.kind === "lease", "it was there before");
    await finish(first!.body.execution, 2);
    const second = await peer.expect("execute", 30_000);
    assert.deepEqual([second?.body.execution, second?.body.args], [offered.body.execution, offered.body.steps[0]!.args]);
    await finish(second!.body.execution, 3);
    assert.equal((await undone(bed)).executions.length, 2);
    assert.equal((await bed.events({ type: "task.undone" }, 1)).length, 1);
  } finally {
    peer.close();
    await bed.stop();
  }
});
