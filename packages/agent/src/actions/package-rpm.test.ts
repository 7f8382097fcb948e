/** Real dnf and rpm, and real packages, in a root directory of the test's own. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Fixture } from "../beacons/fixture.ts";
import type { ActionContext } from "./action.ts";
import { contextOf, runner } from "./fixture.ts";
import { changePackages, install, remove, upgrade } from "./package.ts";
import { type Made, rpmRepository } from "./package-fixture.ts";

const missing = ["rpm", "rpmbuild", "createrepo_c", "modifyrepo_c"].filter((name) => spawnSync(name, ["--version"]).error !== undefined);
const needs = (tool: string) => {
  const all = process.getuid?.() === 0 ? [...missing, ...(spawnSync(tool, ["--version"]).error === undefined ? [] : [tool])] : ["root"];
  return all.length === 0 ? false : `needs ${all.join(", ")}`;
};

/** How each tool is told to work on another root, and with the test's repository alone. */
const elsewhere = {
  dnf: (root: string) =>
    `exec dnf --installroot=${root} --releasever=1 --disableplugin='*' --setopt=reposdir=${root}/repos --setopt=cachedir=${root}/cache --setopt=gpgcheck=0 "$@"`,
  zypper: (root: string) => `exec zypper --root ${root} --no-gpg-checks "$@"`,
};

/** Where Debian's rpm would look for the packages is not where zypper has them. */
const rpmOptions = { dnf: "", zypper: "--dbpath /var/lib/rpm" };

function setting(t: TestContext, tool: "dnf" | "zypper") {
  const f = new Fixture();
  t.after(() => f.end());
  const root = f.path("root");
  for (const folder of ["usr/bin", "repos", "etc/zypp/repos.d", "var/lib/rpm"]) mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, "usr/bin", tool), "");
  const repository = f.path("repository");
  const text = `[test]\nname=test\nbaseurl=file://${repository}\nenabled=1\ngpgcheck=0\nautorefresh=1\nmetadata_expire=1\n`;
  writeFileSync(join(root, "repos/test.repo"), text);
  writeFileSync(join(root, "etc/zypp/repos.d/test.repo"), text);
  const shim = f.path("shim");
  const script = `#!/bin/sh\nprogram=$1; shift\ncase $program in ${tool}) ${elsewhere[tool](root)};; rpm) exec rpm --root ${root} ${rpmOptions[tool]} "$@";; esac\nexit 99\n`;
  writeFileSync(shim, script, { mode: 0o755 });
  const host = { root, enter: [shim] };
  const on = (verb: "install" | "upgrade" | "remove") => (args: never, context: ActionContext) =>
    changePackages({ verb, ...(args as object) } as never, context, host);
  return {
    repository: (made: readonly Made[], security: readonly Made[] = []) => rpmRepository(repository, made, security),
    install: runner("package.install", { ...install, run: on("install") }, contextOf(f)),
    upgrade: runner("package.upgrade", { ...upgrade, run: on("upgrade") }, contextOf(f)),
    remove: runner("package.remove", { ...remove, run: on("remove") }, contextOf(f)),
  };
}

const first: Made[] = [
  { name: "nf-base", version: "1.0" },
  { name: "nf-app", version: "1.0", more: "Requires: nf-base" },
  { name: "nf-other", version: "1.0" },
];

for (const tool of ["dnf", "zypper"] as const) {
  test(`packages of ${tool}: installed, upgraded, removed, and told`, { skip: needs(tool), timeout: 110_000 }, async (t) => {
    const act = setting(t, tool);
    act.repository(first);
    assert.match((await act.install.dry({ packages: ["nf-app"] })).message ?? "", /^would install nf-app$/);
    const ending = await act.install.run({ packages: ["nf-app", "nf-other=1.0"] });
    assert.equal(ending.outcome, "succeeded", ending.message);
    assert.deepEqual(ending.result?.packages, [
      { name: "nf-app", after: "1.0-1" },
      { name: "nf-base", after: "1.0-1" },
      { name: "nf-other", after: "1.0-1" },
    ]);
    assert.equal((await act.install.run({ packages: ["nf-app=1.0-1", "nf-other"] })).changed, false);
    assert.equal((await act.install.run({ packages: ["nf-nothing"] })).outcome, "failed");

    act.repository([...first, { name: "nf-other", version: "2.0" }], [{ name: "nf-base", version: "2.0" }]);
    assert.match((await act.upgrade.dry({ security: true })).message ?? "", /^would upgrade/);
    const fixed = await act.upgrade.run({ security: true });
    assert.deepEqual(
      [fixed.outcome, fixed.result?.packages, fixed.message],
      ["succeeded", [{ name: "nf-base", before: "1.0-1", after: "2.0-1" }], undefined],
    );
    assert.equal((await act.upgrade.run({ security: true })).changed, false);
    assert.deepEqual((await act.upgrade.run({ packages: ["nf-other"] })).result?.packages, [
      { name: "nf-other", before: "1.0-1", after: "2.0-1" },
    ]);
    assert.equal((await act.upgrade.run({})).changed, false);
    assert.equal((await act.upgrade.dry({})).changed, false);

    const kept = await act.remove.run({ packages: ["nf-base"] });
    assert.equal(kept.outcome, "refused");
    assert.match(kept.message ?? "", /something needs it.*nf-app/s);
    assert.equal((await act.remove.dry({ packages: ["nf-app"] })).message, "would remove nf-app");
    assert.deepEqual((await act.remove.run({ packages: ["nf-app"] })).result?.packages, [{ name: "nf-app", before: "1.0-1" }]);
    assert.equal((await act.remove.run({ packages: ["nf-app"] })).changed, false);
    await act.install.run({ packages: ["nf-app"] });
    assert.equal((await act.remove.run({ packages: ["nf-base"], dependents: true })).result?.count, 2);
  });
}
