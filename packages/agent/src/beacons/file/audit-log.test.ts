import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { AuditLog } from "./audit-log.ts";
import { start as startFile } from "./file.ts";
import { definition, Fixture } from "../fixture.ts";

let serial = 0;
/** What auditd writes of one write to a path. */
function records(path: string, { session = 7, time = Date.now(), uid = 0, executable = "/usr/bin/vi" } = {}): string {
  const id = `${Math.floor(time / 1_000)}.${String(time % 1_000).padStart(3, "0")}:${++serial}`;
  const name = Buffer.from(path).toString("hex").toUpperCase();
  return [
    `type=SYSCALL msg=audit(${id}): arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c a1=0 a2=241 a3=1b6 items=1 ppid=1 pid=42 auid=${session === 0 ? 4_294_967_295 : 1} uid=${uid} ses=${session === 0 ? 4_294_967_295 : session} comm="vi" exe="${executable}" key=(null)`,
    `type=CWD msg=audit(${id}): cwd="/"`,
    `type=PATH msg=audit(${id}): item=0 name=${name} inode=1 dev=00:01 mode=0100644 nametype=NORMAL`,
    "",
  ].join("\n");
}

function audited(t: TestContext, options: Record<string, unknown> = {}) {
  const dir = fs.mkdtempSync("/tmp/needfire-audit-");
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const file = join(dir, "audit.log");
  fs.writeFileSync(file, "");
  const f = new Fixture({
    audit: new AuditLog(file),
    start: (wanted, context) => startFile(wanted as Extract<typeof wanted, { type: "file" }>, context, options),
  });
  t.after(() => f.end());
  return { f, file };
}

const any = (path: string) => ({ path, file: undefined, fits: () => true });

test("the log is read where it was left, over rotation, truncation and lines that are not whole yet", async (t) => {
  const { f, file } = audited(t);
  const log = new AuditLog(file);
  t.after(() => log.close());
  assert.equal(await log.who(any("/a"), false), undefined);
  const text = records("/a");
  fs.appendFileSync(file, text.slice(0, 200));
  assert.equal(await log.who(any("/a"), false), undefined);
  fs.appendFileSync(file, text.slice(200));
  assert.equal((await log.who(any("/a"), false))?.pid, 42);
  fs.appendFileSync(file, records("/before"));
  fs.renameSync(file, `${file}.1`);
  fs.writeFileSync(file, records("/after"));
  assert.ok(await log.who(any("/after"), false));
  assert.ok(await log.who(any("/before"), false));
  fs.writeFileSync(file, "");
  await log.who(any("/none"), false);
  fs.appendFileSync(file, records("/again"));
  assert.ok(await log.who(any("/again"), false));
  // Removed, and there again.
  fs.rmSync(file);
  assert.equal(await log.who(any("/later"), false), undefined);
  fs.writeFileSync(file, records("/later"));
  // It is not looked for all the time.
  while ((await log.who(any("/later"), false)) === undefined) await new Promise((resolve) => void setTimeout(resolve, 50));
  assert.equal(await log.who(any("/old"), false), undefined);
  fs.appendFileSync(file, records("/old", { time: Date.now() - 60_000 }));
  assert.equal(await log.who(any("/old"), false), undefined, "too long ago to be of this change");
  await f.beacons.stop();
});

test("of a log that has grown by more than is read at once, the end is read", async (t) => {
  const { file } = audited(t);
  const log = new AuditLog(file);
  t.after(() => log.close());
  assert.ok(log.readable);
  await log.who(any("/first"), false);
  fs.appendFileSync(file, records("/first") + `${"x".repeat(1_000)}\n`.repeat(3_000) + records("/last"));
  assert.ok(await log.who(any("/last"), false));
  assert.equal(await log.who(any("/first"), false), undefined);
});

test("an event says who did it, each record with one event, and one that comes late is waited for", async (t) => {
  const { f, file } = audited(t);
  await f.beacons.apply([definition({ type: "file", settle: "1ms", paths: [f.host("")] })]);
  fs.appendFileSync(file, records(f.host("a")));
  fs.writeFileSync(f.host("a"), "one\n");
  assert.deepEqual((await f.next()).data.by, { user: "root", login_user: "daemon", executable: "/usr/bin/vi", pid: 42 });
  fs.writeFileSync(f.host("a"), "two\n");
  assert.equal((await f.next()).data.by, undefined, "it is not known, and is told all the same");
  fs.writeFileSync(f.host("a"), "three\n");
  fs.appendFileSync(file, records(f.host("a"), { session: 0, uid: 1, executable: "/usr/sbin/cron" }));
  assert.deepEqual((await f.next()).data.by, { user: "daemon", executable: "/usr/sbin/cron", pid: 42 });
});

test("what another login changes while a command runs is told at once and is not its effect; the rest waits (P7)", async (t) => {
  const { f, file } = audited(t);
  await f.manage({ [f.host("m")]: "good\n", [f.host("n")]: "good\n" });
  await f.beacons.apply([definition({ type: "file", settle: "5ms", managed: true, paths: [f.host("")] })]);
  f.remedies.begin("t-0000000000000000.7", "host");
  for (const name of ["own", "foreign", "daemon"]) fs.writeFileSync(f.host(name), "x");
  fs.appendFileSync(file, records(f.host("own"), { session: 0 }) + records(f.host("daemon"), { session: 0 }) + records(f.host("foreign")));
  const foreign = await f.next();
  assert.deepEqual([foreign.subject, foreign.cause, foreign.data.by?.pid], [f.host("foreign"), undefined, 42]);
  for (const name of ["m", "n"]) fs.writeFileSync(f.host(name), "bad\n");
  fs.appendFileSync(file, records(f.host("m")) + records(f.host("n"), { session: 0 }));
  const drifts = [await f.next(), await f.next()].map(({ subject, cause }) => `${subject!.at(-1)} by ${cause}`);
  assert.deepEqual(drifts.sort(), ["m by undefined", "n by t-0000000000000000.7"]);
  f.remedies.end("t-0000000000000000.7");
  const rest = [await f.next(), await f.next()].map(({ subject, cause }) => `${subject!.split("/").at(-1)} by ${cause}`);
  assert.deepEqual(rest.sort(), ["daemon by t-0000000000000000.7", "own by t-0000000000000000.7"]);
});

test("a log that cannot be had is no hindrance, and is said where it was asked for", async (t) => {
  const f = new Fixture({ audit: new AuditLog("/nonexistent/audit.log") });
  t.after(() => f.end());
  await f.beacons.apply([definition({ type: "file", settle: "1ms", paths: [f.host("")] })]);
  fs.writeFileSync(f.host("a"), "x");
  assert.equal((await f.next()).data.by, undefined);
});
