import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import pino from "pino";
import type { Severity } from "@needfire/shared/event";
import { policyOf } from "./actions/fixture.ts";
import { BlobStore } from "./blobs.ts";
import { Executor } from "./execute.ts";
import { ManagedFiles } from "./managed-files.ts";
import { OwnActions } from "./own-actions.ts";
import { Remedies } from "./remedies.ts";
import { Restarts } from "./restarts.ts";
import { all, openSpool, start, temporaryDirectory } from "./spool-fixture.ts";

const id = (number: number) => `t-0123456789abcdef.${number}`;

/** The executor with real actions on a real spool. */
function setting(t: TestContext, { concurrencyMax = 4 } = {}) {
  const directory = temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  let opened = openSpool(directory);
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(line) });
  const remedies = new Remedies();
  const managed = new ManagedFiles({ blobs: new BlobStore(path("blobs")), listFile: path("files.json"), log });
  const accepted: string[] = [];
  const clock = { now: () => start };
  const policy = { inForce: policyOf({ allow: { commands: "any" } }) };
  const monotonic = { time: 0, now: () => monotonic.time };
  const boot = { id: "first" };
  const restarts = new Restarts(path("restart.json"), () => boot.id);
  const executor = new Executor({
    spool: opened,
    managed,
    remedies,
    self: { masterAddress: "192.0.2.1:4510", reportFacts: () => ({ hostname: "here" }), restarts, clock },
    ownActions: new OwnActions(path("actions")),
    policy: () => policy.inForce,
    fetch: () => Promise.reject(new Error("there is no master")),
    scratch: path("scratch"),
    clock,
    monotonic,
    log,
    concurrencyMax,
    accepted: (execution) => accepted.push(execution),
  });
  t.after(async () => {
    await executor.stop();
    opened.close();
  });
  const results = () => all(opened).filter(({ type }) => type === "execution.finished");
  const wake = new Set<() => void>();
  opened.onAppend(() => wake.forEach((ask) => ask()));
  const ended = async (count: number): Promise<ReturnType<typeof results>> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const ask = () => (results().length >= count ? resolve() : undefined);
    wake.add(ask);
    ask();
    await promise;
    return results();
  };
  const take = (number: number, action: string, args: Record<string, unknown>, priority: Severity = "normal") =>
    executor.take({ execution: id(number), action, args, priority });
  const shell = (number: number, script: string) => take(number, "command.run", { argv: [script], shell: true, cwd: directory });
  const reopened = () => {
    opened.close();
    return (opened = openSpool(directory));
  };
  const cancel = (number: number, action = "command.run") => executor.cancel({ execution: id(number), action });
  const logged = () => lines.join("");
  return {
    boot,
    restarts,
    spool: opened,
    policy,
    path,
    logged,
    reopened,
    remedies,
    accepted,
    executor,
    monotonic,
    results,
    ended,
    take,
    shell,
    cancel,
  };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((done) => setTimeout(done, 5));
}

const outcome = ({ cause, data }: { cause: string | null; data: Record<string, unknown> }) =>
  `${cause?.split(".")[1]} ${String(data["outcome"])}`;

const message = ({ data }: { data: Record<string, unknown> }) => String(data["message"]);

test("P3: a command runs once and its result is spooled once, however often it is delivered", async (t) => {
  const { path, accepted, ended, shell, results } = setting(t);
  shell(1, "echo ran >> ran");
  shell(1, "echo ran >> ran");
  await ended(1);
  shell(1, "echo ran >> ran");
  shell(2, "true");
  await ended(2);
  assert.equal(readFileSync(path("ran"), "utf8"), "ran\n");
  assert.deepEqual(results().map(outcome), ["1 succeeded", "2 succeeded"]);
  assert.deepEqual(accepted, [id(1), id(1), id(1), id(2)]);
});

test("a command that fails, and one that is refused, end with a result that says why", async (t) => {
  const { ended, shell, take } = setting(t);
  shell(1, "exit 3");
  take(2, "file.restore", { path: "/not/managed" });
  const [first, second] = (await ended(2)).toSorted((a, b) => String(a.cause).localeCompare(String(b.cause)));
  assert.equal(outcome(first!), "1 failed");
  assert.equal((first!.data["result"] as { exit_code: number }).exit_code, 3);
  assert.equal(outcome(second!), "2 refused");
  assert.equal(second!.subject, "/not/managed");
  assert.ok(second!.data["message"]);
});

test("arguments that do not fit, and actions of the master, are refused and touch nothing", async (t) => {
  const { path, ended, take } = setting(t);
  writeFileSync(path("kept"), "");
  take(1, "file.remove", { path: path("kept"), force: true });
  take(2, "file.remove", { path: "kept" });
  take(3, "command.run", {});
  take(4, "event.emit", { type: "a.b" });
  const results = await ended(4);
  assert.deepEqual(results.map(outcome), ["1 refused", "2 refused", "3 refused", "4 refused"]);
  assert.match(String(results[0]!.data["message"]), /^arguments: force: /);
  assert.equal(results[3]!.data["message"], "event.emit runs on the master");
  assert.ok(existsSync(path("kept")));
});

