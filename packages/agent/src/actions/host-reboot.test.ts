/** Against a real systemd, whose reboot.target is another one for the test: what it would stop and start is seen, and the host stays. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { bootId } from "../beacons/process/process-table.ts";
import { Fixture } from "../beacons/fixture.ts";
import { noSystemdHost, SystemdHost } from "../beacons/process/systemd-host.ts";
import { contextOf } from "./fixture.ts";
import { reboot } from "./host-reboot.ts";

test("the host is restarted after the result is known, and not by a dry run", { skip: noSystemdHost(), timeout: 110_000 }, async (t) => {
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
  assert.deepEqual(await reboot(contextOf(f, { dryRun: true }), host), {
    outcome: "succeeded",
    changed: true,
    message: "would restart the host",
  });
  const { outcome, result, afterwards } = await reboot(contextOf(f), host);
  assert.deepEqual([outcome, result], ["succeeded", { boot: bootId() }]);
  assert.equal(existsSync(mark), false);
  await afterwards?.();
  await f.until(() => existsSync(mark), "reboot.target");
});

test("without systemd, `shutdown -r now` is what is run", async (t) => {
  const f = new Fixture();
  t.after(() => f.end());
  const said = f.path("said");
  const root = f.path("root");
  mkdirSync(join(root, "etc/init.d"), { recursive: true });
  const shim = f.path("shim");
  writeFileSync(shim, `#!/bin/sh\necho "$@" >${said}\n`, { mode: 0o755 });
  const { afterwards } = await reboot(contextOf(f), { root, enter: [shim] });
  await afterwards?.();
  await f.until(() => existsSync(said), "the program");
});
