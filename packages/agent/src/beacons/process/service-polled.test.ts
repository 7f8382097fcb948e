/** Real init scripts, a real runsv, a real OpenRC as Debian has it; and OpenRC as it leaves its files elsewhere, with real processes. */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { definition, Fixture } from "../fixture.ts";
import { noOpenRcHost, OpenRcHost } from "./openrc-host.ts";
import { start } from "./service.ts";

/** `there`: a root directory of somebody else's. */
function watching(t: TestContext, there?: string) {
  const root = there ?? mkdtempSync(join(tmpdir(), "needfire-init-"));
  const f = new Fixture({
    start: (each, context) => {
      assert.equal(each.type, "service");
      return start(each, context, root);
    },
  });
  t.after(async () => {
    await f.end();
    if (there === undefined) rmSync(root, { recursive: true, force: true });
  });
  return {
    f,
    root,
    put: (path: string, content: string, mode = 0o644) => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
      chmodSync(join(root, path), mode);
    },
    apply: (options: Record<string, unknown>) =>
      f.beacons.apply([definition({ type: "service", interval: "100ms", for: "0ms", ...options })]),
    next: async () => {
      const { type, subject, data, cause } = await f.next();
      return { is: `${type} ${subject}`, data: data as unknown as Record<string, unknown>, cause };
    },
  };
}

test("init scripts: `status` and its exit codes, a script that hangs, one that knows no status, one that is not there", async (t) => {
  const { f, root, put, apply, next } = watching(t);
  const script = (name: string) => put(`etc/init.d/${name}`, `#!/bin/sh\n[ "$1" = status ] && exit $(cat ${root}/${name})\n`, 0o755);
  for (const name of ["web", "mail", "spare"]) {
    script(name);
    put(name, "0");
  }
  put("etc/init.d/old", "#!/bin/sh\necho 'usage: old start|stop'; exit 64\n", 0o755);
  await apply({ units: ["web.service", "m*", "old", "gone"] });
  const degraded = await next();
  const first = await next();
  assert.deepEqual([first, degraded].map(({ is }) => is).toSorted(), ["beacon.degraded test", "service.down gone"]);
  put("web", "3");
  assert.deepEqual(await next(), {
    is: "service.down web",
    data: { unit: "web", state: "stopped", init: "sysv", restarts: 0, window_ms: 600_000 },
    cause: undefined,
  });
  put("mail", "1");
  const mail = await next();
  assert.deepEqual([mail.is, mail.data["state"]], ["service.down mail", "dead"]);
  put("web", "0");
  assert.equal((await next()).is, "service.up web");
  put("mail", "0");
  assert.equal((await next()).is, "service.up mail");
  f.remedies.begin("t-1.1", { topic: "service", subject: "web" });
  put("web", "3");
  put("mail", "3");
  assert.equal((await next()).is, "service.down mail");
  f.remedies.end("t-1.1");
  const web = await next();
  assert.deepEqual([web.is, web.cause], ["service.down web", "t-1.1"]);
});

test("a script that hangs is ended with all that it started when the beacon is stopped", async (t) => {
  const { f, root, put, apply } = watching(t);
  put("etc/init.d/slow", `#!/bin/sh\nsleep 1000 & echo $! >${root}/child; wait\n`, 0o755);
  void apply({ units: ["slow"] });
  await f.until(() => existsSync(join(root, "child")), "the script to run");
  const child = execFileSync("cat", [join(root, "child")], { encoding: "utf8" }).trim();
  await f.beacons.stop();
  await f.until(() => !existsSync(`/proc/${child}`) || isZombie(child), "its child to be gone");
});

function isZombie(pid: string): boolean {
  return execFileSync("cat", [`/proc/${pid}/stat`], { encoding: "utf8" }).includes(") Z ");
}