test("only so many run side by side, and the others begin in the order in which they came", async (t) => {
  const { path, ended, shell } = setting(t, { concurrencyMax: 2 });
  // Each notes how many run when it begins, and ends only when a file of its own name appears.
  const script = (n: number) => `echo begin ${n} >> log; while [ ! -e go${n} ]; do sleep 0.01; done; echo end ${n} >> log`;
  const begun = () =>
    existsSync(path("log"))
      ? readFileSync(path("log"), "utf8")
          .split("\n")
          .filter((line) => line.startsWith("begin"))
      : [];
  for (const n of [1, 2, 3, 4]) shell(n, script(n));
  for (const n of [1, 2, 3, 4]) {
    // A shell takes its time to begin, and may be overtaken by the next one.
    await until(() => begun().length >= Math.min(n + 1, 4));
    writeFileSync(path(`go${n}`), "");
    await ended(n);
    assert.ok(begun().length <= n + 2);
  }
  const lines = readFileSync(path("log"), "utf8").trim().split("\n");
  let running = 0;
  for (const line of lines) {
    running += line.startsWith("begin") ? 1 : -1;
    assert.ok(running <= 2);
  }
  assert.deepEqual(begun().slice(2), ["begin 3", "begin 4"]);
});

test("P8: of commands that wait the critical begin first, however late they came", async (t) => {
  const { ended, take, path, executor } = setting(t, { concurrencyMax: 1 });
  const wait = `until [ -e ${path("go")} ]; do sleep 0.01; done`;
  take(1, "command.run", { argv: [wait], shell: true });
  const priorities = ["low", "normal", "low", "high", "critical", "normal"] as const;
  const behindMs = { critical: 0, high: 0, normal: 1_000, low: 2_000 };
  for (const [at, priority] of priorities.entries()) {
    const args = { argv: [`echo ${at + 2} >> ${path("order")}`], shell: true };
    executor.take({ execution: id(at + 2), action: "command.run", args, priority, behindMs: behindMs[priority] });
  }
  executor.cancel({ execution: id(5), action: "command.run" });
  writeFileSync(path("go"), "");
  await ended(7);
  assert.equal(readFileSync(path("order"), "utf8").trim().split("\n").join(" "), "6 3 7 2 4");
});

test("what stands before others by the time that it has waited begins before them, and what comes later does not push it back", async (t) => {
  const { ended, path, executor, monotonic, take } = setting(t, { concurrencyMax: 1 });
  take(1, "command.run", { argv: [`until [ -e ${path("go")} ]; do sleep 0.01; done`], shell: true });
  const given = [
    { number: 2, priority: "high", behindMs: 0 },
    { number: 3, priority: "low", behindMs: 2_000 },
    { number: 4, priority: "low", behindMs: -1 },
  ] as const;
  const note = (number: number) => ({ argv: [`echo ${number} >> ${path("order")}`], shell: true });
  for (const { number, ...how } of given) executor.take({ execution: id(number), action: "command.run", args: note(number), ...how });
  monotonic.time = 2_001;
  for (const number of [5, 6])
    executor.take({ execution: id(number), action: "command.run", args: note(number), priority: "high", behindMs: 0 });
  executor.take({ execution: id(7), action: "command.run", args: note(7), priority: "critical", behindMs: 0 });
  writeFileSync(path("go"), "");
  await ended(7);
  assert.equal(readFileSync(path("order"), "utf8").trim().split("\n").join(" "), "7 4 2 3 5 6");
});

test("P7: while a remedy runs the beacons know what it may change, and afterwards that it ended", async (t) => {
  const { path, remedies, ended, shell } = setting(t);
  const over: string[] = [];
  remedies.onEnd(({ execution }) => over.push(execution));
  shell(1, "while [ ! -e go ]; do sleep 0.01; done");
  await until(() => remedies.holding("/etc/motd") === id(1));
  writeFileSync(path("go"), "");
  await ended(1);
  assert.equal(remedies.holding("/etc/motd"), undefined, "from the very moment at which its result is there");
  assert.deepEqual(over, [id(1)]);
});

