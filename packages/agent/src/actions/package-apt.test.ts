/** Real apt and dpkg of a whole Debian (systemd-host.ts), with real packages from repositories on its disk. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Fixture } from "../beacons/fixture.ts";
import { noSystemdHost, SystemdHost } from "../beacons/process/systemd-host.ts";
import type { ActionContext } from "./action.ts";
import { contextOf, runner } from "./fixture.ts";
import { changePackages, install, remove, upgrade } from "./package.ts";
import { debRepository } from "./package-fixture.ts";

const ordinary = { label: "Debian", suite: "stable" };
const secure = { label: "Debian-Security", suite: "stable-security" };

test("packages of a real Debian", { skip: noSystemdHost(), timeout: 110_000 }, async (t) => {
  const machine = new SystemdHost();
  t.after(() => machine.end());
  await machine.boot();
  const f = new Fixture();
  t.after(() => f.end());
  const { root } = machine;
  const host = { root, enter: ["chroot", root] };
  const act = {
    install: runner(
      "package.install",
      { ...install, run: (args: never, c: ActionContext) => changePackages({ verb: "install", ...(args as object) } as never, c, host) },
      contextOf(f),
    ),
    upgrade: runner(
      "package.upgrade",
      { ...upgrade, run: (args: never, c: ActionContext) => changePackages({ verb: "upgrade", ...(args as object) } as never, c, host) },
      contextOf(f),
    ),
    remove: runner(
      "package.remove",
      { ...remove, run: (args: never, c: ActionContext) => changePackages({ verb: "remove", ...(args as object) } as never, c, host) },
      contextOf(f),
    ),
  };
  const made = (name: string, version: string, more?: string) => ({ name, version, ...(more === undefined ? {} : { more }) });
  rmSync(join(root, "etc/apt/sources.list"), { force: true });
  const lines = ["main", "fixes"].map((name) => `deb [trusted=yes] file:/srv/${name} ./\n`);
  writeFileSync(join(root, "etc/apt/sources.list.d/test.list"), lines.join(""));
  const first = [
    made("nf-base", "1.0"),
    made("nf-app", "1.0", "Depends: nf-base"),
    made("nf+", "1.0"),
    made("nf-old", "1.0", "Conflicts: nf-new"),
    made("nf-new", "1.0"),
    { ...made("nf-slow", "1.0"), script: "touch /run/slow-began; while [ ! -e /run/slow-may-end ]; do sleep 0.05; done" },
  ];
  debRepository(join(root, "srv/main"), first, ordinary);
  debRepository(join(root, "srv/fixes"), [], secure);
  const version = (name: string) => {
    const file = join(root, "usr/share", name, "version");
    return existsSync(file) ? readFileSync(file, "utf8") : undefined;
  };

  await t.test("a package comes with what it needs, both in the result; once is enough; a dry run only tells", async () => {
    // What is known of the repositories before is empty, and a dry run leaves it so.
    assert.match((await act.install.dry({ packages: ["nf-app"] })).message ?? "", /no repository of this host has a package nf-app/);
    const ending = await act.install.run({ packages: ["nf-app"] });
    assert.deepEqual(ending, {
      outcome: "succeeded",
      changed: true,
      result: {
        tool: "apt",
        count: 2,
        packages: [
          { name: "nf-app", after: "1.0" },
          { name: "nf-base", after: "1.0" },
        ],
      },
    });
    assert.equal(version("nf-app"), "1.0");
    const again = await act.install.run({ packages: ["nf-app", "nf-base=1.0"] });
    assert.deepEqual([again.outcome, again.changed, again.result?.count], ["succeeded", false, 0]);
  });

  await t.test("an upgrade takes all, some, or only the security updates, with the versions before and after", async () => {
    debRepository(join(root, "srv/main"), [...first, made("nf-base", "2.0"), made("nf-app", "2.0", "Depends: nf-base")], ordinary);
    debRepository(join(root, "srv/fixes"), [made("nf-base", "1.5"), made("nf-base", "2.0")], secure);
    await act.install.run({ packages: ["nf+"] });
    assert.match((await act.upgrade.dry({ security: true })).message ?? "", /^would upgrade nf-base from 1\.0 to 2\.0$/);
    assert.equal(version("nf-base"), "1.0");
    const fixed = await act.upgrade.run({ security: true });
    assert.deepEqual([fixed.outcome, fixed.result?.packages], ["succeeded", [{ name: "nf-base", before: "1.0", after: "2.0" }]]);
    assert.equal((await act.upgrade.run({ security: true })).changed, false);
    assert.equal((await act.upgrade.run({ packages: ["nf-base"] })).changed, false);
    assert.match((await act.upgrade.run({ packages: ["nf-old"] })).message ?? "", /not installed: nf-old/);
    assert.deepEqual((await act.upgrade.run({})).result?.packages, [{ name: "nf-app", before: "1.0", after: "2.0" }]);
    assert.equal((await act.upgrade.run({})).changed, false);
  });

  await t.test("a version that is asked for is what is installed; an older one only with downgrade", async () => {
    assert.equal((await act.install.run({ packages: ["nf-app=1.0"] })).outcome, "failed");
    assert.equal(version("nf-app"), "2.0");
    const ending = await act.install.run({ packages: ["nf-app=1.0"], downgrade: true });
    assert.deepEqual(ending.result?.packages, [{ name: "nf-app", before: "2.0", after: "1.0" }]);
    assert.equal((await act.install.run({ packages: ["nf-app=7.0"] })).outcome, "failed");
  });

  await t.test("what others need is removed only with them, and only when that is said", async () => {
    const kept = await act.remove.run({ packages: ["nf-base"] });
    assert.deepEqual([kept.outcome, kept.message], ["refused", "these need it, and would go, too: nf-app (dependents allows it)"]);
    assert.equal((await act.remove.dry({ packages: ["nf-base"], dependents: true })).message, "would remove nf-base, nf-app");
    assert.equal(version("nf-base"), "2.0");
    assert.equal((await act.remove.run({ packages: ["nf-base"], dependents: true })).result?.count, 2);
    assert.equal(version("nf-base"), undefined);
    assert.equal((await act.remove.run({ packages: ["nf-base", "never-there"] })).changed, false);
  });

  await t.test("an installation never removes what is there", async () => {
    await act.install.run({ packages: ["nf-new"] });
    assert.equal((await act.install.run({ packages: ["nf-old"] })).outcome, "failed");
    assert.equal(version("nf-new"), "1.0");
  });

  await t.test("a name is one package's name: no expression, no wish of another kind, no option", async () => {
    for (const packages of [["n..app"], ["nf-app+"], ["nf"], ["nf-app.deb"]]) {
      const ending = await act.install.run({ packages });
      if (ending.outcome === "failed") assert.match(ending.message ?? "", /no repository of this host has a package/);
      else assert.fail(`installed ${JSON.stringify(packages)}`);
    }
    assert.equal(version("nf-app"), undefined);
    // To apt-get "nf-new+" as a wish is an installation.
    assert.equal((await act.remove.run({ packages: ["nf-new+"] })).changed, false);
    assert.equal((await act.install.run({ packages: ["nf+"] })).outcome, "succeeded");
    for (const name of [
      "--purge",
      "-o=x",
      "nf-",
      "/srv/x.deb",
      "./x",
      "nf app",
      "nf;id",
      "$(id)",
      "nf\nid",
      "nf/stable",
      "nf*",
      "nf.*",
      "nf^",
      "'nf'",
      "",
      "nf=",
      "nf=1 2",
      "nf=-1",
    ])
      assert.throws(() => act.install.run({ packages: [name] }), /packages/, JSON.stringify(name));
  });

  await t.test("who installs packages at this moment is waited for, but not for ever", async () => {
    const slow = act.install.run({ packages: ["nf-slow"] });
    await f.until(() => existsSync(join(root, "run/slow-began")), "the slow package");
    const late = await act.install.run({ packages: ["nf-base"], lock_timeout: "100ms", refresh: false });
    assert.deepEqual([late.outcome, late.changed], ["failed", false]);
    assert.match(late.message ?? "", /somebody else installed packages for longer than 100ms/);
    const waiting = act.install.run({ packages: ["nf-base"], lock_timeout: "1m", refresh: false });
    writeFileSync(join(root, "run/slow-may-end"), "");
    assert.equal((await slow).outcome, "succeeded");
    assert.equal((await waiting).outcome, "succeeded");
  });

  await t.test("a repository that cannot be read is told with the result", async () => {
    writeFileSync(join(root, "etc/apt/sources.list.d/gone.list"), "deb [trusted=yes] file:/srv/gone ./\n");
    const ending = await act.install.run({ packages: ["nf-app=1.0"] });
    assert.equal(ending.outcome, "succeeded", ending.message);
    assert.match(ending.message ?? "", /the repositories could not all be read/);
  });
});
