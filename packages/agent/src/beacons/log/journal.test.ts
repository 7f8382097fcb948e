/** Against real journalctl on a real journal. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import type { LogMatchedData } from "@needfire/shared/beacons/log";
import { definition, Fixture } from "../fixture.ts";
import { type Journal, journalIn, skip } from "./journal-fixture.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";

async function watch(t: TestContext, journal: Journal, memory: MemoryStore, options: Record<string, unknown> = {}): Promise<Fixture> {
  const f = new Fixture({ memory });
  t.after(() => f.end());
  const { journald, ...rest } = options;
  const base = { type: "log", patterns: [{ match: "(?s)(?P<text>no .)" }], from: "start", ...rest };
  await f.beacons.apply([definition({ ...base, journald: { directory: journal.dir, ...(journald as object) } })]);
  return f;
}

const told = (f: Fixture) => f.events.map(({ type, data }) => (data as unknown as LogMatchedData).fields?.["text"] ?? type);
const untilTold = async (f: Fixture, ...texts: string[]) => {
  await f.until(() => told(f).length >= texts.length, texts.join(", "));
  assert.deepEqual(told(f), texts);
};

test("entries that match are told with what the journal says of them; what is no text, or long, too", { skip }, async (t) => {
  const journal = await journalIn(t);
  const f = await watch(t, journal, forgetfulStore(), { journald: { matches: ["_COMM=sshd", "_COMM=app"] } });
  journal.add({ MESSAGE: "no 1", _COMM: "cron" });
  journal.add({
    MESSAGE: "no 2\nsecond",
    _COMM: "app",
    _SYSTEMD_UNIT: "app.service",
    PRIORITY: "3",
    _PID: "812",
    SYSLOG_IDENTIFIER: "app",
  });
  journal.add({ MESSAGE: Buffer.concat([Buffer.from("no 3 "), Buffer.from([0xff, 0x00])]), _COMM: "sshd" });
  journal.add({ MESSAGE: `no 4 ${"x".repeat(2_000_000)}`, _COMM: "sshd" });
  journal.add({ MESSAGE: `no 5 ${"x".repeat(100_000)}`, _COMM: "sshd" });
  await untilTold(f, "no 2", "no 3", "no 5");
  assert.deepEqual(
    [f.events[0]!.subject, f.events[0]!.data],
    [
      "app.service",
      {
        source: "journal",
        line: "no 2\nsecond",
        lines: 2,
        cut: false,
        unit: "app.service",
        identifier: "app",
        pid: 812,
        priority: 3,
        fields: { text: "no 2" },
      },
    ],
  );
  assert.ok(Math.abs(f.events[0]!.time - Date.now()) < 600_000, "the time is the entry's");
  const long = f.events[2]!.data as unknown as LogMatchedData;
  assert.deepEqual([long.line.length, long.cut], [8_192, true]);
});

test("after a restart of the agent it goes on behind the last entry; after a death of journalctl, too", { skip }, async (t) => {
  const journal = await journalIn(t);
  const memory = forgetfulStore();
  journal.add({ MESSAGE: "no 1" });
  const f = await watch(t, journal, memory);
  await untilTold(f, "no 1");
  await f.beacons.stop();
  journal.add({ MESSAGE: "no 2" });
  const g = await watch(t, journal, memory);
  await untilTold(g, "no 2");
  await g.until(() => childrenOf(process.pid, journal.dir).length > 0, "that it follows");
  for (const id of childrenOf(process.pid, journal.dir)) process.kill(id, "SIGKILL");
  await g.until(() => g.events.some(({ type }) => type === "beacon.failed"), "that journalctl ended");
  journal.add({ MESSAGE: "no 3" });
  await g.until(() => told(g).includes("no 3"), "the entry after the restart");
  assert.deepEqual(told(g), ["no 2", "beacon.failed", "no 3"]);
  await g.beacons.stop();
  assert.deepEqual(childrenOf(process.pid, journal.dir), [], "no journalctl is left");
});

test("from the end: nothing of before is told, what follows is", { skip }, async (t) => {
  const journal = await journalIn(t);
  journal.add({ MESSAGE: "no 1" });
  const before = await watch(t, journal, forgetfulStore());
  await untilTold(before, "no 1");
  const f = await watch(t, journal, forgetfulStore(), { from: "end" });
  journal.add({ MESSAGE: "no 2" });
  await untilTold(f, "no 2");
});

test("a position that the journal does not know is told, and the rest is read all the same", { skip }, async (t) => {
  const journal = await journalIn(t);
  journal.add({ MESSAGE: "no 1" });
  const memory = forgetfulStore();
  const f = await watch(t, journal, memory);
  await untilTold(f, "no 1");
  await f.beacons.stop();
  // As from a journal that was damaged: not even a cursor.
  const [row] = memory.recall("log:test").filter(({ key }) => key === "cursor");
  memory.remember("log:test", "cursor", Buffer.from([0xa3, 0x62, 0x61, 0x64]));
  assert.ok(row !== undefined);
  const g = await watch(t, journal, memory);
  await untilTold(g, "log.lost", "no 1");
});

test("without journalctl the beacon fails, and says why", async (t) => {
  const place = new Fixture();
  t.after(() => place.end());
  const { PATH } = process.env;
  t.after(() => void (process.env["PATH"] = PATH));
  process.env["PATH"] = place.dir;
  const f = new Fixture();
  t.after(() => f.end());
  await f.beacons.apply([definition({ type: "log", patterns: [{ match: "x" }], journald: {} })]);
  await f.until(() => f.events.length > 0, "the failure");
  assert.match(String(f.events[0]!.data["message" as never]), /there is no journalctl on this host/);
  // One that ends at once with words of its own.
  writeFileSync(place.path("journalctl"), "#!/bin/sh\necho broken journal >&2\nexit 1\n");
  chmodSync(place.path("journalctl"), 0o755);
  const g = new Fixture();
  t.after(() => g.end());
  await g.beacons.apply([definition({ type: "log", patterns: [{ match: "x" }], journald: {}, from: "start" })]);
  await g.until(() => g.events.length > 0, "the failure");
  assert.match(String(g.events[0]!.data["message" as never]), /journalctl ended \(code 1\): broken journal/);
});

/** Processes of ours whose command line has this. */
function childrenOf(parent: number, word: string): number[] {
  const { stdout } = spawnSync("ps", ["--ppid", String(parent), "-o", "pid=,args="], { encoding: "utf8" });
  return stdout
    .split("\n")
    .filter((line) => line.includes("--follow") && line.includes(word))
    .map((line) => Number.parseInt(line));
}
