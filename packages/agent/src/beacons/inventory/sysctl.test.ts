import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { checkBeacon } from "@needfire/shared/beacon";
import type { SysctlData } from "@needfire/shared/beacons/sysctl";
import { sysctlKey, sysctlPath } from "@needfire/shared/beacons/sysctl";
import { definition, Fixture } from "../fixture.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";

const canLink = process.getuid?.() === 0 && existsSync("/proc/sys/net/ipv4/conf");
const needsLink = canLink ? {} : { skip: "needs root, for an interface of its own" };

/** A real interface, with a dot in its name as those of a VLAN have, and so with settings that nobody else minds. */
function link(t: TestContext) {
  const name = `nf${process.pid}.7`;
  execFileSync("ip", ["link", "add", name, "type", "veth", "peer", "name", `nf${process.pid}.8`]);
  t.after(() => execFileSync("ip", ["link", "delete", name]));
  const folder = `/proc/sys/net/ipv4/conf/${name}`;
  return {
    key: (setting: string) => `net.ipv4.conf.${name.replace(".", "/")}.${setting}`,
    set: (setting: string, value: string) => writeFileSync(`${folder}/${setting}`, value),
    get: (setting: string) => readFileSync(`${folder}/${setting}`, "utf8").trim(),
  };
}

function fixture(t: TestContext, memory?: MemoryStore) {
  const f = new Fixture(memory === undefined ? {} : { memory });
  t.after(() => f.end());
  return f;
}

const watching = (options: Record<string, unknown>) => definition({ type: "sysctl", interval: "100ms", ...options });

async function seen(f: Fixture): Promise<[string, SysctlData]> {
  const { type, subject, data } = (await f.next()) as unknown as { type: string; subject: string; data: SysctlData };
  assert.equal(subject, data.key);
  return [type, data];
}

test(
  "a real setting that is not as it should be is told at once, and again only when it changes; and when it is right",
  needsLink,
  async (t) => {
    const f = fixture(t);
    const { key, set } = link(t);
    set("arp_announce", "0");
    await f.beacons.apply([watching({ settings: { [key("arp_announce")]: 1 } })]);
    const base = { key: key("arp_announce"), expected: "1" };
    assert.deepEqual(await seen(f), ["sysctl.changed", { ...base, value: "0" }]);
    set("arp_announce", "2");
    assert.deepEqual(await seen(f), ["sysctl.changed", { ...base, value: "2", before: "0" }]);
    set("arp_announce", "1");
    assert.deepEqual(await seen(f), ["sysctl.restored", { ...base, value: "1", before: "2" }]);
    assert.equal(f.events.length, 3);
  },
);

test("watched keys tell every change, and what was there is no change", needsLink, async (t) => {
  const f = fixture(t);
  const { key, set } = link(t);
  const glob = key("*");
  await f.beacons.apply([watching({ watch: [glob], exclude: [key("arp_ignore")] })]);
  set("arp_ignore", "1");
  set("log_martians", "1");
  assert.deepEqual(await seen(f), ["sysctl.changed", { key: key("log_martians"), value: "1", before: "0" }]);
  assert.equal(f.events.length, 1);
});

test("what was changed while the agent was down is told at its start; what was told is not", needsLink, async (t) => {
  const memory = forgetfulStore();
  const f = fixture(t, memory);
  const { key, set } = link(t);
  set("arp_announce", "0");
  const watched = watching({ settings: { [key("arp_announce")]: "1" }, watch: [key("log_*")] });
  await f.beacons.apply([watched]);
  await seen(f);
  await f.beacons.stop();
  set("log_martians", "1");
  const again = fixture(t, memory);
  await again.beacons.apply([watched]);
  assert.deepEqual(await seen(again), ["sysctl.changed", { key: key("log_martians"), value: "1", before: "0" }]);
  assert.equal(again.events.length, 1);
  again.beacons.restate();
  assert.deepEqual(await seen(again), ["sysctl.changed", { key: key("arp_announce"), expected: "1", value: "0", before: "0" }]);
});

test("when another value is expected, what was right before is wrong now", needsLink, async (t) => {
  const f = fixture(t);
  const { key, get } = link(t);
  const name = key("arp_notify");
  const value = get("arp_notify");
  await f.beacons.apply([watching({ settings: { [name]: value } })]);
  await f.beacons.apply([watching({ settings: { [name]: "7" } })]);
  assert.deepEqual(await seen(f), ["sysctl.changed", { key: name, expected: "7", value, before: value }]);
});

test(
  "P7: a setting that a remedy puts right is not told meanwhile, and the remedy is the cause when it has ended",
  needsLink,
  async (t) => {
    const f = fixture(t);
    const { key, set } = link(t);
    const name = key("arp_announce");
    set("arp_announce", "2");
    await f.beacons.apply([watching({ settings: { [name]: "1" } })]);
    await seen(f);
    f.remedies.begin("t-1.1", { topic: "sysctl", subject: name });
    set("arp_announce", "1");
    f.remedies.end("t-1.1");
    const { type, cause } = await f.next();
    assert.deepEqual([type, cause], ["sysctl.restored", "t-1.1"]);
  },
);

test("blanks between the parts of a value do not matter; a key that is not there is said", async (t) => {
  const f = fixture(t);
  const parts = readFileSync("/proc/sys/kernel/printk", "utf8").trim().split(/\s+/);
  const settings = { "kernel.printk": parts.join("  "), "kernel.no_such_setting": 1, "kernel/ostype": "Linux" };
  await f.beacons.apply([watching({ settings })]);
  const { type, data } = (await f.next()) as unknown as { type: string; data: { message: string } };
  assert.deepEqual([type, data.message], ["beacon.degraded", "cannot be read: kernel.no_such_setting"]);
  assert.equal(f.events.length, 1);
});

test("keys are those of sysctl: dots and slashes change places, and nothing leads out of /proc/sys", () => {
  assert.equal(sysctlPath("net.ipv4.conf.eth0/100.rp_filter"), "net/ipv4/conf/eth0.100/rp_filter");
  assert.equal(sysctlPath("net/ipv4/conf/eth0.100/rp_filter"), "net/ipv4/conf/eth0.100/rp_filter");
  assert.equal(sysctlKey("net/ipv4/conf/eth0.100/rp_filter"), "net.ipv4.conf.eth0/100.rp_filter");
  for (const bad of ["kernel.//.//.x", "kernel/../../etc/passwd", "kernel..x", "kernel."]) assert.equal(sysctlPath(bad), undefined, bad);
  for (const [options, expected] of [
    [{}, /nothing to watch/],
    [{ settings: { "net.ipv4.*": 1 } }, /globs go into watch/],
    [{ settings: { "kernel/../x": 1 } }, /is no key/],
  ] as const) {
    const checked = checkBeacon({ name: "a", type: "sysctl", ...options });
    assert.ok(!checked.ok);
    assert.match(checked.message, expected);
  }
});
