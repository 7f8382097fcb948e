/**
 * What reactors do, end to end: events that lead to events (P7), values that hosts send (P5 where they cannot be used), commands that do
 * not end, and a master that is killed right after an event (P2). Real processes.
 */
import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { TaskView } from "@needfire/shared/api";
import { run } from "../packages/cli/src/testing/run.ts";
import { Chance } from "./chance.ts";
import { Testbed, until } from "./testbed.ts";

const drop = (made: Testbed, folder: string) => {
  mkdirSync(made.path("host", folder), { recursive: true });
  made.beacon(folder, `name: ${folder}\ntype: file\npaths: [${JSON.stringify(made.path("host", folder))}]\nsettle: 1ms\n`);
};
const seenIn = (made: Testbed, folder: string) => `when: event.data.path.startsWith(${JSON.stringify(made.path("host", folder, ""))})`;
const shell = (script: string, ...values: string[]) => `command.run: { shell: true, argv: ${JSON.stringify([script, ...values])} }`;

describe("a reaction", () => {
  let bed: Testbed;
  const touch = (folder: string, name: string) => {
    writeFileSync(bed.path("host", folder, name), "");
    return bed.path("host", folder, name);
  };
  /** The tasks of a reactor, once there are so many and none is under way. */
  const ended = (reactor: string, count = 1) =>
    bed.tasks((tasks) => tasks.length >= count && tasks.every(({ state }) => state === "resolved" || state === "escalated"), reactor);
  /** All that happened before has been judged: something that happens now has been. */
  const settled = async () => {
    const count = (await bed.client.tasks({ reactor: "witness", limit: 10_000 })).tasks.length;
    touch("witness", String(count));
    await ended("witness", count + 1);
  };

  before(async () => {
    bed = await Testbed.start({}, (made) => {
      for (const folder of ["witness", "chain", "loop", "missing", "hostile", "slow"]) drop(made, folder);
      const on = (folder: string, type = "file.created") => `on: ${type}\n${seenIn(made, folder)}\n`;
      made.reactor("witness", `name: witness\n${on("witness")}do:\n  - event.emit: { type: witness.seen }\n`);

      const path = "'${{ event.data.path }}'";
      const emit = `event.emit: { type: chain.wanted, subject: ${path}, severity: high, data: { asked: "\${{ event.id }}" } }`;
      made.reactor("asking", `name: asking\n${on("chain")}do:\n  - ${emit}\n`);
      made.reactor("doing", `name: doing\non: chain.wanted\ndo:\n  - ${shell('echo "for $1"', "${{ event.data.asked }}")}\n`);
      made.reactor("telling", `name: telling\non: chain.sent\ndo:\n  - event.emit: { type: chain.wanted, data: { asked: nobody } }\n`);

      made.reactor("feeder", `name: feeder\n${on("loop", "file.*")}do:\n  - ${shell('echo fed >> "$1"', "${{ event.data.path }}")}\n`);
      made.reactor("other", `name: other\n${on("loop", "file.*")}do:\n  - event.emit: { type: loop.seen }\n`);
      made.reactor(
        "after",
        `name: after\non: task.resolved\nwhen: event.data.reactor in ["after", "feeder"]\ndo:\n  - event.emit: { type: loop.after }\n`,
      );

      made.reactor("missing", `name: missing\n${on("missing")}do:\n  - ${shell("true", "${{ event.data.nope.deeper }}")}\n`);
      const literal = shell(
        'printf "%s\\n" "$#"; printf "%s" "$1"; printf "%s" "$2" >&2',
        "${{ event.data.path }}",
        "<${{ event.data.path }}>",
      );
      made.reactor("hostile", `name: hostile\n${on("hostile")}do:\n  - ${literal}\n`);
      made.reactor(
        "slow",
        `name: slow\n${on("slow")}do:\n  - command.run: { argv: [sleep, "300"], timeout: 200ms }\n  - command.run: { argv: ["true"] }\n`,
      );
    });
    await bed.addAgent("web1");
    await bed.watching("web1", "witness", "chain", "loop", "missing", "hostile", "slow");
  });
  after(() => bed.stop());

  test("may be an event that another reactor answers, on the host that it is about; history shows it both ways", async () => {
    const path = touch("chain", "file");
    const [doing] = await ended("doing");
    const [asking] = await ended("asking");
    assert.deepEqual([doing!.agent, doing!.state, doing!.subject], ["web1", "resolved", path]);
    assert.equal(doing!.executions[0]!.result!["stdout"], `for ${asking!.event}\n`);

    const [wanted] = await bed.events({ type: "chain.wanted", where: `event.subject == ${JSON.stringify(path)}` }, 1);
    assert.deepEqual([wanted!.agent, wanted!.severity, wanted!.cause], ["master", "high", asking!.executions[0]!.id]);
    // A task is over a moment before the journal has the word of it.
    await bed.events({ type: "task.resolved", where: `event.data.task == ${JSON.stringify(doing!.id)}` }, 1);
    const { chain } = await bed.client.chain(asking!.event);
    assert.deepEqual(
      chain.map(({ depth, kind, title }) => `${depth} ${kind} ${title.replace(path, "FILE")}`),
      [
        "0 event file.created FILE",
        "1 task task of asking",
        "2 execution event.emit on master",
        "3 event chain.wanted FILE",
        "4 task task of doing",
        "5 event task.created FILE",
        "5 execution command.run on web1",
        "6 event execution.finished",
        "5 event task.resolved FILE",
        "2 event task.created FILE",
        "2 event task.resolved FILE",
      ],
    );
    for (const { kind, id } of chain) {
      if (kind !== "event") continue;
      const fromHere = await bed.client.chain(id);
      assert.deepEqual(
        fromHere.chain.map((link) => link.id),
        chain.map((link) => link.id),
      );
      assert.deepEqual(
        fromHere.chain.filter(({ asked }) => asked).map((link) => link.id),
        [id],
      );
    }
  });

  test("that is to run on a host escalates at once when the event is about none", async () => {
    const { id } = await bed.client.send({ type: "chain.sent" });
    const [telling] = await ended("telling");
    assert.deepEqual([telling!.event, telling!.state], [id, "resolved"]);
    const tasks = await ended("doing", 2);
    const doing = tasks.find(({ agent }) => agent === "master")!;
    assert.deepEqual([doing.state, doing.executions], ["escalated", []]);
    assert.match(doing.reason!, /command\.run.* host.* none/);
  });

  test("to what it changed itself does not come, while another reactor's does (P7)", async () => {
    const rounds = 5;
    const path = touch("loop", "file");
    await ended("other", 2);
    for (let round = 1; round < rounds; round++) {
      appendFileSync(path, "by hand\n");
      // Each round is two changes: one by hand, and the feeder's.
      await ended("other", 2 * (round + 1));
    }
    await settled();
    assert.equal((await ended("feeder", rounds)).length, rounds);
    assert.equal((await ended("other", 2 * rounds)).length, 2 * rounds);
    assert.equal(readFileSync(path, "utf8"), `fed\n${"by hand\nfed\n".repeat(rounds - 1)}`);
    const events = await bed.events({ type: "file.*", where: `event.subject == ${JSON.stringify(path)}` }, 2 * rounds);
    const caused = events.filter(({ cause }) => cause !== undefined);
    assert.equal(events.length, 2 * rounds);
    const feeders = await ended("feeder", rounds);
    assert.deepEqual(caused.map(({ cause }) => String(cause)).toSorted(), feeders.map(({ executions }) => executions[0]!.id).toSorted());
    // Nor to the end of its own task, although it asks for that.
    assert.equal((await ended("after", rounds)).length, rounds);
  });

  test("with a value that cannot be worked out is a task that escalates with the reason (P5)", async () => {
    touch("missing", "file");
    const [task] = await ended("missing");
    assert.equal(task!.state, "escalated");
    assert.match(task!.reason!, /^do\[0\] command\.run: \$\{\{ event\.data\.nope\.deeper \}\}: /);
    assert.deepEqual(task!.executions, []);
    const [escalated] = await bed.events({ type: "task.escalated", where: `event.data.task == ${JSON.stringify(task!.id)}` }, 1);
    assert.deepEqual([escalated!.data["reason"], escalated!.severity], [task!.reason, "high"]);
  });

  test("gets what a host sends as one argument, literally, whatever is in it", async () => {
    const names = [
      "plain",
      "two words",
      "-rf",
      "'; touch pwned; '",
      '"; touch pwned; "',
      "$(touch pwned)",
      "`touch pwned`",
      "${{ event.id }}",
      "${{ 1 +",
      "}} ${{ agent.id }}",
      "line\nbreak: true\n- do: evil",
      "tab\tand\rreturn",
      "\x1b]0;owned\x07\x1b[2J",
      "\u202egnp.exe",
      "*",
      "%s%n",
      "back\\slash\\",
      "ü💥",
    ];
    const paths: string[] = [];
    // One after the other: what changes on a host while a command runs there counts as the command's doing.
    for (const name of names) {
      paths.push(touch("hostile", name));
      await ended("hostile", paths.length);
    }
    const tasks = await ended("hostile", names.length);
    const byPath = new Map(tasks.map((task) => [task.subject, task]));
    assert.deepEqual([...byPath.keys()].map(String).toSorted(), paths.toSorted());
    for (const path of paths) {
      const { state, reason, executions } = byPath.get(path)!;
      assert.deepEqual([state, executions.length], ["resolved", 1], reason);
      assert.deepEqual([executions[0]!.result!["stdout"], executions[0]!.result!["stderr"]], [`2\n${path}`, `<${path}>`]);
      assert.deepEqual((executions[0]!.args["argv"] as string[]).slice(1), [path, `<${path}>`]);
    }
    for (const folder of ["/", process.cwd(), bed.dir, bed.path("host", "hostile")])
      assert.ok(!existsSync(join(folder, "pwned")), `${folder}/pwned`);
    assert.equal(readdirSync(bed.path("host", "hostile")).length, names.length);
    for (const words of [
      ["events", "list"],
      ["tasks", "list"],
      ["events", "list", "--json"],
      ...tasks.map(({ id }) => ["tasks", "show", id]),
    ]) {
      const ran = await run(["--master", bed.path("master.sock"), ...words]);
      assert.equal(ran.code, 0, ran.stderr);
      // eslint-disable-next-line no-control-regex
      assert.doesNotMatch(ran.stdout + ran.stderr, /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]/, words.join(" "));
    }
  });

  test("that takes longer than it may is ended, and the task escalates", async () => {
    touch("slow", "file");
    const [task] = await ended("slow");
    assert.equal(task!.state, "escalated");
    assert.match(task!.reason!, /^command\.run failed: took longer than 200ms/);
    // The step after it was not begun.
    assert.deepEqual(
      task!.executions.map(({ state, result }) => [state, result?.["timed_out"], result?.["signal"]]),
      [["failed", true, "SIGTERM"]],
    );
  });
});

