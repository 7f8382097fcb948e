/** A remedy's life from the first attempt to the last rung, with real processes and a master that is killed in the middle of it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TaskView } from "@needfire/shared/api";
import { Testbed, until } from "./testbed.ts";

const program = join(import.meta.dirname, "..", "packages", "cli", "bin", "needfire.js");

/** An action that adds a line to a file of the testbed. */
function note(bed: Testbed, line: string): string {
  return `{ command.run: { shell: true, argv: ${JSON.stringify(['echo "$2" >> "$1"', bed.path("notes.txt"), line])} } }`;
}

function notes(bed: Testbed): string[] {
  const file = bed.path("notes.txt");
  return existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : [];
}

async function withBed(prepare: (bed: Testbed) => void, work: (bed: Testbed) => Promise<void>): Promise<void> {
  const bed = await Testbed.start({}, prepare);
  try {
    await bed.addAgent("web1");
    await work(bed);
  } finally {
    await bed.stop();
  }
}

async function killMaster(bed: Testbed): Promise<void> {
  await bed.master.stop("SIGKILL");
  await bed.startMaster();
  await bed.connected("web1");
}

/** The first task of a reactor, as soon as it is so. */
async function task(bed: Testbed, reactor: string, isSo: (task: TaskView) => boolean): Promise<TaskView> {
  const found = await bed.tasks((tasks) => tasks.length > 0 && isSo(tasks.at(-1)!), reactor);
  return found.at(-1)!;
}

function shown(bed: Testbed, ...args: string[]): string {
  const run = spawnSync(process.execPath, [program, "--master", bed.path("master.sock"), ...args], { encoding: "utf8" });
  assert.equal(run.status, 0, run.stderr);
  return run.stdout;
}

test("a managed service file is put back by the second rung, since the first is not verified, although the master is killed while it waits to retry", () =>
  withBed(
    (bed) => {
      bed.manage("app.conf", { content: "right\n" });
      bed.beacon("managed", "name: managed\ntype: file\nmanaged: true\nsettle: 1ms\n");
      bed.reactor(
        "heal",
        `name: heal
on: file.drifted
when: event.data.path.endsWith("app.conf") && has(event.data.changes) && event.data.changes.exists(each, each == "content")
task: { key: [event.agent, event.data.path] }
do:
  - steps: [${note(bed, "reload")}]
    retry: { attempts: 2, backoff: 4s, jitter: 0% }
    verify: { file.check: { path: "\${{ event.data.path }}" } }
  - steps:
      - file.restore: { path: "\${{ event.data.path }}" }
      - ${note(bed, "restart")}
    verify: { command.run: { argv: [grep, -q, right, "\${{ event.data.path }}"] }, after: 10ms, within: 30s }
otherwise: [${note(bed, "called")}]
`,
      );
      bed.reactor(
        "place",
        `name: place\non: file.drifted\nwhen: "!has(event.data.changes)"\ndo: [{ file.restore: { path: "\${{ event.data.path }}" } }]\n`,
      );
    },
    async (bed) => {
      const file = bed.path("host", "app.conf");
      await bed.watching("web1", "managed");
      writeFileSync(file, "right\n");
      writeFileSync(file, "wrong\n");
      const retrying = await task(bed, "heal", ({ state }) => state === "retrying");
      assert.deepEqual([retrying.rung, retrying.attempt, retrying.waits_for], [1, 1, "the next attempt"]);
      assert.match(
        shown(bed, "tasks", "show", retrying.id),
        /rung +1 of 2, attempt 1 of 2\n[^]*attempt 1 failed .*verification file\.check failed/,
      );
      assert.match(shown(bed, "tasks", "list"), /retrying/);
      await killMaster(bed);
      const ended = await task(bed, "heal", ({ state }) => state === "resolved" || state === "escalated");
      assert.deepEqual([ended.id, ended.state, ended.verified, ended.attempts], [retrying.id, "resolved", true, 3]);
      assert.equal(readFileSync(file, "utf8"), "right\n");
      assert.deepEqual(notes(bed), ["reload", "reload", "restart"]);
      assert.deepEqual(
        ended.executions
          .filter(({ purpose }) => purpose === "do")
          .map(({ action, rung, attempt, state }) => [action, rung, attempt, state]),
        [
          ["command.run", 1, 1, "succeeded"],
          ["command.run", 1, 2, "succeeded"],
          ["file.restore", 2, 1, "succeeded"],
          ["command.run", 2, 1, "succeeded"],
        ],
      );
      assert.equal((await bed.events({ type: "task.rung" }, 1)).length, 1);
    },
  ));

