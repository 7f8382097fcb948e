/** On real processes, that the test starts. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { getPriority } from "node:os";
import { test, type TestContext } from "node:test";
import { Fixture } from "../beacons/fixture.ts";
import { contextOf, runner } from "./fixture.ts";
import { action as renice } from "./process-renice.ts";
import { action as signal } from "./process-signal.ts";

let names = 0;

async function setting(t: TestContext) {
  const f = new Fixture();
  t.after(() => f.end());
  const context = contextOf(f);
  /** A program of a name that nobody else has. */
  const program = async (script = "exec sleep 1000") => {
    const name = `nf${process.pid}n${names++}`;
    const path = f.path(name);
    copyFileSync("/bin/sh", path);
    const child = spawn(path, ["-c", `echo ready; ${script.replace("exec ", "")}; true`], {
      stdio: ["ignore", "pipe", "ignore"],
      detached: true,
    });
    t.after(() => {
      try {
        process.kill(-(child.pid ?? 0), "SIGKILL");
      } catch {
        // it has ended
      }
    });
    await once(child.stdout, "data");
    return { name, child, pid: child.pid ?? 0, gone: once(child, "exit") };
  };
  return { f, program, signal: runner("process.signal", signal, context), renice: runner("process.renice", renice, context) };
}

function startOf({ pid = 0 }: Pick<ChildProcess, "pid">): number {
  return Number(
    readFileSync(`/proc/${pid}/stat`, "latin1")
      .replace(/^.*\) /s, "")
      .split(" ")[19],
  );
}

test("a signal reaches the processes of a name, and the result says whom; a dry run only says it", async (t) => {
  const { program, signal: act } = await setting(t);
  const { name, pid, gone } = await program();
  assert.match((await act.dry({ name })).message ?? "", new RegExp(`would send TERM to ${name} \\(${pid}, of `));
  process.kill(pid, 0);
  const ending = await act.run({ name });
  assert.deepEqual([ending.outcome, ending.changed, ending.result?.reached.map((each) => each.pid)], ["succeeded", true, [pid]]);
  assert.equal((await gone)[1], "SIGTERM");
  const again = await act.run({ name });
  assert.deepEqual([again.outcome, again.changed, again.message], ["succeeded", false, "no such process"]);
  assert.equal((await act.run({ name, signal: "HUP" })).outcome, "failed");
});

test("a pid with its start is one process: another that has the number now is left alone", async (t) => {
  const { program, signal: act } = await setting(t);
  const { child, pid, gone } = await program();
  const start = startOf(child);
  assert.equal((await act.run({ pid, start: start + 1 })).changed, false);
  process.kill(pid, 0);
  assert.equal((await act.run({ pid, start, signal: "KILL" })).changed, true);
  assert.equal((await gone)[1], "SIGKILL");
});

test("what does not end is killed after its time", async (t) => {
  const { program, signal: act } = await setting(t);
  const { pid, gone } = await program("trap '' TERM; while :; do sleep 0.1; done");
  const ending = await act.run({ pid, kill_after: "200ms" });
  assert.deepEqual([ending.outcome, ending.result?.killed?.map((each) => each.pid)], ["succeeded", [pid]]);
  assert.equal((await gone)[1], "SIGKILL");
  const willing = await program();
  assert.deepEqual((await act.run({ pid: willing.pid, kill_after: "1m" })).result?.killed, []);
});

test("the first process, the agent and what it was started by are never touched", async (t) => {
  const { f, signal: act, renice: other } = await setting(t);
  for (const pid of [1, process.pid, process.ppid]) {
    const ending = await act.run({ pid, signal: "CONT" });
    assert.deepEqual([ending.outcome, ending.changed], ["refused", false]);
    assert.match(ending.message ?? "", /never touched/);
    assert.equal((await other.run({ pid, nice: 5 })).outcome, "refused");
  }
  const file = f.path("own.pid");
  writeFileSync(file, `${process.pid}\n`);
  assert.equal((await act.run({ pid_file: file })).outcome, "refused");
});

test("more processes than at_most: none is touched", async (t) => {
  const { f, program, signal: act } = await setting(t);
  const { name, pid } = await program("sleep 1000 & sleep 1001");
  await f.until(() => readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim() !== "", "its child");
  const two = await program();
  const files = f.path("two.pid");
  writeFileSync(files, `${two.pid}\n`);
  assert.equal(
    (await act.run({ user: f.managed.accounts.users.name(process.getuid?.() ?? 0), at_most: 1, signal: "CONT" })).outcome,
    "refused",
  );
  assert.equal((await act.run({ pid_file: files, name })).changed, false);
  assert.equal((await act.run({ pid_file: files, name: two.name })).changed, true);
  await two.gone;
});

test("which processes must be said, and a user must be one of this host", async (t) => {
  const { f, signal: act } = await setting(t);
  assert.match((await act.run({})).message ?? "", /which processes/);
  assert.match((await act.run({ start: 7, name: "x" })).message ?? "", /give pid, too/);
  assert.match((await act.run({ user: "nobody-at-all" })).message ?? "", /there is no user/);
  const file = f.path("bad.pid");
  for (const content of ["", "-1", "$(id)", "1 2", "0x10"]) {
    writeFileSync(file, content);
    assert.match((await act.run({ pid_file: file })).message ?? "", /holds no process's number/);
  }
  for (const user of ["-1", "$(id)", "a b", "a\nb"]) assert.throws(() => act.run({ user }), /user/);
  for (const signal of ["9", "TERM; id", "-9"]) assert.throws(() => act.run({ pid: 2, signal }), /signal/);
});

test("all threads of a process become as nice as asked, once", async (t) => {
  const { f, renice: act } = await setting(t);
  const child = spawn(process.execPath, ["-e", "process.stdout.write('ready'); setInterval(() => {}, 1000)"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  t.after(async () => {
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  });
  await once(child.stdout, "data");
  const pid = child.pid ?? 0;
  const threads = () => readdirSync(`/proc/${pid}/task`).map(Number);
  await f.until(() => threads().length > 4, "its threads");
  assert.match((await act.dry({ pid, nice: 7 })).message ?? "", /nice by 7/);
  assert.equal(getPriority(pid), 0);
  const ending = await act.run({ pid, nice: 7 });
  assert.deepEqual([ending.outcome, ending.changed], ["succeeded", true]);
  for (const thread of threads()) assert.equal(getPriority(thread), 7);
  assert.equal((await act.run({ pid, nice: 7 })).changed, false);
});