test("what changes while a long command runs is told while it still runs, as its effect: to all reactors but its own", async () => {
  const bed = await Testbed.start({}, (made) => {
    drop(made, "in");
    const wait = shell('touch "$1"; while [ ! -e "$2" ]; do sleep 0.05; done', made.path("began"), made.path("go"));
    made.reactor("slow", `name: slow\non: file.created\ndo:\n  - ${wait}\n`);
    made.reactor("other", `name: other\non: file.created\ndo:\n  - event.emit: { type: other.seen }\n`);
  });
  try {
    await bed.addAgent("web1");
    await bed.watching("web1", "in");
    writeFileSync(bed.path("host", "in", "first"), "");
    await until("the command runs", () => existsSync(bed.path("began")));
    const [slow] = await bed.tasks((tasks) => tasks.length === 1, "slow");
    writeFileSync(bed.path("host", "in", "second"), "");
    // The limit of the wait (file-holds.ts): nothing ends the command before.
    await delay(8_000);
    const [, second] = await bed.events({ type: "file.created" }, 2);
    assert.equal(second!.cause, slow!.executions[0]!.id);
    const isDone = ({ state }: TaskView) => state === "resolved";
    await bed.tasks((tasks) => tasks.length === 2 && tasks.every(isDone), "other");
    assert.equal(existsSync(bed.path("go")), false);
    writeFileSync(bed.path("go"), "");
    await bed.tasks((tasks) => tasks.length === 1 && tasks.every(isDone), "slow");
    // What comes now has nothing to do with it.
    writeFileSync(bed.path("host", "in", "third"), "");
    const [, , third] = await bed.events({ type: "file.created" }, 3);
    assert.equal(third!.cause, undefined);
    await bed.tasks((tasks) => tasks.length === 2 && tasks.every(isDone), "slow");
  } finally {
    await bed.stop();
  }
});

