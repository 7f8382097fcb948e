import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test, type TestContext } from "node:test";
import { frameBytesMax } from "@needfire/shared/wire";
import { eventData } from "@needfire/shared/wire-event";
import { Fixture } from "../beacons/fixture.ts";
import { packDraft } from "../packed-event.ts";
import { action as commandRun } from "./command-run.ts";
import { contextOf, runner } from "./fixture.ts";
import { loadAction, runsHere } from "./registry.ts";

function setting(t: TestContext) {
  const f = new Fixture();
  t.after(() => f.end());
  const stop = new AbortController();
  const context = contextOf(f, { signal: stop.signal });
  return { f, stop, context, ...runner("command.run", commandRun, context) };
}

const hostile = [
  "",
  "a b",
  "$(touch /tmp/needfire-injected)",
  "`id`",
  "'; id; '",
  '"',
  "line\nbreak",
  "--help",
  "-rf",
  "*",
  "$HOME",
  "\\",
  "ü💥",
  "a'b\"c",
];
const print = "process.stdout.write(JSON.stringify(process.argv.slice(1)))";

test("arguments arrive as they are, whatever is in them", async (t) => {
  const { run } = setting(t);
  const ending = await run({ argv: [process.execPath, "-e", print, "--", ...hostile] });
  assert.equal(ending.outcome, "succeeded");
  assert.deepEqual(JSON.parse(ending.result?.stdout ?? ""), hostile);
});

test("in a shell, values are positional parameters and never part of the script", async (t) => {
  const { run } = setting(t);
  const ending = await run({ shell: true, argv: ['printf "%s\\0" "$@" | cat; echo "[$1]" >&2', ...hostile] });
  assert.deepEqual(ending.result?.stdout.split("\0").slice(0, -1), hostile);
  assert.equal(ending.result?.stderr, "[]\n");
  const quiet = await run({ argv: ["$(id)"] });
  assert.match(quiet.message ?? "", /no such program/);
});

test("nothing is inherited: the environment is the stated one, and the result states it", async (t) => {
  const { run } = setting(t);
  process.env["NEEDFIRE_SECRET"] = "leak";
  const ending = await run({ argv: ["env"], env: { EXTRA: "one\ntwo" } });
  assert.equal(
    ending.result?.stdout
      .split("\n")
      .filter((line) => !/^(_|PWD|SHLVL)=/.test(line))
      .sort()
      .join("\n")
      .includes("leak"),
    false,
  );
  assert.deepEqual(Object.keys(ending.result?.env ?? {}).sort(), ["EXTRA", "HOME", "LANG", "PATH"]);
  for (const [name, value] of Object.entries(ending.result?.env ?? {}))
    assert.ok(ending.result?.stdout.includes(`${name}=${value}\n`), name);
});

test("the exit code, the working directory and stdin are passed on; other codes may count as success", async (t) => {
  const { run, f } = setting(t);
  const ending = await run({ shell: true, argv: ["pwd; cat; exit 3"], cwd: f.host(""), stdin: "from stdin" });
  assert.deepEqual(
    [ending.outcome, ending.message, ending.result?.exit_code, ending.result?.stdout],
    ["failed", "exited with 3", 3, `${f.host("").replace(/\/$/, "")}\nfrom stdin`],
  );
  assert.equal((await run({ shell: true, argv: ["exit 3"], success_codes: [0, 3] })).outcome, "succeeded");
  const killed = await run({ shell: true, argv: ["kill -9 $$"] });
  assert.deepEqual([killed.outcome, killed.result?.signal, killed.result?.exit_code], ["failed", "SIGKILL", null]);
  // A program that does not read what it is given has not failed for that.
  assert.equal((await run({ argv: ["true"], stdin: "x".repeat(65_536) })).outcome, "succeeded");
});

test("output over the cap is counted and left out, and does not end the program", async (t) => {
  const { run } = setting(t);
  const ending = await run({ shell: true, argv: ["head -c 3000000 /dev/zero | tr '\\0' x; echo e >&2; exit 0"], output_bytes_max: 10 });
  assert.equal(ending.outcome, "succeeded");
  assert.equal(ending.result?.stdout, "xxxxxxxxxx");
  assert.equal(ending.result?.stderr, "e\n");
  assert.equal(ending.result?.output_note, "stdout: the first 10 of 3000000 bytes are shown");
  assert.equal((await run({ argv: ["printf", "aüü"], output_bytes_max: 4 })).result?.stdout, "aü");
});

test("output of any size takes bounded memory, and the result fits a frame", async (t) => {
  const { run } = setting(t);
  for (const megabytes of [10, 100]) {
    const { peak, stop } = memoryPeak();
    const much = `head -c ${megabytes * 1_000_000} /dev/zero | tr '\\0' '\\377'`;
    const ending = await run({ shell: true, argv: [`${much}; (${much}) >&2`], output_bytes_max: 131_072 });
    stop();
    assert.equal(ending.outcome, "succeeded");
    assert.equal(
      ending.result?.output_note,
      `stdout: the first 131072 of ${megabytes}000000 bytes are shown; stderr: the first 131072 of ${megabytes}000000 bytes are shown`,
    );
    // Bytes that are no text become the three bytes of U+FFFD each.
    const event = packDraft({ type: "execution.finished", time: 1, severity: "normal", data: { execution: "t", result: ending.result } });
    assert.ok(event[7].length > 6 * 131_000 && event[7].length < frameBytesMax);
    assert.ok(eventData(event[7])["result"], "nothing was left out");
    // Of the 200 MB; what the collector has not got round to yet is in it.
    assert.ok(peak() < 100_000_000, `${megabytes} MB of output took ${peak()} bytes of memory`);
  }
});

