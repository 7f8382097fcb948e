import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { checkBeacon } from "@needfire/shared/beacon";
import type { LogMatchedData } from "@needfire/shared/beacons/log";
import { definition, Fixture } from "../fixture.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";

/** Lines of a time and a text, so that no two are the same: as in every log. */
let number = 0;
const line = (text: string) => `2026-03-01T10:00:${String(number++).padStart(6, "0")} ${text}\n`;

class Logs extends Fixture {
  readonly options: Record<string, unknown>;

  constructor(options: Record<string, unknown> = {}, more: ConstructorParameters<typeof Fixture>[0] = {}) {
    super(more);
    this.options = { type: "log", patterns: [{ match: "(?P<text>line \\S+)" }], interval: "200ms", ...options };
  }

  async watch(...paths: string[]): Promise<void> {
    await this.beacons.apply([definition({ ...this.options, paths })]);
  }

  get told(): string[] {
    return this.events.map(({ type, data }) => (type === "log.lost" ? `lost: ${String(data["reason"])}` : fieldsOf(data)["text"]!));
  }

  async untilTold(...texts: string[]): Promise<void> {
    await this.until(() => this.told.length >= texts.length, texts.join(", "));
    assert.deepEqual(this.told, texts);
  }
}

function fieldsOf(data: Record<string, unknown>): Record<string, string> {
  return (data as unknown as LogMatchedData).fields;
}

function logs(t: TestContext, ...options: ConstructorParameters<typeof Logs>): Logs {
  const f = new Logs(...options);
  t.after(() => f.end());
  return f;
}

/** An agent that knows a log in which nothing is yet. */
async function watchedEmpty(t: TestContext) {
  const memory = forgetfulStore();
  const first = logs(t, {}, { memory });
  const path = first.host("app.log");
  writeFileSync(path, "");
  await first.watch(path);
  return { first, memory, path };
}

/** An agent of later, that knows what those before have kept. */
async function restarted(t: TestContext, before: Logs, memory: MemoryStore, path: string, meanwhile: () => void): Promise<Logs> {
  await before.beacons.stop();
  meanwhile();
  const f = logs(t, before.options, { memory });
  await f.watch(path);
  return f;
}

test("lines that a pattern fits are told, with its named groups, its type and its severity; the first pattern counts", async (t) => {
  const f = logs(t, {
    patterns: [
      { name: "timeout", match: "upstream timed out.* client: (?<client>\\S+)", event: "nginx.timeout", severity: "high" },
      { match: "error", exclude: "harmless" },
    ],
    ignore: ["healthcheck"],
  });
  const path = f.host("error.log");
  writeFileSync(path, "an error of before\n");
  await f.watch(path);
  appendFileSync(path, "x\nerror: upstream timed out, client: 203.0.113.9\nerror harmless\nerror healthcheck\nerror two\n");
  const first = await f.next();
  assert.deepEqual([first.type, first.severity, first.subject], ["nginx.timeout", "high", path]);
  assert.deepEqual(first.data as unknown, {
    source: "file",
    path,
    line: "error: upstream timed out, client: 203.0.113.9",
    lines: 1,
    cut: false,
    pattern: "timeout",
    fields: { client: "203.0.113.9" },
  });
  const second = await f.next();
  assert.deepEqual([second.type, (second.data as unknown as LogMatchedData).line], ["log.matched", "error two"]);
});

test("a file is begun with at its end, or its start; one that comes later at its start", async (t) => {
  const f = logs(t);
  const path = f.host("app.log");
  writeFileSync(path, `${line("line old")}line half `);
  await f.watch(f.host("*.log"));
  appendFileSync(path, `line rest\n${line("line new")}`);
  await f.untilTold("line new");
  writeFileSync(f.host("late.log"), line("line late"));
  await f.untilTold("line new", "line late");

  const g = logs(t, { from: "start" });
  writeFileSync(g.host("app.log"), line("line old"));
  await g.watch(g.path("host"));
  await g.untilTold("line old");
});

test("a file that is renamed is read on as long as something is written to it, before the one that took its place", async (t) => {
  const f = logs(t);
  const path = f.host("app.log");
  const writer = openSync(path, "a");
  await f.watch(f.host("*"));
  writeSync(writer, line("line 1"));
  renameSync(path, `${path}.1`);
  writeSync(writer, line("line 2"));
  writeFileSync(path, line("line 3"));
  await f.untilTold("line 1", "line 2", "line 3");
  writeSync(writer, line("line 4"));
  rmSync(`${path}.1`);
  writeSync(writer, line("line 5"));
  closeSync(writer);
  await f.untilTold("line 1", "line 2", "line 3", "line 4", "line 5");
});

