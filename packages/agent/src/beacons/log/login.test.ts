/**
 * Against real logins: sshd, su, sudo, PAM and rsyslogd in namespaces of their own (login-host.sh), which write wtmp, btmp and auth.log.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import type { EventDraft } from "@needfire/shared/event";
import { unpack } from "@needfire/shared/pack";
import { dataProblem } from "@needfire/shared/event-types";
import { definition, Fixture } from "../fixture.ts";
import { parseSyslogLine, loginReports } from "./login-lines.ts";
import { parseRecord, recordBytes } from "./login-records.ts";
import { type Journal, journalIn, skip as noJournal } from "./journal-fixture.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";

const missing = ["/usr/sbin/sshd", "rsyslogd", "sshpass", "sudo", "utmpdump", "ip", "openssl"].filter(
  (program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0,
);
const namespaces = spawnSync("unshare", ["--mount", "--net", "--pid", "--fork", "true"]).status === 0;
const skip = missing.length > 0 ? `needs ${missing.join(", ")}` : namespaces ? false : "needs the right to make namespaces";

/** A host that logins can be made on. */
class Host {
  readonly log: string;
  readonly #shell: ChildProcess;

  private constructor(dir: string) {
    mkdirSync(dir, { recursive: true });
    this.log = join(dir, "log");
    const script = join(import.meta.dirname, "login-host.sh");
    const through = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", script, dir];
    this.#shell = spawn("unshare", through, { stdio: ["pipe", "pipe", "ignore"] });
  }

