/** Against a real systemd, whose reboot.target is another one for the test: what it would stop and start is seen, and the host stays. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Fixture } from "../beacons/fixture.ts";
import { noSystemdHost, SystemdHost } from "../beacons/process/systemd-host.ts";
import { contextOf } from "./fixture.ts";
import { reboot } from "./host-reboot.ts";
import { hostBootId } from "../restarts.ts";

const args = { timeout: "10m" };

test(
  "the host is asked to restart when that is on the disk, and not by a dry run",
  { skip: noSystemdHost(), timeout: 110_000 },
  async (t) => {
    const machine = new SystemdHost();
    t.after(() => machine.end());
    await machine.boot();
    const f = new Fixture();
    t.after(() => f.end());
    machine.unit("seen.service", "[Service]\nType=oneshot\nExecStart=/bin/touch /run/rebooted\n");
    machine.run("rm", "-f", "/etc/systemd/system/reboot.target");
    machine.unit("reboot.target", "[Unit]\nRequires=seen.service\n");
    const host = { root: machine.root, enter: [] };
    const mark = join(machine.root, "run/rebooted");
    const stop = new AbortController();
    t.after(() => stop.abort("the test is over"));
    const context = contextOf(f, { signal: stop.signal });
    const dry = await reboot(args, contextOf(f, { dryRun: true }), host);
    assert.deepEqual(dry, { outcome: "succeeded", changed: true, message: "would restart the host" });
    assert.equal(existsSync(f.path("restart.json")), false);
    const going = reboot(args, context, host);
    await f.until(() => existsSync(mark), "reboot.target");
    const { note } = context.self.restarts;
    assert.deepEqual([note?.execution, note?.boot], [context.execution, hostBootId()]);
    stop.abort("the agent is stopping");
    assert.equal((await going).goesOn, true);
  },
);

test("without systemd, `shutdown -r now` is what is run", async (t) => {
  const f = new Fixture();
  t.after(() => f.end());
  const said = f.path("said");
  const root = f.path("root");
  mkdirSync(join(root, "etc/init.d"), { recursive: true });
  const shim = f.path("shim");
  writeFileSync(shim, `#!/bin/sh\necho "$@" >${said}\n`, { mode: 0o755 });
  const stop = new AbortController();
  t.after(() => stop.abort("the test is over"));
  const going = reboot(args, contextOf(f, { signal: stop.signal }), { root, enter: [shim] });
  await f.until(() => existsSync(said), "the program");
  stop.abort("the agent is stopping");
  await going;
});

test("an init that does not take it is a failure, and nothing is waited for", async (t) => {
  const f = new Fixture();
  t.after(() => f.end());
  const root = f.path("root");
  mkdirSync(join(root, "etc/init.d"), { recursive: true });
  const context = contextOf(f);
  const { outcome, message, afterwards } = await reboot(args, context, { root, enter: ["/bin/false"] });
  assert.equal(outcome, "failed");
  assert.match(message ?? "", /^the init does not restart the host: /);
  await afterwards?.();
  assert.equal(context.self.restarts.note, undefined);
});
