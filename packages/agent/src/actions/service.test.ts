/** Against a real systemd in a host of its own (systemd-host.ts), a real runit, and a real init script. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Fixture } from "../beacons/fixture.ts";
import { noOpenRcHost, OpenRcHost } from "../beacons/process/openrc-host.ts";
import { lookAtService } from "../beacons/process/service-polled.ts";
import type { UnitState } from "../beacons/process/service-watch.ts";
import { noSystemdHost, SystemdHost } from "../beacons/process/systemd-host.ts";
import { contextOf, runner } from "./fixture.ts";
import { serviceAction } from "./service.ts";
import type { Verb } from "./service-wish.ts";

const skip = noSystemdHost();

function acting(t: TestContext, root: string, enter: readonly string[] = []) {
  const f = new Fixture();
  t.after(() => f.end());
  const host = { root, enter };
  const runners = (verb: Verb) => runner(`service.${verb}`, serviceAction(verb, host), contextOf(f));
  return {
    f,
    act: (verb: Verb, args: Record<string, unknown>) => runners(verb).run(args),
    dry: (verb: Verb, args: Record<string, unknown>) => runners(verb).dry(args),
  };
}

/** With what it says when it failed, so that a test that fails tells why. */
const brief = ({ outcome, changed, message, result }: Awaited<ReturnType<ReturnType<typeof acting>["act"]>>) => [
  outcome,
  changed,
  result?.before.state,
  result?.after.state,
  ...(message === undefined ? [] : [message]),
];

test("services of a real systemd", { skip, timeout: 110_000 }, async (t) => {
  const machine = new SystemdHost();
  t.after(() => machine.end());
  await machine.boot();
  const { act, dry } = acting(t, machine.root);
  const systemctl = (...argv: string[]) => machine.run("systemctl", ...argv).trim();
  const sleeper = (more = "") => `[Service]\nExecStart=/bin/sleep infinity\n${more}[Install]\nWantedBy=multi-user.target\n`;
  machine.unit("one.service", sleeper("ExecReload=/bin/touch /run/reloaded\n"));
  machine.unit("plain.service", "[Service]\nExecStart=/bin/sleep infinity\n");
  machine.unit("broken.service", "[Service]\nType=notify\nExecStart=/bin/sh -c 'exit 7'\n");
  machine.unit("slow.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep infinity\n");
  machine.unit("needy.service", "[Unit]\nRequires=broken.service\nAfter=broken.service\n[Service]\nExecStart=/bin/sleep infinity\n");

  await t.test("a start is waited for, and a second one changes nothing; a stop likewise", async () => {
    assert.deepEqual(brief(await act("start", { name: "one" })), ["succeeded", true, "inactive", "active"]);
    assert.equal(systemctl("is-active", "one"), "active");
    assert.deepEqual(brief(await act("start", { name: "one.service" })), ["succeeded", false, "active", "active"]);
    assert.deepEqual(brief(await act("stop", { name: "one" })), ["succeeded", true, "active", "inactive"]);
    assert.deepEqual(brief(await act("stop", { name: "one" })), ["succeeded", false, "inactive", "inactive"]);
  });

  await t.test("a restart is another life of the service, and starts one that does not run", async () => {
    assert.deepEqual(brief(await act("restart", { name: "one" })), ["succeeded", true, "inactive", "active"]);
    const life = systemctl("show", "-P", "InvocationID", "one");
    assert.deepEqual(brief(await act("restart", { name: "one" })), ["succeeded", true, "active", "active"]);
    assert.notEqual(systemctl("show", "-P", "InvocationID", "one"), life);
  });

  await t.test("a reload reaches the service; one that has none, or does not run, is a failure that says so", async () => {
    assert.equal((await act("reload", { name: "one" })).outcome, "succeeded");
    assert.ok(existsSync(join(machine.root, "run/reloaded")));
    await act("start", { name: "plain" });
    assert.match((await act("reload", { name: "plain" })).message ?? "", /cannot reload its configuration/);
    await act("stop", { name: "plain" });
    assert.match((await act("reload", { name: "plain" })).message ?? "", /does not run/);
  });

  await t.test("a service that cannot start is a failure with its reason; so is one whose need cannot", async () => {
    const ending = await act("start", { name: "broken" });
    assert.equal(ending.outcome, "failed");
    assert.match(ending.message ?? "", /systemd could not \((protocol|exit-code), exit code 7\)/);
    assert.equal(ending.result?.after.exit_code, 7);
    systemctl("reset-failed", "broken");
    assert.match((await act("start", { name: "needy" })).message ?? "", /something that it needs could not be started/);
    assert.match((await act("start", { name: "not-there" })).message ?? "", /there is no unit not-there\.service/);
  });

  await t.test("a job that takes too long is told as such, and left to go on", async () => {
    const ending = await act("start", { name: "slow", timeout: "100ms" });
    assert.deepEqual([ending.outcome, ending.changed], ["failed", true]);
    assert.match(ending.message ?? "", /it is not done yet, and goes on/);
    assert.equal(systemctl("is-active", "slow"), "activating");
  });

  await t.test("enabled, disabled, masked, unmasked: systemd knows it at once, and a second time changes nothing", async () => {
    for (const [verb, is] of [
      ["enable", "enabled"],
      ["disable", "disabled"],
    ] as const) {
      assert.equal((await act(verb, { name: "one" })).changed, true);
      assert.equal(systemctl("is-enabled", "one"), is);
      assert.equal((await act(verb, { name: "one" })).changed, false);
    }
    // A unit file in /etc stands in a mask's way; systemd says so.
    assert.match((await act("mask", { name: "one" })).message ?? "", /already exists/);
    assert.deepEqual((await act("mask", { name: "systemd-timesyncd" })).changed, true);
    assert.equal((await act("mask", { name: "systemd-timesyncd" })).changed, false);
    assert.match((await act("start", { name: "systemd-timesyncd" })).message ?? "", /is masked/);
    assert.equal((await act("unmask", { name: "systemd-timesyncd" })).changed, true);
    assert.equal((await act("unmask", { name: "systemd-timesyncd" })).changed, false);
    assert.match((await act("enable", { name: "plain" })).message ?? "", /is static/);
  });

  await t.test("a dry run says what it would do, and does nothing", async () => {
    await act("start", { name: "one" });
    assert.deepEqual(await dry("stop", { name: "one" }), {
      outcome: "succeeded",
      changed: true,
      message: "would stop one.service, which is active",
    });
    assert.equal((await dry("start", { name: "one" })).changed, false);
    await dry("enable", { name: "one" });
    assert.deepEqual([systemctl("is-active", "one"), systemctl("is-enabled", "one")], ["active", "disabled"]);
  });

  await t.test("a beacon is told the unit's own name, also for an alias", async () => {
    machine.run("ln", "-s", "/etc/systemd/system/one.service", "/etc/systemd/system/uno.service");
    systemctl("daemon-reload");
    const { scope } = serviceAction("restart", { root: machine.root, enter: [] });
    assert.deepEqual(scope({ name: "uno", timeout: "2m" }), { topic: "service", subject: "one.service" });
    assert.deepEqual(scope({ name: "one", timeout: "2m" }), { topic: "service", subject: "one.service" });
    assert.equal((await act("stop", { name: "uno" })).result?.unit, "one.service");
  });
});