/** What lies outside V8's heap, where the bytes of a stream do, over what it was before. */
function memoryPeak() {
  const before = process.memoryUsage().external;
  let most = before;
  const timer = setInterval(() => (most = Math.max(most, process.memoryUsage().external)), 2).unref();
  return { peak: () => most - before, stop: () => clearInterval(timer) };
}

test("what takes too long ends with all that it started", async (t) => {
  const { f, run } = setting(t);
  const begun = performance.now();
  const ending = await run({
    shell: true,
    argv: ['sleep 1000 >/dev/null 2>&1 & echo $! > "$1"; sleep 1001', f.path("child")],
    timeout: "300ms",
  });
  assert.equal(ending.outcome, "failed");
  assert.equal(ending.result?.timed_out, true);
  assert.equal(ending.result?.signal, "SIGTERM");
  assert.match(ending.message ?? "", /longer than 300ms/);
  assert.ok(performance.now() - begun < 4_000);
  const child = Number(fs.readFileSync(f.path("child"), "utf8"));
  assert.ok(!lives(child));
});

test("what ignores SIGTERM is killed 5 s later, its children too, even those that let go of the pipes", async (t) => {
  const { f, run } = setting(t);
  const script = `trap "" TERM; (trap "" TERM; echo $$ > /dev/null; while :; do sleep 1; done) >/dev/null 2>&1 & echo $! > "$1"; exec >/dev/null; while :; do sleep 1; done`;
  const ending = await run({ shell: true, argv: [script, f.path("child")], timeout: "200ms" });
  assert.equal(ending.result?.signal, "SIGKILL");
  assert.ok(ending.result.duration_ms >= 5_000 && ending.result.duration_ms < 15_000);
  await f.until(() => !lives(Number(fs.readFileSync(f.path("child"), "utf8"))), "the child's end");
});

test("a service that a command leaves behind does not hold its result up", async (t) => {
  const { f, run } = setting(t);
  const ending = await run({ shell: true, argv: ['sleep 1000 & echo $! > "$1"; echo started', f.path("child")], timeout: "1m" });
  const child = Number(fs.readFileSync(f.path("child"), "utf8"));
  t.after(() => process.kill(child, "SIGKILL"));
  assert.deepEqual([ending.outcome, ending.result?.stdout, ending.result?.timed_out], ["succeeded", "started\n", false]);
  assert.ok(lives(child));
});

test("when the agent stops, the command does", async (t) => {
  const { f, stop, run } = setting(t);
  const running = run({ shell: true, argv: ['echo > "$1"; sleep 1000', f.path("begun")] });
  await f.until(() => fs.existsSync(f.path("begun")), "the command's begin");
  stop.abort();
  const ending = await running;
  assert.deepEqual([ending.outcome, ending.result?.signal], ["failed", "SIGTERM"]);
});

test("what cannot start is said in a sentence", async (t) => {
  const { f, run } = setting(t);
  assert.match((await run({ argv: ["/no/such/program"] })).message ?? "", /no such program/);
  assert.match((await run({ argv: ["true"], cwd: "/no/such/directory" })).message ?? "", /no directory \/no\/such/);
  fs.writeFileSync(f.host("plain"), "x", { mode: 0o644 });
  assert.match((await run({ argv: [f.host("plain")] })).message ?? "", /may not be executed/);
  assert.match((await run({ argv: ["true", "a\0b"] })).message ?? "", /cannot start true/);
  assert.match((await run({ argv: ["true", ...Array.from({ length: 900 }, () => "x".repeat(100_000))] })).message ?? "", /too long/);
});

test("the registry knows what each action may change meanwhile", async () => {
  assert.deepEqual((await loadAction("file.restore", { path: "/a" })).scope, { path: "/a" });
  assert.deepEqual((await loadAction("file.remove", { path: "/a" })).scope, { path: "/a" });
  assert.equal((await loadAction("file.check", { path: "/a" })).scope, undefined);
  assert.equal((await loadAction("command.run", { argv: ["true"] })).scope, "host");
  assert.deepEqual(["file.check", "event.emit", "toString"].map(runsHere), [true, false, false]);
});

test("a dry run starts nothing and says what it would start", async (t) => {
  const { f, dry } = setting(t);
  const ending = await dry({ argv: ["touch", f.host("made")] });
  assert.deepEqual([ending.outcome, ending.changed, fs.existsSync(f.host("made"))], ["succeeded", true, false]);
  assert.equal(ending.message, `would run ["touch","${f.host("made")}"] in /`);
});

/** A process that is not there, or only waits for its parent to take notice. */
function lives(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