const dropping = (bed: Testbed) =>
  bed.beacon("drop", `name: drop\ntype: file\npaths: [${JSON.stringify(bed.path("host"))}]\nsettle: 1ms\n`);

test("after the last attempt, otherwise is done once and knows what was tried, and what was lent is taken back in time, over a master that is killed twice", () =>
  withBed(
    (bed) => {
      dropping(bed);
      const page = [
        'echo "called after $2: $3" >> "$1"',
        bed.path("notes.txt"),
        "${{ string(task.attempts) }}",
        "${{ task.history[0].output }}",
      ];
      bed.reactor(
        "lend",
        `name: lend
on: file.created
when: event.subject.endsWith("/go")
do:
  - steps:
      - ${note(bed, "lent")}
      - command.run: { shell: true, argv: ["echo it is no use >&2; exit 3"] }
    retry: { attempts: 2, backoff: 4s, jitter: 0% }
    undo: { after: 6s, steps: [${note(bed, "taken back")}] }
otherwise:
  - command.run: { shell: true, argv: ${JSON.stringify(page)} }
  - event.emit: { type: remedy.failed, data: { why: "\${{ task.reason }}" } }
`,
      );
    },
    async (bed) => {
      await bed.watching("web1", "drop");
      writeFileSync(bed.path("host", "go"), "");
      await task(bed, "lend", ({ state }) => state === "retrying");
      await killMaster(bed);
      const escalated = await task(bed, "lend", ({ state, undo_due: due }) => state === "escalated" && due.length === 1);
      assert.ok(escalated.undo_due[0]!.due! > escalated.updated);
      await killMaster(bed);
      await until("it is taken back", async () => notes(bed).includes("taken back"));
      const ended = await task(bed, "lend", ({ undo_due: due }) => due.length === 0);
      assert.match(ended.reason!, /^command\.run failed: .*3/);
      assert.deepEqual(notes(bed).toSorted(), ["called after 2: it is no use", "lent", "lent", "taken back"]);
      const [failed, ...more] = await bed.events({ type: "remedy.failed" }, 1);
      assert.deepEqual([failed!.data["why"], more], [ended.reason, []]);
    },
  ));

test("a remedy is verified by an event of the host, and what fires meanwhile joins its task", () =>
  withBed(
    (bed) => {
      dropping(bed);
      bed.reactor(
        "revive",
        `name: revive
on: file.created
when: event.subject.endsWith(".down")
task: { key: event.agent }
do:
  - steps: [${note(bed, "start")}]
    verify: { event: { on: file.created, when: event.subject == matched.trigger.subject + ".up" }, within: 1m }
`,
      );
    },
    async (bed) => {
      await bed.watching("web1", "drop");
      writeFileSync(bed.path("host", "nginx.down"), "");
      const verifying = await task(bed, "revive", ({ state }) => state === "verifying");
      assert.match(verifying.waits_for!, /^the event file\.created within/);
      writeFileSync(bed.path("host", "sshd.down"), "");
      writeFileSync(bed.path("host", "sshd.down.up"), "");
      const joined = await task(bed, "revive", (each) => each.joined === 1);
      assert.equal(joined.state, "verifying");
      const [, second] = await bed.events({ type: "file.created", where: 'event.subject.endsWith(".down")' }, 2);
      assert.ok((await bed.client.chain(second!.id)).decisions.some(({ decision, task: of }) => decision === "joined" && of === joined.id));
      writeFileSync(bed.path("host", "nginx.down.up"), "");
      const ended = await task(bed, "revive", ({ state }) => state === "resolved");
      assert.deepEqual([ended.verified, notes(bed)], [true, ["start"]]);
      assert.equal((await bed.tasks(() => true, "revive")).length, 1);
    },
  ));
