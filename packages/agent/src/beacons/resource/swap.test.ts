import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { definition, Fixture } from "../fixture.ts";
import { readMemorySpace } from "./memory-space.ts";

const megabyte = 1_048_576;
const limited = "/sys/fs/cgroup/memory";

/** Why there can be no swap space of the test's own here; undefined: it is in use now. */
function swapOn(file: string): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  if (!existsSync(join(limited, "memory.limit_in_bytes")))
    return "needs the memory controller of cgroup v1, to drive one program into swap";
  try {
    execFileSync("dd", ["if=/dev/zero", `of=${file}`, "bs=1M", "count=128"], { stdio: "ignore" });
    execFileSync("chmod", ["600", file]);
    execFileSync("mkswap", [file], { stdio: "ignore" });
    execFileSync("swapon", [file], { stdio: "ignore" });
  } catch (error) {
    return `no swap space can be made here: ${String(error)}`;
  }
  return undefined;
}

/** A program that takes more memory than the group that it is in may hold. */
function startHog(group: string): ChildProcess {
  mkdirSync(group);
  writeFileSync(join(group, "memory.limit_in_bytes"), String(40 * megabyte));
  const script = `echo $$ > ${group}/cgroup.procs; exec ${process.execPath} -e 'globalThis.x = Buffer.alloc(${90 * megabyte}, 1); setInterval(() => 0, 1000)'`;
  return spawn("/bin/sh", ["-c", script], { stdio: "ignore" });
}

test("swap space that a real program is driven into is told, and that it is free again", { timeout: 120_000 }, async (t) => {
  const f = new Fixture();
  const reason = swapOn(f.path("swap"));
  if (reason !== undefined) {
    await f.end();
    return t.skip(reason);
  }
  const group = join(limited, `needfire-test-${process.pid}`);
  const hog = startHog(group);
  // One after the other, and whatever the test comes to: a swap space whose file is gone stays until the machine is started anew.
  t.after(async () => {
    hog.kill("SIGKILL");
    await f
      .until(() => isGone(group), "the group to be empty")
      .finally(() => execFileSync("swapoff", [f.path("swap")], { stdio: "ignore" }));
    await f.end();
  });
  await f.beacons.apply([definition({ type: "swap", above: 20, clear_below: 15, for: "0s", interval: "100ms" })]);
  const high = await f.next();
  const data = high.data as unknown as { percent: number; used_bytes: number; total_bytes: number };
  assert.deepEqual([high.type, data.total_bytes], ["swap.high", readMemorySpace().swapTotal]);
  assert.ok(data.percent > 20 && data.used_bytes > 20 * megabyte);
  hog.kill("SIGKILL");
  assert.equal((await f.next()).type, "swap.normal");
});

/** A group can be taken away when its last process has ended. */
function isGone(group: string): boolean {
  try {
    rmdirSync(group);
  } catch {
    return !existsSync(group);
  }
  return true;
}

test("where there is no swap space none of it is in use", async (t) => {
  if (readMemorySpace().swapTotal > 0) return t.skip("this machine has swap space");
  const f = new Fixture();
  t.after(() => f.end());
  await f.beacons.apply([definition({ type: "swap", above: 0, for: "0s", interval: "100ms" })]);
  assert.deepEqual([f.events, f.beacons.list()[0]?.health], [[], { state: "watching" }]);
});