test("what the policy forbids is refused with the rule, as a dry run too, and a new policy holds from the next command on", async (t) => {
  const { path, policy, ended, take, executor } = setting(t);
  const argv = ["touch", path("ran")];
  policy.inForce = policyOf({ allow: { commands: ["true"] }, deny: { paths: [path("kept")] } });
  writeFileSync(path("kept"), "");
  take(1, "command.run", { argv });
  await ended(1);
  executor.take({ execution: id(2), action: "command.run", args: { argv }, dryRun: true, priority: "normal" });
  await ended(2);
  take(3, "file.remove", { path: path("kept") });
  await ended(3);
  policy.inForce = policyOf({ allow: { commands: ["touch *"] } });
  take(4, "command.run", { argv });
  const results = await ended(4);
  assert.deepEqual(results.map(outcome), ["1 refused", "2 refused", "3 refused", "4 succeeded"]);
  const messages = results.map(message);
  assert.deepEqual(messages.slice(0, 2), Array(2).fill(`policy: no pattern of allow.commands fits ${JSON.stringify(argv)}`));
  assert.equal(messages[2], `policy: deny.paths ${JSON.stringify(path("kept"))} forbids ${path("kept")}`);
  assert.ok(existsSync(path("kept")));
});

test("a link that root made leads around no policy: what is judged is where it leads", async (t) => {
  const { path, policy, ended, take } = setting(t);
  mkdirSync(path("secret"));
  writeFileSync(path("secret/kept"), "");
  symlinkSync(path("secret"), path("open"));
  policy.inForce = policyOf({ deny: { paths: [path("secret")] } });
  take(1, "file.remove", { path: path("open/kept") });
  const [event] = await ended(1);
  assert.equal(outcome(event!), "1 refused");
  assert.match(message(event!), /^policy: deny\.paths .* forbids .*\/secret\/kept$/);
  assert.ok(existsSync(path("secret/kept")));
});

test("a dry run changes nothing, holds no beacon up, and its report says that it was one", async (t) => {
  const { path, remedies, ended, executor } = setting(t);
  const over: string[] = [];
  remedies.onEnd(({ execution }) => over.push(execution));
  executor.take({ execution: id(1), action: "command.run", args: { argv: ["touch", path("ran")] }, dryRun: true, priority: "normal" });
  const [event] = await ended(1);
  const { outcome: how, changed, dry_run: dry } = event!.data;
  assert.deepEqual([how, changed, dry, existsSync(path("ran")), over], ["succeeded", true, true, false, []]);
});

test("facts are gathered anew and told, and the host is as it was", async (t) => {
  const { ended, executor } = setting(t);
  executor.take({ execution: id(1), action: "agent.facts", args: {}, priority: "normal" });
  const [event] = await ended(1);
  const { outcome: how, changed, result } = event!.data;
  assert.deepEqual([how, changed, result], ["succeeded", false, { facts: { hostname: "here" } }]);
});

test("a command that waits is dropped when it is cancelled, and one that runs is ended with all that it started", async (t) => {
  const { path, ended, shell, cancel } = setting(t, { concurrencyMax: 1 });
  shell(1, "sleep 60 & echo $! > child; touch began; wait");
  shell(2, "touch ran");
  await until(() => existsSync(path("began")));
  cancel(2);
  cancel(1);
  const results = await ended(2);
  assert.deepEqual(results.map(outcome), ["2 cancelled", "1 cancelled"]);
  assert.deepEqual(
    results.map(({ data }) => data["changed"]),
    [false, true],
  );
  assert.match(message(results[1]!), /^it was cancelled; the command was ended by SIGTERM$/);
  assert.ok(!existsSync(path("ran")));
  const child = Number(readFileSync(path("child"), "utf8"));
  assert.throws(() => process.kill(child, 0), { code: "ESRCH" });
});

test("P3: a cancellation that comes before its command keeps it from running; one that comes after its end changes nothing", async (t) => {
  const { path, accepted, ended, shell, cancel, results } = setting(t);
  cancel(1);
  cancel(1);
  shell(1, "touch ran");
  shell(2, "true");
  await ended(2);
  cancel(2);
  cancel(2);
  assert.deepEqual(results().map(outcome), ["1 cancelled", "2 succeeded"]);
  assert.equal(message(results()[0]!), "it was cancelled before it came to this host");
  assert.deepEqual(accepted, [id(1), id(2)]);
  assert.ok(!existsSync(path("ran")));
});

test("a command whose time is over before it can begin is not run", async (t) => {
  const { path, ended, executor, monotonic, shell } = setting(t, { concurrencyMax: 1 });
  shell(1, "while [ ! -e go ]; do sleep 0.01; done");
  const args = { argv: ["touch", path("ran")] };
  executor.take({ execution: id(2), action: "command.run", args, expiresInMs: 5_000, priority: "normal" });
  executor.take({ execution: id(3), action: "command.run", args: { argv: ["true"] }, expiresInMs: 5_001, priority: "normal" });
  monotonic.time = 5_000;
  writeFileSync(path("go"), "");
  assert.deepEqual((await ended(3)).map(outcome), ["1 succeeded", "2 expired", "3 succeeded"]);
  assert.ok(!existsSync(path("ran")));
});