test("a file that is copied and truncated: what only the copy has is told, and nothing twice", async (t) => {
  const f = logs(t, { interval: "24h" });
  const path = f.host("app.log");
  writeFileSync(path, "");
  await f.watch(f.host("app*"));
  appendFileSync(path, line("line 1"));
  await f.untilTold("line 1");
  // Within one turn, so that the beacon sees but the outcome; what is written then is longer than what was there.
  appendFileSync(path, line("line 2"));
  copyFileSync(path, `${path}.1`);
  truncateSync(path);
  appendFileSync(path, line("line 3") + line("line 4") + line("line 5"));
  await f.untilTold("line 1", "line 2", "line 3", "line 4", "line 5");
  appendFileSync(path, line("line 6"));
  copyFileSync(path, f.host("app-20260301.log"));
  truncateSync(path);
  await f.untilTold("line 1", "line 2", "line 3", "line 4", "line 5", "line 6");
  appendFileSync(path, line("line 7"));
  await f.untilTold("line 1", "line 2", "line 3", "line 4", "line 5", "line 6", "line 7");
});

test("a file that is truncated, and nowhere copied, is told as lost; what is written then is not", async (t) => {
  const f = logs(t);
  const path = f.host("app.log");
  writeFileSync(path, line("line 0"));
  await f.watch(path);
  writeFileSync(path, line("line 1") + line("line 2"));
  await f.untilTold("lost: truncated", "line 1", "line 2");
});

test("after a restart it goes on where it was: appended, renamed, compressed, and rotated several times", async (t) => {
  const memory = forgetfulStore();
  const first = logs(t, {}, { memory });
  const path = first.host("app.log");
  writeFileSync(path, line("line 0"));
  await first.watch(path);
  appendFileSync(path, line("line 1"));
  await first.untilTold("line 1");
  const second = await restarted(t, first, memory, path, () => appendFileSync(path, line("line 2")));
  await second.untilTold("line 2");
  const third = await restarted(t, second, memory, path, () => {
    appendFileSync(path, line("line 3"));
    renameSync(path, `${path}.1`);
    writeFileSync(path, line("line 4"));
  });
  await third.untilTold("line 3", "line 4");
  const fourth = await restarted(t, third, memory, path, () => {
    appendFileSync(path, line("line 5"));
    compress(path, `${path}.2.gz`);
    writeFileSync(path, line("line 6"));
    compress(path, `${path}.1.gz`);
    writeFileSync(path, line("line 7"));
  });
  await fourth.untilTold("line 5", "line 6", "line 7");
  const fifth = await restarted(t, fourth, memory, path, () => appendFileSync(path, line("line 8")));
  await fifth.untilTold("line 8");
});

test("after a restart what came into a file that was empty is told, wherever it is by now", async (t) => {
  const { first, memory, path } = await watchedEmpty(t);
  const second = await restarted(t, first, memory, path, () => {
    appendFileSync(path, line("line 1"));
    compress(path, `${path}.2.gz`);
    writeFileSync(path, line("line 2"));
    compress(path, `${path}.1.gz`);
    writeFileSync(path, "");
  });
  await second.untilTold("line 1", "line 2");
  const third = await restarted(t, second, memory, path, () => {
    renameSync(path, `${path}.1`);
    appendFileSync(`${path}.1`, line("line 3"));
    writeFileSync(path, line("line 4"));
  });
  await third.untilTold("line 3", "line 4");
});

test("what was rotated several times within one tick of the clock is told in its order, by the numbers or the dates in the names", async (t) => {
  for (const names of [
    [".10.gz", ".9.gz", ".2.gz", ".1"],
    ["-20260228.gz", "-20260301.gz", "-20260302.gz", "-20260303"],
  ]) {
    const { first, memory, path } = await watchedEmpty(t);
    const second = await restarted(t, first, memory, path, () => {
      const at = new Date();
      for (const [index, name] of names.entries()) {
        appendFileSync(path, line(`line ${index}`));
        if (name.endsWith(".gz")) compress(path, `${path}${name}`);
        else renameSync(path, `${path}${name}`);
        writeFileSync(path, "");
        utimesSync(`${path}${name}`, at, at);
      }
    });
    await second.untilTold(...names.map((_, index) => `line ${index}`));
  }
});

