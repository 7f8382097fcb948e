/** Who did it, by the real kernel and the real auditd: started here with a configuration of its own, unless one runs already. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { AuditLog, auditLogPath } from "./audit-log.ts";
import { definition, Fixture } from "../fixture.ts";

const status = () => spawnSync("auditctl", ["-s"], { encoding: "utf8" }).stdout ?? "";
const setting = (name: string) => Number(new RegExp(`^${name} (\\d+)`, "m").exec(status())?.[1] ?? Number.NaN);

function whyNot(): string | false {
  if (process.getuid?.() !== 0) return "only root may audit";
  if (spawnSync("auditctl", ["-v"]).error !== undefined || spawnSync("auditd", ["-h"]).error !== undefined)
    return "auditd is not installed (package auditd)";
  if (Number.isNaN(setting("pid"))) return "this kernel does not let this process audit";
  if (setting("pid") === 0) return false;
  return new AuditLog().readable ? false : "auditd runs, and its log may not be read";
}

/** The log of an auditd that runs, ours or the host's. */
async function auditing(t: TestContext): Promise<string> {
  if (setting("pid") !== 0) return auditLogPath;
  const dir = fs.mkdtempSync("/tmp/needfire-auditd-");
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const file = join(dir, "audit.log");
  fs.mkdirSync(join(dir, "plugins.d"));
  fs.writeFileSync(
    join(dir, "auditd.conf"),
    `local_events = yes\nwrite_logs = yes\nlog_file = ${file}\nlog_group = root\nlog_format = ENRICHED\nflush = INCREMENTAL_ASYNC\nfreq = 50\nmax_log_file = 8\nnum_logs = 2\nmax_log_file_action = ROTATE\nspace_left = 2\nspace_left_action = IGNORE\nadmin_space_left = 1\nadmin_space_left_action = IGNORE\ndisk_full_action = IGNORE\ndisk_error_action = IGNORE\nplugin_dir = ${dir}/plugins.d\n`,
    { mode: 0o640 },
  );
  const enabled = setting("enabled");
  const daemon = spawn("auditd", ["-n", "-s", "enable", "-c", dir], { stdio: "ignore" });
  const ended = new Promise((resolve) => daemon.once("exit", resolve));
  t.after(async () => {
    daemon.kill();
    await ended;
    spawnSync("auditctl", ["-e", String(enabled)]);
  });
  const f = new Fixture();
  t.after(() => f.end());
  await f.until(() => setting("pid") !== 0 && setting("enabled") === 1 && fs.existsSync(file), "auditd");
  return file;
}

/** A shell of a login of its own: the kernel numbers it when its login's user is set. */
function asLogin(script: string, ...values: string[]): void {
  const run = spawnSync("sh", ["-c", `echo 1 > /proc/self/loginuid && ${script}`, "sh", ...values], { encoding: "utf8" });
  assert.equal(run.status, 0, run.stderr);
}

test("who did it, by real records: a login's change during a command is told at once and without cause", { skip: whyNot() }, async (t) => {
  const f = new Fixture({ audit: new AuditLog(await auditing(t)) });
  t.after(() => f.end());
  fs.mkdirSync(f.host("tree/deep"), { recursive: true });
  fs.writeFileSync(f.host("tree/old"), "old\n");
  fs.writeFileSync(f.host("tree/moved"), "moved\n");
  await f.beacons.apply([definition({ type: "file", settle: "20ms", audit: true, paths: [f.host("tree")] })]);
  assert.deepEqual(f.events, [], "nothing is wanting");
  const rules = () => spawnSync("auditctl", ["-l"], { encoding: "utf8" }).stdout;
  assert.ok(rules().includes(`-w ${f.host("tree")} -p wa -k needfire-test`), rules());

  asLogin(`echo new > "$1"`, f.host("tree/deep/a b ü"));
  const { by } = (await f.next()).data;
  assert.deepEqual([by?.user, by?.login_user], ["root", "daemon"]);
  assert.match(by?.executable ?? "", /^\/.*sh$/);
  assert.ok(by!.pid > 0 && by!.pid !== process.pid);

  for (const [script, type, executable] of [
    [`chmod 600 "$1/old"`, "file.changed", /chmod$/],
    [`cd "$1" && echo more >> old`, "file.changed", /sh$/],
    [`cp -p "$1/old" "$1/.old.tmp" && echo x >> "$1/.old.tmp" && mv "$1/.old.tmp" "$1/old"`, "file.changed", /mv$/],
    [`rm -rf "$1/old"`, "file.removed", /rm$/],
    [`mv "$1/moved" "$2/elsewhere"`, "file.removed", /mv$/],
  ] as const) {
    asLogin(script, f.host("tree"), f.dir);
    let event = await f.next();
    // The temporary file may be told of, too.
    while (event.subject?.endsWith(".tmp") === true) event = await f.next();
    assert.equal(event.type, type, script);
    assert.match(event.data.by?.executable ?? "", executable, script);
    assert.equal(event.data.by?.login_user, "daemon", script);
  }

  const seen = f.events.length;
  f.remedies.begin("t-0000000000000000.7", "host");
  fs.writeFileSync(f.host("tree/own"), "by the command\n");
  asLogin(`echo by hand > "$1"`, f.host("tree/foreign"));
  await f.until(() => f.events.length > seen, "the change by hand");
  const causes = (name: string) => f.events.filter(({ subject }) => subject === f.host(name)).map(({ cause }) => cause);
  assert.deepEqual(causes("tree/foreign"), [undefined]);
  f.remedies.end("t-0000000000000000.7");
  await f.until(() => causes("tree/own").length > 0, "the command's effect");
  assert.deepEqual(causes("tree/own"), ["t-0000000000000000.7"]);

  await f.beacons.stop();
  assert.ok(!rules().includes("needfire-test"), rules());
});

test("what cannot be audited is said, and watched all the same", { skip: whyNot() }, async (t) => {
  const f = new Fixture({ audit: new AuditLog("/nonexistent/audit.log") });
  t.after(() => f.end());
  await f.beacons.apply([definition({ type: "file", settle: "1ms", audit: true, paths: [f.host(""), f.host("no/such/parent")] })]);
  const { type, data } = await f.next();
  assert.equal(type, "beacon.degraded");
  assert.match((data as unknown as { message: string }).message, /no\/such\/parent is not audited.*no audit log/);
  fs.writeFileSync(f.host("a"), "x");
  assert.equal((await f.next()).type, "file.created");
});