test("stopping interrupts what runs and leaves what waits to be reported at the next start", async (t) => {
  const { reopened, executor, shell, results } = setting(t, { concurrencyMax: 1 });
  shell(1, "sleep 60");
  shell(2, "true");
  await executor.stop();
  assert.deepEqual(results().map(outcome), ["1 interrupted"]);
  assert.deepEqual(reopened().reportInterrupted(), [id(2)]);
  assert.deepEqual(results().map(outcome), ["1 interrupted", "2 interrupted"]);
});

test("P8: a result comes back in the lane that its command names, also one that was refused", async (t) => {
  const { ended, take } = setting(t);
  take(1, "command.run", { argv: ["true"] }, "critical");
  take(2, "event.emit", {}, "low");
  const results = await ended(2);
  assert.deepEqual(results.map(({ lane, cause }) => `${lane} ${cause}`).toSorted(), [`critical ${id(1)}`, `low ${id(2)}`]);
});

test("what a command was given in secret is in its result no more when that is spooled, nor in the log", async (t) => {
  const { path, executor, ended, logged } = setting(t);
  const args = { argv: ['echo "it is $1"; echo "$1" >&2; exit 3', "hush-hush"], shell: true, cwd: path("") };
  executor.take({ execution: id(1), action: "command.run", args, secrets: ["hush-hush"], priority: "normal" });
  executor.take({ execution: id(2), action: "command.run", args: { argv: ["/hush"] }, secrets: ["hush"], priority: "normal" });
  executor.take({ execution: id(3), action: "file.restore", args: { path: "/hush" }, secrets: ["hush", "refused"], priority: "normal" });
  const by = new Map((await ended(3)).map((event) => [event.cause, event]));
  assert.deepEqual(by.get(id(1))!.data["result"], { ...(by.get(id(1))!.data["result"] as object), stdout: "it is ***\n", stderr: "***\n" });
  assert.match(String(by.get(id(2))!.data["message"]), /cannot start \/\*\*\*: there is no such program/);
  assert.deepEqual([by.get(id(3))!.subject, by.get(id(3))!.data["outcome"]], ["/***", "refused"]);
  const files = readdirSync(path(""), { withFileTypes: true }).filter((entry) => entry.isFile());
  for (const text of [logged(), ...files.map(({ name }) => readFileSync(path(name), "latin1"))]) assert.ok(!text.includes("hush"), text);
});

/** As `host.reboot` leaves it when the host goes down. */
async function askedToRestart({ spool, restarts }: Pick<ReturnType<typeof setting>, "spool" | "restarts">, until: number): Promise<void> {
  assert.ok(spool.begin({ execution: id(1), action: "host.reboot", priority: "high" }));
  await restarts.keep({ execution: id(1), priority: "high", boot: restarts.boot, asked: start - 5_000, until });
}

test("a restart of the host has succeeded when the agent is back in another boot, once, and not when it ended", async (t) => {
  const s = setting(t);
  await askedToRestart(s, start + 60_000);
  s.executor.resume(s.restarts.note!);
  await s.executor.stop();
  assert.deepEqual(s.results(), [], "the agent alone was restarted: nothing is known yet");
  s.boot.id = "second";
  const later = s.reopened();
  assert.equal(later.resume(id(1)), true);
  assert.deepEqual(later.reportInterrupted(), []);
});

test("the next life gives the result of a restart", async (t) => {
  const s = setting(t);
  await askedToRestart(s, start + 60_000);
  s.boot.id = "second";
  s.executor.resume(s.restarts.note!);
  const [result] = await s.ended(1);
  assert.equal(outcome(result!), "1 succeeded");
  assert.deepEqual(result!.data["result"], { boot: "first", booted: "second", took_ms: 5_000 });
  await until(() => s.restarts.note === undefined);
  assert.equal(s.spool.resume(id(1)), false);
});

test("a host that does not restart in its time has not, and a command that is delivered again restarts nothing", async (t) => {
  const s = setting(t);
  await askedToRestart(s, start);
  s.executor.resume(s.restarts.note!);
  s.take(1, "host.reboot", {});
  const [result] = await s.ended(1);
  assert.equal(outcome(result!), "1 failed");
  assert.equal(message(result!), "the host was asked to restart, and did not within 5.0 s");
  assert.deepEqual(s.accepted, [id(1)]);
});

test("who cancels a restart that is under way hears that the host was asked", async (t) => {
  const s = setting(t);
  await askedToRestart(s, start + 60_000);
  s.executor.resume(s.restarts.note!);
  s.cancel(1, "host.reboot");
  const [result] = await s.ended(1);
  assert.deepEqual([outcome(result!), message(result!)], ["1 cancelled", "it was cancelled; the host was asked to restart"]);
  await until(() => s.restarts.note === undefined);
});
