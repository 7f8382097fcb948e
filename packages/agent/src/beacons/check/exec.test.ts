import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { checkBeacon } from "@needfire/shared/beacon";
import type { CheckData } from "@needfire/shared/beacons/exec";
import type { EventDraft } from "@needfire/shared/event";
import { definition, Fixture } from "../fixture.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";

const plugins = "/usr/lib/nagios/plugins";
const needsPlugins = existsSync(`${plugins}/check_disk`) ? {} : { skip: "needs Debian's monitoring-plugins-basic" };
const needsRoot = process.getuid?.() === 0 ? {} : { skip: "needs root, to become somebody else" };

function fixture(t: TestContext, memory?: MemoryStore) {
  const f = new Fixture(memory === undefined ? {} : { memory });
  t.after(() => f.end());
  return f;
}

const plugin = (name: string, ...args: string[]) => [`${plugins}/${name}`, ...args];
const check = (argv: string[], options: Record<string, unknown> = {}) => definition({ type: "exec", argv, interval: "100ms", ...options });
const shell = (script: string, ...args: string[]) => ["/bin/sh", "-c", script, "sh", ...args];
/** A check that does what a file says. */
const byFile = (f: Fixture, options: Record<string, unknown> = {}) => check(shell('. "$1"', f.host("says")), options);

async function next(f: Fixture): Promise<EventDraft & { data: CheckData }> {
  return (await f.next()) as unknown as EventDraft & { data: CheckData };
}

test("check_disk of Debian tells a disk that is full beyond its threshold, with its performance data", needsPlugins, async (t) => {
  const f = fixture(t);
  await f.beacons.apply([check(plugin("check_disk", "-w", "100%", "-c", "0%", "-p", "/"), { name: "root-disk" })]);
  const { type, subject, data } = await next(f);
  assert.deepEqual([type, subject, data.state, data.before, data.exit_code], ["check.warning", "root-disk", "warning", null, 1]);
  assert.match(data.output, /^DISK WARNING/);
  const root = data.performance["/"]!;
  assert.ok(root.value !== null && root.max !== undefined && root.value <= root.max && /^[KMG]?i?B$/.test(root.unit), JSON.stringify(root));
});

test("check_load, check_procs and check_file_age find what is really there", needsPlugins, async (t) => {
  const f = fixture(t);
  writeFileSync(f.host("old"), "x");
  utimesSync(f.host("old"), 1_000, 1_000);
  await f.beacons.apply([
    check(plugin("check_load", "-w", "0,0,0", "-c", "100000,100000,100000"), { name: "load" }),
    check(plugin("check_procs", "-c", "100000:"), { name: "processes" }),
    check(plugin("check_file_age", "-w", "10", "-c", "20", "-f", f.host("old")), { name: "age" }),
  ]);
  await f.until(() => f.events.length >= 3, "three checks");
  const by = new Map(f.events.map((event) => [event.beacon, event as unknown as { type: string; data: CheckData }]));
  assert.equal(by.get("load")?.type, "check.warning");
  assert.ok(Object.keys(by.get("load")!.data.performance).some((label) => label.startsWith("load1")));
  assert.deepEqual([by.get("processes")?.type, typeof by.get("processes")?.data.performance["procs"]?.value], ["check.critical", "number"]);
  assert.deepEqual([by.get("age")?.type, by.get("age")?.data.performance["size"]?.unit], ["check.critical", "B"]);
});