test("after a restart the copy of a truncated file is found, and a file that is gone is told", async (t) => {
  const memory = forgetfulStore();
  const first = logs(t, {}, { memory });
  const path = first.host("app.log");
  writeFileSync(path, line("line 0"));
  await first.watch(path);
  const second = await restarted(t, first, memory, path, () => {
    appendFileSync(path, line("line 1"));
    writeFileSync(`${path}.1.gz`, gzipSync(readFileSync(path)));
    truncateSync(path);
    appendFileSync(path, line("line 2"));
  });
  await second.untilTold("line 1", "line 2");
  const third = await restarted(t, second, memory, path, () => rmSync(path));
  await third.untilTold("lost: gone");
  writeFileSync(path, line("line 3"));
  await third.untilTold("lost: gone", "line 3");
});

test("a compressed file of before is not told again, nor is one that another put there", async (t) => {
  const f = logs(t);
  const path = f.host("app.log");
  writeFileSync(path, line("line 0"));
  await f.watch(f.host("*"));
  appendFileSync(path, line("line 1"));
  await f.untilTold("line 1");
  compress(path, `${path}.1.gz`);
  writeFileSync(path, line("line 2"));
  await f.untilTold("line 1", "line 2");
  compress(path, `${path}.1.gz`);
  writeFileSync(path, line("line 3"));
  await f.untilTold("line 1", "line 2", "line 3");
});

test("records of several lines: one is told when the next begins, or when nothing was added for a time", async (t) => {
  const f = logs(t, { multiline: { begins: "^\\d{4}-", wait: "300ms" }, patterns: [{ match: "(?s)(?<text>line \\S+).*Exception" }] });
  const path = f.host("app.log");
  writeFileSync(path, "");
  await f.watch(path);
  appendFileSync(path, `${line("line 1")}Exception\n  at x\n${line("line 2")}${line("line 3")}  at y\nException`);
  await f.untilTold("line 1");
  assert.equal((f.events[0]!.data as unknown as LogMatchedData).lines, 3);
  appendFileSync(path, "\n");
  await f.untilTold("line 1", "line 3");
});

test("a line of megabytes is told by its beginning, and costs no more than that", async (t) => {
  const f = logs(t, { patterns: [{ match: "^(?<text>long|line \\S+)" }], line_bytes_max: 300 });
  const path = f.host("app.log");
  writeFileSync(path, "");
  await f.watch(path);
  appendFileSync(path, `long ${"x".repeat(3_000_000)}`);
  appendFileSync(path, `long ${"x".repeat(3_000_000)}\nline 2\n`);
  await f.untilTold("long", "line 2");
  const { line: text, cut } = f.events[0]!.data as unknown as LogMatchedData;
  assert.deepEqual([text.length, cut], [300, true]);
});

test("a directory of logs is followed as it fills, and a pipe in it is no log", async (t) => {
  const f = logs(t);
  await f.watch(f.host("logs"));
  mkdirSync(f.host("logs/deep"), { recursive: true });
  for (let i = 0; i < 20; i++) writeFileSync(f.host(`logs/deep/${i}.log`), line(`line ${i}`));
  await f.until(() => f.told.length === 20, "a line of each file");
  spawnSync("mkfifo", [f.host("logs/pipe.log")]);
  appendFileSync(f.host("logs/deep/3.log"), line("line 20"));
  await f.until(() => f.told.length === 21, "a line beside the pipe");
});

test("an expression that the engine does not have is refused at load, and so are nothing to read and a type that is taken", () => {
  const refused = (options: Record<string, unknown>) => {
    const checked = checkBeacon({ name: "test", type: "log", patterns: [{ match: "x" }], ...options });
    assert.ok(!checked.ok);
    return checked.message;
  };
  assert.match(refused({ paths: ["/x"], patterns: [{ match: "(?=x)" }] }), /expected a regular expression of RE2/);
  assert.match(refused({ paths: ["/x"], multiline: { begins: "(" } }), /missing closing \)/);
  assert.match(refused({}), /nothing to read/);
  assert.match(refused({ paths: ["/x"], event: "task.resolved" }), /event/);
  assert.match(refused({ paths: ["/x"], journald: {} }), /two sources/);
  assert.match(refused({ paths: ["/x"], patterns: [{ match: "x", event: "cpu.high" }] }), /a type that agents make themselves/);
});

function compress(path: string, to: string): void {
  writeFileSync(to, gzipSync(readFileSync(path)));
  rmSync(path);
}