test("what is no service's name is turned away before anything is asked", (t) => {
  const { act } = acting(t, "/nowhere");
  for (const name of ["", "-H", "--root=/", "a b", "a;id", "$(id)", "`id`", "a\nb", "../x", "/etc/init.d/x", "..", "*", "a'", 'a"'])
    assert.throws(() => act("start", { name }), /name/, JSON.stringify(name));
});

test(
  "services of runit: started, stopped, restarted, and waited for",
  { skip: existsSync("/usr/bin/runsv") ? false : "needs runit", timeout: 60_000 },
  async (t) => {
    const f = new Fixture();
    t.after(() => f.end());
    const root = f.path("root");
    const folder = join(root, "etc/service/app");
    mkdirSync(folder, { recursive: true });
    mkdirSync(join(root, "run/runit"), { recursive: true });
    // Before its trap is set, the signal of a reload would end it: that it is set is told with its process.
    writeFileSync(join(folder, "run"), "#!/bin/sh\ntrap 'touch reloaded' HUP\necho $$ > ready\nwhile :; do sleep 0.05; done\n", {
      mode: 0o755,
    });
    const pid = () => readFileSync(join(folder, "supervise/pid"), "utf8");
    const isReady = () => existsSync(join(folder, "ready")) && readFileSync(join(folder, "ready"), "utf8") === pid();
    const runsv = spawn("runsv", [folder], { stdio: "ignore" });
    t.after(async () => {
      runsv.kill("SIGTERM");
      await once(runsv, "exit");
    });
    const there = acting(t, root);
    await f.until(() => existsSync(join(folder, "supervise/status")), "runsv");
    assert.equal((await there.act("start", { name: "app" })).outcome, "succeeded");
    assert.deepEqual(brief(await there.act("start", { name: "app.service" })), ["succeeded", false, "run", "run"]);
    // Within the second in which it was started, or was restarted.
    for (let times = 0; times < 3; times++) {
      const before = pid();
      assert.deepEqual(brief(await there.act("restart", { name: "app" })), ["succeeded", true, "run", "run"]);
      assert.notEqual(pid(), before);
    }
    await f.until(isReady, "its trap");
    assert.deepEqual(brief(await there.act("reload", { name: "app" })), ["succeeded", true, "run", "run"]);
    await f.until(() => existsSync(join(folder, "reloaded")), "the reload");
    assert.equal((await there.dry("stop", { name: "app" })).message, "would stop app, which is run");
    assert.deepEqual(brief(await there.act("stop", { name: "app" })), ["succeeded", true, "run", "down"]);
    assert.deepEqual(brief(await there.act("stop", { name: "app" })), ["succeeded", false, "down", "down"]);
    assert.match((await there.act("start", { name: "not-there" })).message ?? "", /there is no service/);
    const masked = await there.act("mask", { name: "app" });
    assert.deepEqual([masked.outcome, masked.message], ["refused", "service.mask needs systemd; here services are run by runit"]);
  },
);