test("check_http follows a real server through ok, warning, critical and back; each state once, none twice", needsPlugins, async (t) => {
  const f = fixture(t);
  let status = 200;
  let asked = 0;
  const server = createServer((_, answer) => {
    asked += 1;
    answer.writeHead(status).end("hello");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const port = String((server.address() as AddressInfo).port);
  await f.beacons.apply([check(plugin("check_http", "-H", "127.0.0.1", "-p", port), { severities: { critical: "high" } })]);
  // The second begins when the first has been judged.
  await f.until(() => asked >= 2, "two requests");
  status = 404;
  const warning = await next(f);
  assert.deepEqual([warning.type, warning.severity, warning.data.before], ["check.warning", "normal", "ok"]);
  assert.equal(warning.data.performance["time"]?.unit, "s");
  status = 503;
  const critical = await next(f);
  assert.deepEqual([critical.type, critical.severity, critical.data.before], ["check.critical", "high", "warning"]);
  status = 200;
  const ok = await next(f);
  assert.deepEqual([ok.type, ok.data.before, ok.data.attempts], ["check.ok", "critical", 0]);
  assert.equal(f.events.length, 3);
});

test("a problem is told only when so many attempts have found it", async (t) => {
  const f = fixture(t);
  writeFileSync(f.host("says"), 'echo x >> "$(dirname "$1")/runs"; echo "bad | n=1"; exit 2');
  await f.beacons.apply([byFile(f, { attempts: 3 })]);
  const { type, data } = await next(f);
  assert.deepEqual([type, data.attempts, data.output, data.performance["n"]?.value], ["check.critical", 3, "bad", 1]);
  assert.equal(readFileSync(f.host("runs"), "utf8").trim().split("\n").length, 3);
});

test("the state outlives the agent: the same problem is not told again, and its end is not missed", async (t) => {
  const memory = forgetfulStore();
  const f = fixture(t, memory);
  writeFileSync(f.host("says"), "echo broken; exit 2");
  await f.beacons.apply([byFile(f)]);
  assert.equal((await next(f)).type, "check.critical");
  await f.beacons.stop();
  const again = new Fixture({ memory });
  t.after(() => again.end());
  const runs = f.host("runs");
  writeFileSync(f.host("says"), `echo x >> ${runs}; echo broken; exit 2`);
  await again.beacons.apply([byFile(f)]);
  await again.until(() => existsSync(runs), "a run");
  assert.deepEqual(again.events, []);
  again.beacons.restate();
  const restated = await next(again);
  assert.deepEqual([restated.type, restated.data.before], ["check.critical", "critical"]);
  writeFileSync(f.host("says"), "echo fine");
  const { type, data } = await next(again);
  assert.deepEqual([type, data.before, data.output], ["check.ok", "critical", "fine"]);
});

test("what takes too long, is killed, prints nothing or is not there, is unknown, and says why", async (t) => {
  const f = fixture(t);
  await f.beacons.apply([
    check(shell("sleep 1000 & echo waiting; wait"), { name: "slow", timeout: "300ms" }),
    check(shell("kill -9 $$"), { name: "killed" }),
    check(["/no/such/plugin"], { name: "absent" }),
    check(shell("echo 'no route | to host' >&2; exit 3"), { name: "mute" }),
    check(shell("exit 99"), { name: "odd" }),
  ]);
  await f.until(() => f.events.length >= 5, "five events");
  const said = Object.fromEntries(f.events.map(({ type, beacon, data }) => [beacon, [type, data["exit_code"], data["output"]]]));
  assert.deepEqual(said["slow"], ["check.unknown", null, "took longer than 300ms and was ended by SIGTERM"]);
  assert.deepEqual(said["killed"], ["check.unknown", null, "was ended by SIGKILL"]);
  assert.match(String(said["absent"]?.[2]), /there is no such program/);
  assert.deepEqual(said["mute"], ["check.unknown", 3, "no route   to host"]);
  assert.deepEqual(said["odd"], ["check.unknown", 99, ""]);
});

test("it never runs twice at once, and its end takes a run with all its children along", async (t) => {
  const f = fixture(t);
  const script = 'mkdir "$1" || echo twice >> "$1.twice"; echo $$ > "$1.pid"; sleep 1000';
  await f.beacons.apply([check(shell(script, f.host("lock")), { timeout: "1h" })]);
  await f.until(() => existsSync(f.host("lock.pid")) && readFileSync(f.host("lock.pid"), "utf8") !== "", "the run");
  const pid = Number(readFileSync(f.host("lock.pid"), "utf8"));
  await f.beacons.stop();
  await f.until(() => !existsSync(`/proc/${pid}`), "its end");
  assert.deepEqual([f.events, existsSync(f.host("lock.twice"))], [[], false]);
});

test("as another user: the program has that user's number and home, and none of the agent's groups", needsRoot, async (t) => {
  const f = fixture(t);
  await f.beacons.apply([check(shell('echo "$(id -u) $(id -g) $(id -G) $HOME $PWD"; exit 1'), { user: "nobody", cwd: "/usr" })]);
  const { data } = await next(f);
  assert.equal(data.output, "65534 65534 65534 /nonexistent /usr");
});

test("a user who is not there fails the beacon, and says so", async (t) => {
  const f = fixture(t);
  await f.beacons.apply([check(["true"], { user: "nobody-of-that-name" })]);
  const { type, data } = await f.next();
  assert.deepEqual(
    [type, (data as unknown as { message: string }).message],
    ["beacon.failed", 'there is no user "nobody-of-that-name" on this host'],
  );
});

test("each JSON object that a program prints is an event of the type that the definition names", async (t) => {
  const f = fixture(t);
  mkdirSync(f.host("once"));
  const script =
    'rmdir "$1" || exit 0; echo \'{"archive":"a.tar","bytes":3}\'; echo oops; echo \'{"archive":"b.tar","deep":{"x":[1,null]}}\'; exit 4';
  await f.beacons.apply([
    check(shell(script, f.host("once")), {
      name: "backup",
      output: "json-lines",
      event: "backup.done",
      subject: "archive",
      interval: "24h",
    }),
  ]);
  const events = [await f.next(), await f.next()].map(({ type, subject, data }) => [type, subject, data]);
  assert.deepEqual(events, [
    ["backup.done", "a.tar", { archive: "a.tar", bytes: 3 }],
    ["backup.done", "b.tar", { archive: "b.tar", deep: { x: [1, null] } }],
  ]);
  const trouble = (await f.next()) as unknown as EventDraft;
  assert.deepEqual([trouble.type, trouble.data["message"]], ["beacon.degraded", "exited with 4"]);
});

test("P7: a command that ends is the cause of what the check finds then, and the check is run at once", async (t) => {
  const f = fixture(t);
  writeFileSync(f.host("says"), "echo broken; exit 2");
  await f.beacons.apply([byFile(f, { interval: "24h" })]);
  assert.equal((await next(f)).cause, undefined);
  f.remedies.begin("t-1.1", "host");
  writeFileSync(f.host("says"), "echo mended");
  f.remedies.end("t-1.1");
  const { type, cause } = await next(f);
  assert.deepEqual([type, cause], ["check.ok", "t-1.1"]);
});

test("a program that says more than is read ends as ever, and its output is cut", async (t) => {
  const f = fixture(t);
  await f.beacons.apply([check(shell("head -c 3000000 /dev/zero | tr '\\0' x; exit 1"), { output_bytes_max: 1_024 })]);
  const { type, data } = await next(f);
  assert.deepEqual([type, data.output.length], ["check.warning", 1_000]);
});

test("options that contradict each other are refused", () => {
  for (const [options, expected] of [
    [{ timeout: "2h" }, /1h at most/],
    [{ output: "json-lines", attempts: 2 }, /no state/],
    [{ output: "json-lines", severities: { critical: "high" } }, /no state/],
    [{ event: "backup.done" }, /json-lines/],
    [{ subject: "archive" }, /json-lines/],
    [{ output: "json-lines", event: "task.done" }, /expected|pattern/],
    [{ argv: [] }, /argv/],
  ] as const) {
    const checked = checkBeacon({ name: "a", type: "exec", argv: ["true"], ...options });
    assert.ok(!checked.ok, JSON.stringify(options));
    assert.match(checked.message, expected);
  }
});