test("OpenRC: started, stopped, crashed, restarted again and again", async (t) => {
  const { root, put, apply, next } = watching(t);
  const daemon = spawn("sleep", ["1000"]);
  t.after(() => daemon.kill("SIGKILL"));
  put("run/openrc/softlevel", "default");
  put("etc/init.d/web", "#!/sbin/openrc-run\n", 0o755);
  put("etc/init.d/firewall", "#!/sbin/openrc-run\n", 0o755);
  mkdirSync(join(root, "run/openrc/started"), { recursive: true });
  for (const name of ["web", "firewall"]) symlinkSync(join(root, "etc/init.d", name), join(root, "run/openrc/started", name));
  put("run/openrc/daemons/web/001", "exec=/usr/sbin/web\nargv_0=\npidfile=/run/web.pid\n");
  put("run/web.pid", `${daemon.pid}\n`);
  await apply({ units: ["web", "fire*"], flapping_restarts: 2 });
  rmSync(join(root, "run/openrc/started/firewall"));
  const stopped = await next();
  assert.deepEqual([stopped.is, stopped.data["state"], stopped.data["init"]], ["service.down firewall", "stopped", "openrc"]);
  daemon.kill("SIGKILL");
  await once(daemon, "exit");
  const crashed = await next();
  assert.deepEqual([crashed.is, crashed.data["state"]], ["service.down web", "crashed"]);
  const others: ChildProcess[] = [];
  t.after(() => others.forEach((other) => other.kill("SIGKILL")));
  const again = () => {
    const other = spawn("sleep", ["1000"]);
    others.push(other);
    put("run/web.pid", `${other.pid}\n`);
  };
  again();
  assert.equal((await next()).is, "service.up web");
  again();
  assert.equal((await next()).is, "service.flapping web");
});

test("a real OpenRC: daemons that are killed, that are started anew, and that are given up", { skip: noOpenRcHost() }, async (t) => {
  const host = new OpenRcHost();
  t.after(() => host.end());
  host.boot();
  host.service("web", "command=/bin/sleep\ncommand_args=1000\ncommand_background=yes\npidfile=/run/web.pid\n");
  host.service("app", "supervisor=supervise-daemon\ncommand=/bin/sleep\ncommand_args=1001\npidfile=/run/app.pid\nrespawn_delay=1\n");
  host.service("firewall", "start() { :; }\nstop() { :; }\n");
  for (const name of ["web", "app", "firewall"]) host.run("rc-service", name, "start");
  const { f, apply, next } = watching(t, host.root);
  await apply({ units: ["web", "app", "fire*"], flapping_restarts: 2 });
  const pidOf = (file: string) => Number(readFileSync(join(host.root, file), "utf8"));
  process.kill(pidOf("run/web.pid"), "SIGKILL");
  const crashed = await next();
  assert.deepEqual([crashed.is, crashed.data["state"], crashed.data["init"]], ["service.down web", "crashed", "openrc"]);
  host.run("rc-service", "web", "zap");
  host.run("rc-service", "web", "start");
  assert.equal((await next()).is, "service.up web");
  host.run("rc-service", "firewall", "stop");
  const stopped = await next();
  assert.deepEqual([stopped.is, stopped.data["state"]], ["service.down firewall", "stopped"]);
  const child = "run/openrc/options/app/child_pid";
  for (let i = 0; i < 2; i++) {
    const before = pidOf(child);
    process.kill(before, "SIGKILL");
    await f.until(() => existsSync(join(host.root, child)) && pidOf(child) !== before, "its next process");
  }
  assert.equal((await next()).is, "service.flapping app");
});

const noRunsv = existsSync("/usr/bin/runsv") || existsSync("/sbin/runsv") ? false : "needs runsv (runit)";

test("runit: a real runsv's service goes down, comes up, and is restarted again and again", { skip: noRunsv }, async (t) => {
  const { f, root, put, apply, next } = watching(t);
  put("run/runit/supervise", "");
  put("etc/service/web/run", "#!/bin/sh\nexec sleep 1000\n", 0o755);
  const folder = join(root, "etc/service/web");
  const supervisor = spawn("runsv", [folder], { stdio: "ignore" });
  const ended = once(supervisor, "exit");
  const sv = (what: string) => execFileSync("sv", ["-w", "30", what, folder], { stdio: "ignore" });
  t.after(async () => {
    supervisor.kill("SIGTERM"); // ends its service, too
    await ended;
  });
  await f.until(() => existsSync(join(folder, "supervise/status")), "runsv");
  sv("up");
  await apply({ units: ["web"], flapping_restarts: 3 });
  const began = Date.now();
  sv("down");
  const down = await next();
  assert.deepEqual([down.is, down.data["state"], down.data["init"]], ["service.down web", "down", "runit"]);
  assert.ok(Math.abs(f.events[0]!.time - began) < 30_000, "the time is when it went down");
  sv("up");
  assert.equal((await next()).is, "service.up web");
  const flapping = () => f.events.some(({ type }) => type === "service.flapping");
  for (let i = 0; i < 50 && !flapping(); i++) {
    sv("restart");
    const seen = performance.now() + 250;
    await f.until(() => performance.now() > seen || flapping(), "a look");
  }
  assert.ok(flapping());
});