test("a master that is killed right after events loses none, doubles none, and runs every command once (P1, P2, P3)", async (context) => {
  const seed = Number(process.env["NEEDFIRE_TEST_SEED"] ?? Date.now() % 1_000_000);
  context.diagnostic(`NEEDFIRE_TEST_SEED=${seed}`);
  const chance = new Chance(seed);
  const events = 30;
  const kills = 3;
  const bed = await Testbed.start({}, (made) => {
    drop(made, "in");
    // A reactor for each file: what changes on a host while a command runs there counts as the command's doing, and its own reactor would
    // not fire on it.
    const count = shell('echo "$1" >> "$2"', "${{ event.data.path }}", made.path("counter"));
    const reactors = Array.from(
      { length: events },
      (_, number) => `name: count-${number}\non: file.created\nwhen: event.data.path.endsWith("/in/${number}")\ndo:\n  - ${count}\n`,
    );
    made.reactor("count", reactors.join("---\n"));
  });
  try {
    await bed.addAgent("web1");
    await bed.watching("web1", "in");
    // A third of the events each, so that some come before, between and after.
    const killedAfter = Array.from({ length: kills }, (_, index) => Math.floor(((index + chance.fraction()) * events) / kills));
    const paths: string[] = [];
    for (let number = 0; number < events; number++) {
      const path = bed.path("host", "in", String(number));
      writeFileSync(path, "");
      paths.push(path);
      if (killedAfter.includes(number)) {
        await delay(chance.fraction() * 40);
        await bed.master.stop("SIGKILL");
        await delay(chance.fraction() * 100);
        await bed.startMaster();
      } else await delay(chance.fraction() * 30);
    }
    const ended = (tasks: TaskView[]) => tasks.every(({ state }) => state === "resolved" || state === "escalated");
    const tasks = await bed.tasks((found) => found.length >= events && ended(found));
    const journal = await bed.events({ type: "file.created" }, events);
    assert.deepEqual(journal.map(({ subject }) => String(subject)).toSorted(), paths.toSorted(), "every event once");
    assert.deepEqual(tasks.map(({ event }) => event).toSorted(), journal.map(({ id }) => id).toSorted(), "every event fired once");
    const ran = readFileSync(bed.path("counter"), "utf8").trimEnd().split("\n");
    const unfinished = tasks.filter(({ executions }) => executions.some(({ state }) => state === "interrupted" || state === "expired"));
    const excused = new Set(unfinished.map(({ subject }) => subject));
    assert.equal(new Set(ran).size, ran.length, "no command ran twice");
    assert.deepEqual(
      paths.filter((path) => !ran.includes(path) && !excused.has(path)),
      [],
      "every command ran",
    );
    // The agent lived through it all, so there is no excuse.
    assert.equal(excused.size, 0);
    const results = await bed.events({ type: "execution.finished" }, events);
    assert.equal(new Set(results.map(({ cause }) => cause)).size, events);
    assert.equal(results.length, events, "every result once");
  } finally {
    await bed.stop();
  }
});