  static async start(dir: string): Promise<Host> {
    const host = new Host(dir);
    for await (const line of createInterface({ input: host.#shell.stdout! })) if (line === "ready") return host;
    throw new Error("the host did not start");
  }

  run(command: string): void {
    this.#shell.stdin!.write(`${command}\n`);
  }

  end(): void {
    this.#shell.kill("SIGKILL");
  }
}

interface Sources {
  wtmp?: string;
  btmp?: string;
  logs?: string[];
}

async function watch(t: TestContext, sources: Sources, memory: MemoryStore = forgetfulStore()): Promise<Fixture> {
  const f = new Fixture({ memory });
  t.after(() => f.end());
  const nowhere = f.path("none");
  const all = { wtmp: nowhere, btmp: nowhere, logs: [], journald: "never", interval: "200ms", ...sources };
  await f.beacons.apply([definition({ type: "login", exclude_services: ["runuser"], ...all })]);
  return f;
}

const brief = ({ type, subject, data }: EventDraft) =>
  [type, subject, ...["service", "method", "reason", "by"].map((name) => data[name])].filter((part) => part !== undefined).join(" ");

/** Up to where a file has been read, as a restart would know it. */
function positionIn(memory: MemoryStore, key: string): number | undefined {
  const row = memory.recall("login:test").find((one) => one.key.startsWith(`${key}/`));
  return row === undefined ? undefined : (unpack(row.value) as { offset: number }).offset;
}

test("real logins of sshd, su and sudo: each is told once, whatever wrote of it", { skip, timeout: 300_000 }, async (t) => {
  const place = new Fixture();
  t.after(() => place.end());
  const host = await Host.start(place.path("machine"));
  t.after(() => host.end());
  const sources = { wtmp: join(host.log, "wtmp"), btmp: join(host.log, "btmp"), logs: [join(host.log, "auth.log")] };
  const memory = forgetfulStore();
  const f = await watch(t, sources, memory);
  const expect: [string, string[]][] = [
    ["login alice right -tt", ["login.opened alice@127.0.0.1 sshd password", "login.closed alice@127.0.0.1 sshd password logout"]],
    ["login alice wrong", ["login.failed alice@127.0.0.1 sshd password"]],
    ["login 'a from 6.6.6.6 port 1 ssh2' wrong", ["login.failed a from 6.6.6.6 port 1 ssh2@127.0.0.1 sshd password"]],
    ["login alice right", ["login.opened alice@127.0.0.1 sshd password", "login.closed alice@127.0.0.1 sshd password logout"]],
    ["echo wrong | runuser -u alice -- su root -c true", ["login.failed root su alice"]],
    ["echo wrong | runuser -u alice -- sudo -S true", ["login.failed root sudo user NOT in sudoers alice"]],
    ["sudo -u alice true", ["login.opened alice sudo", "login.closed alice sudo logout"]],
    ["su alice -c true", ["login.opened alice su root", "login.closed alice su logout root"]],
  ];
  const told: string[] = [];
  for (const [command, events] of expect) {
    told.push(...events);
    host.run(command);
    await f.until(() => f.events.length >= told.length, `${events.join(", ")} after ${command}`);
  }
  // All records are read, too: the last ones wait for the log.
  await f.until(() => positionIn(memory, "btmp") === readFileSync(sources.btmp).length, "the end of btmp");
  const sorted = f.events.toSorted((a, b) => a.time - b.time);
  assert.deepEqual(sorted.map(brief), told);
  for (const { type, data } of sorted) assert.equal(dataProblem(type, data), undefined);
  assert.ok(readFileSync(sources.wtmp).length >= 2 * recordBytes() && readFileSync(sources.btmp).length >= 3 * recordBytes());

  // The same with nothing but the records.
  const g = await watch(t, { wtmp: sources.wtmp, btmp: sources.btmp });
  host.run("login alice right -tt");
  host.run("login alice wrong");
  await g.until(() => g.events.length >= 3, "a session and a failure");
  assert.deepEqual(g.events.toSorted((a, b) => a.time - b.time).map(brief), [
    "login.opened alice@127.0.0.1",
    "login.closed alice@127.0.0.1 logout",
    "login.failed alice@127.0.0.1",
  ]);
});

/** Records as utmpdump has them, made binary by itself. */
function records(...lines: string[]): Buffer {
  return spawnSync("utmpdump", ["-r"], { input: `${lines.join("\n")}\n`, maxBuffer: 10_000_000 }).stdout;
}

const record = (type: number, { user = "", line = "", host = "", time }: { user?: string; line?: string; host?: string; time: string }) =>
  `[${type}] [04711] [ts/1] [${user.padEnd(8)}] [${line.padEnd(12)}] [${host.padEnd(20)}] [${(host || "0.0.0.0").padEnd(15)}] [${time},000000+00:00]`;
const noUtmpdump = spawnSync("utmpdump", ["--version"]).error === undefined ? false : "needs utmpdump";

test("what is open is known over a restart; a boot ends it all", { skip: noUtmpdump }, async (t) => {
  const memory = forgetfulStore();
  const f = await watch(t, {}, memory);
  const wtmp = f.path("none");
  await f.beacons.stop();
  writeFileSync(wtmp, "");
  const g = await watch(t, { wtmp }, memory);
  appendFileSync(wtmp, records(record(7, { user: "ann", line: "pts/0", host: "203.0.113.9", time: "2026-03-01T10:00:00" })));
  appendFileSync(wtmp, records(record(7, { user: "bob", line: "tty1", time: "2026-03-01T10:00:05" })));
  await g.until(() => g.events.length === 2, "two sessions");
  await g.beacons.stop();
  appendFileSync(wtmp, records(record(8, { line: "pts/0", time: "2026-03-01T11:00:00" })));
  appendFileSync(wtmp, records(record(2, { user: "reboot", line: "~", time: "2026-03-01T12:00:00" })));
  const h = await watch(t, { wtmp }, memory);
  await h.until(() => h.events.length === 2, "the ends of both");
  assert.deepEqual(
    [...g.events, ...h.events].map((event) => [brief(event), event.data["lasted_ms"], new Date(event.time).toISOString()]),
    [
      ["login.opened ann@203.0.113.9", undefined, "2026-03-01T10:00:00.000Z"],
      ["login.opened bob", undefined, "2026-03-01T10:00:05.000Z"],
      ["login.closed ann@203.0.113.9 logout", 3_600_000, "2026-03-01T11:00:00.000Z"],
      ["login.closed bob boot", 7_195_000, "2026-03-01T12:00:00.000Z"],
    ],
  );
});

test("only the users and the kinds that are asked for are told", { skip: noUtmpdump }, async (t) => {
  const f = new Fixture();
  t.after(() => f.end());
  const btmp = f.host("btmp");
  writeFileSync(btmp, "");
  const options = {
    wtmp: f.path("none"),
    btmp,
    logs: [],
    journald: "never",
    events: ["failed"],
    exclude_users: ["back*"],
    interval: "200ms",
  };
  await f.beacons.apply([definition({ type: "login", ...options })]);
  const failures = ["backup", "root", "backdoor", "root"].map((user, i) =>
    record(6, { user, line: "ssh:notty", host: "2001:db8::7", time: `2026-03-01T10:00:0${i}` }),
  );
  appendFileSync(btmp, records(...failures));
  await f.until(() => f.events.length === 2, "two failures");
  assert.deepEqual(f.events.map(brief), ["login.failed root@2001:db8::7", "login.failed root@2001:db8::7"]);
});

test("without logs the journal is read: what the kernel says the process is, not what it says itself", { skip: noJournal }, async (t) => {
  const journal: Journal = await journalIn(t);
  const f = await watch(t, { journald: "auto", journal_directory: journal.dir } as Sources);
  journal.add({ _COMM: "logger", SYSLOG_IDENTIFIER: "sshd", MESSAGE: "Accepted password for root from 192.0.2.1 port 1 ssh2" });
  journal.add({
    _COMM: "sshd",
    SYSLOG_IDENTIFIER: "sshd",
    _PID: "7",
    MESSAGE: "Accepted publickey for ann from 192.0.2.1 port 2 ssh2: ED25519 SHA256:abc",
  });
  journal.add({
    _COMM: "sshd",
    SYSLOG_IDENTIFIER: "sshd",
    _PID: "7",
    MESSAGE: "pam_unix(sshd:session): session opened for user ann(uid=1000) by (uid=0)",
  });
  journal.add({ _COMM: "sshd", SYSLOG_IDENTIFIER: "sshd", _PID: "7", MESSAGE: "pam_unix(sshd:session): session closed for user ann" });
  await f.until(() => f.events.length === 2, "a session");
  assert.deepEqual(f.events.map(brief), ["login.opened ann@192.0.2.1 sshd publickey", "login.closed ann@192.0.2.1 sshd publickey logout"]);
  assert.equal(f.events[0]!.data["source"], "journal");
});

const now = Date.parse("2026-03-01T12:00:00Z");
const said = (line: string) => {
  const parsed = parseSyslogLine(line, now);
  if (parsed === undefined) return [];
  return loginReports(parsed).map((report) => {
    const { time, ...rest } = report;
    assert.equal(time, parsed.time);
    return rest;
  });
};

test("lines of several systems are understood; none is fooled by what a stranger calls himself", () => {
  const at = "Mar  1 11:59:00 web1";
  const ssh = { service: "sshd", pid: 9, source: "program", method: "password", address: "192.0.2.1", port: 2 };
  assert.deepEqual(said(`${at} sshd[9]: Failed password for invalid user root from 1.1.1.1 port 3 ssh2 from 192.0.2.1 port 2 ssh2`), [
    { ...ssh, kind: "failed", unknownUser: true, user: "root from 1.1.1.1 port 3 ssh2" },
  ]);
  assert.equal(said(`${at} sshd-session[9]: message repeated 3 times: [ Failed password for root from 192.0.2.1 port 2 ssh2]`).length, 3);
  assert.deepEqual(said(`${at} su: FAILED SU (to root) ann on pts/0`), [
    { service: "su", pid: undefined, kind: "failed", source: "program", user: "root", by: "ann", terminal: "pts/0" },
  ]);
  assert.deepEqual(said(`${at} sudo:  ann : 3 incorrect password attempts ; TTY=pts/1 ; PWD=/ ; USER=www ; COMMAND=/bin/sh USER=root`), [
    {
      service: "sudo",
      pid: undefined,
      kind: "failed",
      source: "program",
      user: "www",
      by: "ann",
      terminal: "pts/1",
      method: "password",
      attempts: 3,
    },
  ]);
  assert.deepEqual(said(`${at} login[9]: FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure`), [
    { service: "login", pid: 9, kind: "failed", source: "program", user: "root", terminal: "tty1" },
  ]);
  assert.deepEqual(
    said(`${at} vsftpd[9]: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=192.0.2.1  user=ann`),
    [{ service: "vsftpd", pid: 9, kind: "failed", source: "pam", user: "ann", by: "x", terminal: "ftp", address: "192.0.2.1" }],
  );
  for (const nothing of [
    "x",
    `${at} app[1]: Accepted password for root from 192.0.2.1 port 2 ssh2`,
    `${at} sshd[9]: Connection closed by 192.0.2.1 port 2`,
  ])
    assert.deepEqual(said(nothing), []);
});

test("times: with a zone as it says, without a year the last one that fits", () => {
  const time = (line: string) => new Date(parseSyslogLine(line, now)!.time);
  assert.equal(time("2026-03-01T12:00:00.123456+01:00 web1 sshd[1]: x").toISOString(), "2026-03-01T11:00:00.123Z");
  assert.equal(time("Mar  1 11:59:00 web1 sshd[1]: x").getFullYear(), 2026);
  assert.equal(time("Dec 31 23:59:59 web1 sshd[1]: x").getFullYear(), 2025);
});

test("a record of either machine is read as it is laid out there", () => {
  const arm = Buffer.alloc(400);
  arm.writeInt16LE(7, 0);
  arm.writeInt32LE(4_711, 4);
  arm.write("pts/0", 8);
  arm.write("ann", 44);
  arm.write("2001:db8::7", 76);
  arm.writeBigInt64LE(1_772_359_200n, 344);
  arm.writeBigInt64LE(5_000n, 352);
  Buffer.from("20010db8000000000000000000000007", "hex").copy(arm, 360);
  const expected = {
    kind: "user",
    pid: 4_711,
    line: "pts/0",
    user: "ann",
    host: "2001:db8::7",
    address: "2001:db8::7",
    time: 1_772_359_200_005,
  };
  assert.deepEqual(parseRecord(arm, "arm64"), expected);
  const x64 = Buffer.alloc(384);
  arm.copy(x64, 0, 0, 336);
  x64.writeInt32LE(1_772_359_200, 340);
  x64.writeInt32LE(5_000, 344);
  arm.copy(x64, 348, 360, 376);
  assert.deepEqual(parseRecord(x64, "x64"), expected);
});
