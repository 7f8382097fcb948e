/** Against the real kernel: on parameters of a network interface that the test makes and takes away again. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import type { ActionArgs } from "@needfire/shared/action";
import { Fixture } from "../beacons/fixture.ts";
import type { ActionContext } from "./action.ts";
import { contextOf, runner } from "./fixture.ts";
import { action, run as runOn } from "./sysctl-set.ts";

const skip = canMakeInterfaces() ? false : "needs root and ip";

function canMakeInterfaces(): boolean {
  try {
    execFileSync("ip", ["link", "add", "nfprobe0", "type", "veth"], { stdio: "ignore" });
    execFileSync("ip", ["link", "delete", "nfprobe0"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function setting(t: TestContext) {
  const f = new Fixture();
  t.after(() => f.end());
  // Its own /etc, and the kernel that there is.
  const root = f.path("root");
  mkdirSync(`${root}/etc`, { recursive: true });
  symlinkSync("/proc", `${root}/proc`);
  const here = { ...action, run: (args: ActionArgs<"sysctl.set">, context: ActionContext) => runOn(args, context, { root, enter: [] }) };
  return { root, file: `${root}/etc/sysctl.d/90-needfire.conf`, ...runner("sysctl.set", here, contextOf(f)) };
}

test("a parameter is set, once; kept for good when that is asked for; and a dry run does neither", { skip }, async (t) => {
  const { file, root, run, dry } = setting(t);
  const name = `nf${process.pid}.7`; // as of a VLAN
  execFileSync("ip", ["link", "add", name, "type", "veth"]);
  t.after(() => execFileSync("ip", ["link", "delete", name]));
  const path = `/proc/sys/net/ipv4/conf/${name}/arp_announce`;
  const key = `net/ipv4/conf/${name}/arp_announce`;
  assert.match((await dry({ key, value: "2", persist: true })).message ?? "", /^would set .* to 2, and write it into/);
  assert.equal(readFileSync(path, "utf8"), "0\n");
  const first = await run({ key, value: "2" });
  assert.deepEqual([first.outcome, first.changed, first.result?.before, first.result?.after], ["succeeded", true, "0", "2"]);
  assert.equal(readFileSync(path, "utf8"), "2\n");
  assert.equal((await run({ key, value: "2" })).changed, false);
  mkdirSync(`${root}/etc/sysctl.d`);
  writeFileSync(file, "# mine\nkernel.panic = 7\n");
  const dots = `net.ipv4.conf.${name.replace(".", "/")}.arp_announce`;
  assert.equal((await run({ key: dots, value: "2", persist: true })).changed, true);
  assert.equal(readFileSync(file, "utf8"), `# mine\nkernel.panic = 7\n${dots} = 2\n`);
  assert.equal(statSync(file).mode & 0o777, 0o644);
  assert.equal((await run({ key, value: "2", persist: true })).changed, false);
  await run({ key, value: "1", persist: true });
  assert.equal(readFileSync(file, "utf8"), `# mine\nkernel.panic = 7\n${dots} = 1\n`);
  writeFileSync(`${root}/etc/sysctl.d/99-theirs.conf`, `${key}=0\n`);
  assert.match((await run({ key, value: "1", persist: true })).message ?? "", /99-theirs\.conf says otherwise/);
});

test("what the kernel does not take is a failure that says so, and nothing is kept", { skip }, async (t) => {
  const { root, run } = setting(t);
  assert.match((await run({ key: "net.ipv4.no_such_thing", value: "1" })).message ?? "", /there is no parameter/);
  assert.match((await run({ key: "net.ipv4", value: "1" })).message ?? "", /is a group of parameters/);
  const name = `nf${process.pid}x`;
  execFileSync("ip", ["link", "add", name, "type", "veth"]);
  t.after(() => execFileSync("ip", ["link", "delete", name]));
  for (const value of ["$(id)", "-1x", "--help", "'1'"]) {
    const ending = await run({ key: `net.ipv4.conf.${name}.arp_announce`, value, persist: true });
    assert.match(ending.message ?? "", /the kernel does not take/);
  }
  assert.throws(() => statSync(`${root}/etc/sysctl.d/90-needfire.conf`));
});

test("keys that are paths elsewhere, and values of two lines, are turned away", (t) => {
  const { run } = setting(t);
  for (const key of [
    "../etc/passwd",
    "net/../../etc",
    "net..ipv4",
    "/etc/passwd",
    "net.ipv4.$(id)",
    "a\nb.c",
    "-a",
    "kernel",
    "net ipv4.x",
  ])
    assert.throws(() => run({ key, value: "1" }), /key/, key);
  assert.throws(() => run({ key: "kernel.panic", value: "1\nkernel.other = 2" }), /value/);
});
