import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { test, type TestContext } from "node:test";
import type { MountChangedData, MountData, MountWantedData } from "@needfire/shared/beacons/mount";
import { definition, Fixture } from "../fixture.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";

const needsRoot = process.getuid?.() === 0 ? {} : { skip: "needs root, to mount something" };

function fixture(t: TestContext, memory?: MemoryStore) {
  const f = new Fixture(memory === undefined ? {} : { memory });
  const mounted = new Set<string>();
  t.after(async () => {
    for (const path of mounted) execFileSync("umount", [path]);
    await f.end();
  });
  const mount = (path: string) => {
    mkdirSync(path, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k,noexec", "nf-test", path]);
    mounted.add(path);
  };
  const unmount = (path: string) => {
    execFileSync("umount", [path]);
    mounted.delete(path);
  };
  return { f, mount, unmount };
}

/** Tests of other files mount things meanwhile. */
async function seen<T = MountData>(f: Fixture): Promise<{ type: string; cause: string | undefined; data: T }> {
  for (;;) {
    const { type, subject, cause, data } = await f.next();
    if (subject?.startsWith(f.dir)) return { type, cause, data: data as unknown as T };
  }
}

test("what is really mounted, remounted and unmounted is told, once each", needsRoot, async (t) => {
  const { f, mount, unmount } = fixture(t);
  mount(f.host("before"));
  await f.beacons.apply([definition({ type: "mount", interval: "100ms" })]);
  const path = f.host("with blank");
  mount(path);
  const added = await seen(f);
  assert.deepEqual([added.type, added.data.mount, added.data.device, added.data.filesystem], ["mount.added", path, "nf-test", "tmpfs"]);
  assert.ok(added.data.options.includes("noexec") && added.data.options.includes("rw"), added.data.options.join());
  execFileSync("mount", ["-o", "remount,ro,noexec", path]);
  const changed = await seen<MountChangedData>(f);
  assert.deepEqual([changed.type, changed.data.changes], ["mount.changed", ["options"]]);
  assert.ok(changed.data.before.options.includes("rw") && changed.data.options.includes("ro") && !changed.data.options.includes("rw"));
  unmount(path);
  const removed = await seen(f);
  assert.deepEqual([removed.type, removed.data.mount], ["mount.removed", path]);
});

test("what should be mounted and is not is told at the first look, again only when asked, and when it is there", needsRoot, async (t) => {
  const memory = forgetfulStore();
  const { f, mount, unmount } = fixture(t, memory);
  const path = f.host("data");
  const watched = definition({ type: "mount", interval: "100ms", changes: false, expected: [`${path}/`, "/"] });
  await f.beacons.apply([watched]);
  assert.deepEqual(await seen<MountWantedData>(f), {
    type: "mount.missing",
    cause: undefined,
    data: { mount: path, wanted_by: "expected" },
  });
  await f.beacons.stop();
  const again = fixture(t, memory);
  await again.f.beacons.apply([watched]);
  assert.deepEqual(again.f.events, []);
  again.f.beacons.restate();
  assert.equal((await again.f.next()).type, "mount.missing");
  mount(path);
  const present = (await again.f.next()) as unknown as { type: string; data: MountWantedData };
  assert.deepEqual([present.type, present.data], ["mount.present", { mount: path, wanted_by: "expected", device: "nf-test" }]);
  unmount(path);
  assert.equal((await again.f.next()).type, "mount.missing");
});

test("what was mounted and unmounted while the agent was down is told at its start", needsRoot, async (t) => {
  const memory = forgetfulStore();
  const { f, mount, unmount } = fixture(t, memory);
  const [old, stays, fresh] = [f.host("old"), f.host("stays"), f.host("new")];
  mount(old);
  mount(stays);
  const watched = definition({ type: "mount", interval: "100ms" });
  await f.beacons.apply([watched]);
  await f.beacons.stop();
  unmount(old);
  mount(fresh);
  const again = fixture(t, memory);
  await again.f.beacons.apply([watched]);
  const told = again.f.events.filter(({ subject }) => subject?.startsWith(f.dir)).map(({ type, subject }) => [type, subject]);
  assert.deepEqual(told, [
    ["mount.removed", old],
    ["mount.added", fresh],
  ]);
});

test("P7: what a remedy mounts is judged when it has ended, with the remedy as its cause", needsRoot, async (t) => {
  const { f, mount } = fixture(t);
  await f.beacons.apply([definition({ type: "mount", interval: "100ms" })]);
  const [own, foreign] = [f.host("own"), f.host("foreign")];
  f.remedies.begin("t-1.1", { topic: "mount", subject: own });
  mount(own);
  mount(foreign);
  const first = await seen(f);
  assert.deepEqual([first.data.mount, first.cause], [foreign, undefined]);
  f.remedies.end("t-1.1");
  const second = await seen(f);
  assert.deepEqual([second.data.mount, second.cause], [own, "t-1.1"]);
});

test("mount points that are excluded are not told", needsRoot, async (t) => {
  const { f, mount } = fixture(t);
  await f.beacons.apply([definition({ type: "mount", interval: "100ms", exclude: [`${f.host("*")}/containers/**`] })]);
  mount(f.host("a/containers/b"));
  mount(f.host("c"));
  assert.equal((await seen(f)).data.mount, f.host("c"));
});