test(
  "services of a real OpenRC: started, stopped, restarted, reloaded, and started although they have crashed",
  { skip: noOpenRcHost() },
  async (t) => {
    const machine = new OpenRcHost();
    t.after(() => machine.end());
    machine.boot();
    const daemon = "command=/bin/sleep\ncommand_args=1000\ncommand_background=yes\npidfile=/run/$RC_SVCNAME.pid\n";
    machine.service("app", `${daemon}extra_started_commands=reload\nreload() { touch /run/reloaded; }\n`);
    machine.service("plain", daemon);
    machine.service("broken", "start() { eerror no such luck; return 1; }\n");
    const { f, act, dry } = acting(t, machine.root, machine.enter);
    const at = { root: machine.root, signal: new AbortController().signal };
    assert.deepEqual(brief(await act("start", { name: "app" })), ["succeeded", true, "stopped", "started"]);
    assert.deepEqual(brief(await act("start", { name: "app.service" })), ["succeeded", false, "started", "started"]);
    const pid = () => readFileSync(join(machine.root, "run/app.pid"), "utf8");
    const before = pid();
    assert.deepEqual(brief(await act("restart", { name: "app" })), ["succeeded", true, "started", "started"]);
    assert.notEqual(pid(), before);
    assert.equal((await act("reload", { name: "app" })).outcome, "succeeded");
    assert.ok(existsSync(join(machine.root, "run/reloaded")));
    assert.equal((await dry("stop", { name: "app" })).message, "would stop app, which is started");
    assert.deepEqual(brief(await act("stop", { name: "app" })), ["succeeded", true, "started", "stopped"]);
    assert.deepEqual(brief(await act("stop", { name: "app" })), ["succeeded", false, "stopped", "stopped"]);
    assert.match((await act("reload", { name: "app" })).message ?? "", /does not run/);
    assert.match((await act("start", { name: "broken" })).message ?? "", /no such luck/);
    assert.match((await act("start", { name: "not-there" })).message ?? "", /there is no service/);
    await act("start", { name: "plain" });
    assert.match((await act("reload", { name: "plain" })).message ?? "", /reload/);
    for (const verb of ["start", "restart", "stop"] as const) {
      process.kill(Number(readFileSync(join(machine.root, "run/plain.pid"), "utf8")), "SIGKILL");
      await f.until(() => (lookAtService("plain", { init: "openrc", ...at }) as UnitState).verdict === "failed", "the end of its process");
      const after = verb === "stop" ? "stopped" : "started";
      assert.deepEqual(brief(await act(verb, { name: "plain" })), ["succeeded", true, "crashed", after]);
    }
  },
);

test("init scripts: what they do is seen in their status, and their error is told", async (t) => {
  const { f } = acting(t, "");
  const root = f.path("root");
  mkdirSync(join(root, "etc/init.d"), { recursive: true });
  const state = f.path("runs");
  const script = join(root, "etc/init.d/app");
  const body = `case $1 in start|restart) touch ${state};; stop) rm ${state};; status) test -e ${state} || exit 3;; reload) exit 0;; esac`;
  writeFileSync(script, `#!/bin/sh\n${body}\n`);
  chmodSync(script, 0o755);
  const { act } = acting(t, root);
  assert.deepEqual(brief(await act("start", { name: "app" })), ["succeeded", true, "stopped", "running"]);
  assert.deepEqual(brief(await act("start", { name: "app" })), ["succeeded", false, "running", "running"]);
  assert.deepEqual(brief(await act("restart", { name: "app" })), ["succeeded", true, "running", "running"]);
  assert.deepEqual(brief(await act("reload", { name: "app" })), ["succeeded", true, "running", "running"]);
  assert.deepEqual(brief(await act("stop", { name: "app" })), ["succeeded", true, "running", "stopped"]);
  writeFileSync(script, `#!/bin/sh\ncase $1 in status) exit 3;; *) echo no such luck >&2; exit 1;; esac\n`);
  const ending = await act("start", { name: "app" });
  assert.equal(ending.outcome, "failed");
  assert.match(ending.message ?? "", /exited with 1: no such luck/);
  rmSync(script);
});
