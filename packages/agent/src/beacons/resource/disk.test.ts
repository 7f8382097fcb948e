import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { definition, Fixture } from "../fixture.ts";
import { readMounts } from "../inventory/mounts.ts";
import { forgetfulStore } from "../remembered.ts";

const skip = process.getuid?.() === 0 ? false : "mounting a disk of its own takes root";
const megabyte = 1_048_576;

/** A fixture, and a place for a real small disk, which is taken away first. */
function withPlace(t: TestContext, options: ConstructorParameters<typeof Fixture>[0] = {}): { f: Fixture; mount: string } {
  const f = new Fixture(options);
  const mount = f.path("disk of the test");
  mkdirSync(mount);
  t.after(async () => {
    await f.beacons.stop();
    if (readMounts().has(mount)) execFileSync("umount", [mount]);
    await f.end();
  });
  return { f, mount };
}

function mountAt(mount: string, options = "size=4m,nr_inodes=200"): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", options, "test", mount]);
}

const watch = (mount: string, more: Record<string, unknown> = {}) =>
  definition({ type: "disk", mounts: [mount], above: 80, clear_below: 60, inodes_above: 80, for: "0s", interval: "100ms", ...more });

const fill = (mount: string, name: string, megabytes: number) => writeFileSync(join(mount, name), Buffer.alloc(megabytes * megabyte, 1));

test("space that is used up is told once, and that there is some again; inodes likewise", { skip }, async (t) => {
  const { f, mount } = withPlace(t);
  mountAt(mount);
  await f.beacons.apply([watch(mount)]);
  fill(mount, "much", 3.5);
  const high = await f.next();
  const data = high.data as unknown as Record<string, unknown>;
  assert.deepEqual([high.type, high.subject, data["resource"], data["total"]], ["disk.high", mount, "space", 4 * megabyte]);
  assert.ok(Number(data["percent"]) > 80 && Number(data["free"]) <= 0.5 * megabyte, JSON.stringify(data));
  rmSync(join(mount, "much"));
  assert.equal((await f.next()).type, "disk.normal");
  for (let n = 0; n < 190; n++) writeFileSync(join(mount, `f${n}`), "");
  const inodes = await f.next();
  assert.deepEqual([inodes.type, (inodes.data as unknown as Record<string, unknown>)["resource"]], ["disk.high", "inodes"]);
  for (let n = 0; n < 190; n++) rmSync(join(mount, `f${n}`));
  assert.equal((await f.next()).type, "disk.normal");
  assert.equal(f.events.length, 4);
});

test("a disk that fills up steadily is told before it is full, and when that has ended", { skip }, async (t) => {
  const { f, mount } = withPlace(t);
  mountAt(mount, "size=200m");
  await f.beacons.apply([watch(mount, { above: 100, inodes_above: 100, filling: "10m", filling_over: "2s" })]);
  let n = 0;
  const growing = setInterval(() => n < 600 && writeFileSync(join(mount, `f${n++}`), Buffer.alloc(megabyte / 8, 1)), 20);
  t.after(() => clearInterval(growing));
  const filling = await f.next();
  const data = filling.data as unknown as { full_in_ms: number; bytes_per_s: number; free: number };
  assert.deepEqual([filling.type, filling.subject], ["disk.filling", mount]);
  assert.ok(data.full_in_ms < 600_000 && data.bytes_per_s > 100_000, JSON.stringify(data));
  assert.ok(Math.abs(data.full_in_ms - (data.free / data.bytes_per_s) * 1_000) < data.full_in_ms * 0.01);
  clearInterval(growing);
  assert.equal((await f.next()).type, "disk.steady");
});

test("a disk that turns read-only is told, and when it is writable again; also when the agent was away meanwhile", { skip }, async (t) => {
  const memory = forgetfulStore();
  const { f, mount } = withPlace(t, { memory });
  mountAt(mount);
  const remount = (mode: "ro" | "rw") => execFileSync("mount", ["-o", `remount,${mode}`, mount]);
  await f.beacons.apply([watch(mount)]);
  remount("ro");
  const told = await f.next();
  assert.deepEqual(
    [told.type, told.subject, (told.data as unknown as { why: string }).why],
    ["disk.readonly", mount, "it was writable before"],
  );
  f.beacons.restate();
  assert.equal((await f.next()).type, "disk.readonly");
  remount("rw");
  assert.equal((await f.next()).type, "disk.writable");
  await f.beacons.stop();
  remount("ro");
  const again = new Fixture({ memory });
  t.after(() => again.end());
  await again.beacons.apply([watch(mount)]);
  assert.deepEqual(
    again.events.map(({ type }) => type),
    ["disk.readonly"],
  );
});

test(
  "a disk that was read-only from the first is none that turned so; one that goes is forgotten, and watched when it is back",
  { skip },
  async (t) => {
    const { f, mount } = withPlace(t);
    mountAt(mount, "size=4m,ro");
    await f.beacons.apply([watch(mount)]);
    execFileSync("mount", ["-o", "remount,rw", mount]);
    for (let round = 1; round <= 2; round++) {
      fill(mount, "much", 3.5);
      assert.equal((await f.next()).type, "disk.high");
      assert.equal(f.events.length, round);
      execFileSync("umount", [mount]);
      await f.until(() => f.memoryOf("space").size === 0, "the disk to be forgotten");
      mountAt(mount);
    }
  },
);
