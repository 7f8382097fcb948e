import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, rmdirSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { test, type TestContext } from "node:test";
import type { BeaconDefinition } from "@needfire/shared/beacon";
import { checkBeacon } from "@needfire/shared/beacon";
import type { EventDraft } from "@needfire/shared/event";
import { dataProblem } from "@needfire/shared/event-types";
import type { BeaconContext, DefinitionOf } from "../beacon.ts";
import { definition, Fixture } from "../fixture.ts";
import { startKernel } from "./kernel.ts";
import { bootId } from "./kernel-log.ts";
import { parseKernelRecord, parseOomChoice, parseOomConstraint, parseOomKill, taintsAdded } from "./kernel-messages.ts";
import { BeaconMemory, forgetfulStore, type MemoryStore } from "../remembered.ts";

const noKernelLog = canRead("/dev/kmsg") ? false : "needs the right to read /dev/kmsg";
const cgroups = ["/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/cgroup.subtree_control"].find((path) => existsSync(path));
const noKill = noKernelLog || (cgroupFor("probe", (dir) => existsSync(dir)) ? false : "needs the right to make a memory cgroup");

function canRead(path: string): boolean {
  try {
    closeSync(openSync(path, "r"));
    return true;
  } catch {
    return false;
  }
}

/** Runs `work` with a memory cgroup of 16 MiB, of either version; undefined: none can be had. */
function cgroupFor<T>(name: string, work: (dir: string) => T): T | undefined {
  if (cgroups === undefined) return undefined;
  const first = cgroups.endsWith("memory.limit_in_bytes");
  const dir = `${first ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup"}/needfire-${name}-${process.pid}`;
  try {
    mkdirSync(dir);
  } catch {
    return undefined;
  }
  try {
    writeFileSync(`${dir}/${first ? "memory.limit_in_bytes" : "memory.max"}`, String(16 * 2 ** 20));
    if (!first && existsSync(`${dir}/memory.swap.max`)) writeFileSync(`${dir}/memory.swap.max`, "0");
    return work(dir);
  } catch {
    return undefined;
  } finally {
    rmdirSync(dir);
  }
}

/** `tail` keeps a line until its end, which /dev/zero has not. */
function killForMemory(name: string): string {
  return cgroupFor(name, (dir) => {
    const { signal } = spawnSync("sh", ["-c", `echo $$ > ${dir}/cgroup.procs && exec tail /dev/zero`], { timeout: 60_000 });
    assert.equal(signal, "SIGKILL");
    return basename(dir);
  })!;
}

async function watch(t: TestContext, options: Record<string, unknown>, memory: MemoryStore = forgetfulStore()): Promise<Fixture> {
  const f = new Fixture({ memory });
  t.after(() => f.end());
  await f.beacons.apply([definition({ type: "kernel", interval: "100ms", ...options })]);
  return f;
}

const killsIn = (f: Fixture, cgroup: string) =>
  f.events.filter(({ type, data }) => type === "oom.killed" && String(data["cgroup" as never]).endsWith(`/${cgroup}`));

test("a real kill for want of memory in a cgroup is told; one while the agent was down, too; none twice", { skip: noKill }, async (t) => {
  const memory = forgetfulStore();
  const early = killForMemory("early");
  const f = await watch(t, {}, memory);
  const first = killForMemory("first");
  await f.until(() => killsIn(f, first).length === 1, "the kill");
  const { subject, data, type, time } = killsIn(f, first)[0]!;
  assert.deepEqual([subject, data["process"], data["scope"], data["limited_cgroup"]], ["tail", "tail", "cgroup", data["cgroup"]]);
  assert.ok(Number(data["pid"]) > 0 && Number(data["anonymous_bytes"]) > 2 ** 20 && Math.abs(time - Date.now()) < 60_000);
  assert.equal(dataProblem(type, data), undefined);
  await f.beacons.stop();
  const second = killForMemory("second");
  const g = await watch(t, {}, memory);
  await g.until(() => killsIn(g, second).length === 1, "the kill of meanwhile");
  assert.deepEqual([killsIn(f, early).length, killsIn(g, first).length], [0, 0]);
});

test("messages of a level are told, what programs write there is not", { skip: noKill }, async (t) => {
  const f = await watch(t, { messages: "err", oom: false, ignore: ["^ignored"] });
  writeFileSync("/dev/kmsg", "<0>a program writes Out of memory: Killed process 1 (x) total-vm:1kB, anon-rss:1kB, file-rss:1kB\n");
  killForMemory("third");
  await f.until(
    () => f.events.some(({ data }) => /Killed process \d+ \(tail\)/.test(String(data["message" as never]))),
    "the message of the kill",
  );
  assert.ok(f.events.every(({ data }) => Number(data["level"]) <= 3 && !String(data["message" as never]).includes("a program")));
});

test("after another boot all messages are new; what was overwritten is told as missed", { skip: noKernelLog }, async (t) => {
  const place = (boot: string, sequence: number) => {
    const memory = forgetfulStore();
    new BeaconMemory(memory, "kernel:test").set("place", { boot, sequence });
    return memory;
  };
  writeFileSync("/dev/kmsg", "<6>so that there is one\n");
  const f = await watch(t, { messages: "debug" }, place("another", 10_000_000));
  const g = await watch(t, { messages: "debug" }, place(bootId(), 10_000_000));
  assert.deepEqual(g.events, [], "nothing is behind that place");
  await f.until(() => f.events.some(({ type }) => type === "kernel.message"), "messages of this boot");
  const oldest = Math.min(...f.events.map(({ data }) => Number(data["sequence"])).filter((sequence) => !Number.isNaN(sequence)));
  if (oldest < 3) return t.diagnostic("this kernel has overwritten nothing yet");
  const h = await watch(t, { messages: "debug" }, place(bootId(), 1));
  await h.until(() => h.events.length > 0, "what was missed");
  assert.equal(h.events[0]!.type, "kernel.missed");
  assert.equal(h.events[0]!.data["from"], 2);
});

test("modules and taint: the first look is the baseline, then every change is told, over restarts, too", async (t) => {
  const f = new Fixture();
  t.after(() => f.end());
  const files = { messages: f.path("kmsg"), modules: f.path("modules"), tainted: f.path("tainted") };
  const kernel = (modules: string, tainted: number) => {
    writeFileSync(files.modules, modules);
    writeFileSync(files.tainted, `${tainted}\n`);
  };
  const memory = forgetfulStore();
  const events: EventDraft[] = [];
  const started = async () => {
    const g = new Fixture({
      memory,
      start: (made: BeaconDefinition, context: BeaconContext) => startKernel(made as DefinitionOf<"kernel">, context, files),
    });
    await g.beacons.apply([definition({ type: "kernel", oom: false, interval: "100ms" })]);
    return g;
  };
  kernel("loop 40960 2 - Live 0x0000000000000000\n", 0);
  const first = await started();
  kernel("loop 40960 3 - Live 0x0000000000000000\nevil 16384 0 - Live 0xffffffffc0a00000 (OE)\n", 12_288);
  await first.until(() => first.events.length === 2, "a module and taint");
  await first.end();
  kernel("evil 16384 0 - Live 0xffffffffc0a00000 (OE)\n", 12_288);
  const second = await started();
  await second.until(() => second.events.length === 1, "the module that went");
  await second.end();
  events.push(...first.events, ...second.events);
  assert.deepEqual(
    events.map(({ type, data }) => [type, data]),
    [
      ["kernel.module_loaded", { module: "evil", size_bytes: 16_384, flags: "OE" }],
      ["kernel.tainted", { value: 12_288, before: 0, added: ["out-of-tree module", "unsigned module"] }],
      ["kernel.module_removed", { module: "loop" }],
    ],
  );
  assert.deepEqual(taintsAdded(2 ** 30, 2 ** 31 + 2 ** 30), ["bit 31"]);
});

test("a log that cannot be read is told, and the rest goes on", async (t) => {
  const f = new Fixture({
    start: (made: BeaconDefinition, context: BeaconContext) =>
      startKernel(made as DefinitionOf<"kernel">, context, { messages: "/nowhere/kmsg", modules: "/nowhere", tainted: "/nowhere" }),
  });
  t.after(() => f.end());
  await f.beacons.apply([definition({ type: "kernel", interval: "100ms" })]);
  await f.until(() => f.events.length > 0, "what it does not see");
  assert.equal(f.events[0]!.type, "beacon.degraded");
  assert.match(String(f.events[0]!.data["message" as never]), /the kernel's log cannot be read/);
  assert.ok(!checkBeacon({ name: "x", type: "kernel", oom: false, modules: false, taint: false }).ok);
});

test("the words of kernels from 3.10 to 6.x are understood", () => {
  const kill = (message: string) => parseOomKill(message);
  const sizes = { virtual_bytes: 1_024_000, anonymous_bytes: 512_000, file_bytes: 4_096 };
  const tail = "total-vm:1000kB, anon-rss:500kB, file-rss:4kB";
  // 3.10 (Red Hat 7), with and without the user.
  assert.deepEqual(kill(`Killed process 12, UID 48, (httpd) ${tail}`), { process: "httpd", pid: 12, uid: 48, scope: "host", ...sizes });
  assert.deepEqual(parseOomChoice("Out of memory: Kill process 12 (httpd) score 900 or sacrifice child"), { pid: 12, scope: "host" });
  assert.deepEqual(kill(`Killed process 12 (httpd) ${tail}`), { process: "httpd", pid: 12, scope: "host", ...sizes });
  // 4.x: shared memory; a cgroup is told of in the line before.
  assert.deepEqual(parseOomChoice("Memory cgroup out of memory: Kill process 12 (java) score 1 or sacrifice child"), {
    pid: 12,
    scope: "cgroup",
  });
  assert.deepEqual(kill(`Killed process 12 (java) ${tail}, shmem-rss:8kB`), {
    process: "java",
    pid: 12,
    scope: "host",
    ...sizes,
    shared_bytes: 8_192,
  });
  // 5.x and 6.x; a process may call itself anything.
  const rest = "shmem-rss:8kB, UID:1000 pgtables:52kB oom_score_adj:-100";
  assert.deepEqual(kill(`Memory cgroup out of memory: Killed process 12 (a) total-vm:1kB (b) ${tail}, ${rest}`), {
    ...{ process: "a) total-vm:1kB (b", pid: 12, uid: 1_000, scope: "cgroup", ...sizes, shared_bytes: 8_192, score_adjustment: -100 },
  });
  assert.equal(kill(`Out of memory (oom_kill_allocating_task): Killed process 12 (x) ${tail}, ${rest}`)?.scope, "host");
  const constraint =
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=x,pid=1,uid=0,pid=12,uid=1000";
  assert.deepEqual(parseOomConstraint(constraint), { pid: 12, scope: "cgroup", cgroup: "/a/b", limited_cgroup: "/a" });
  const host =
    "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/user.slice,task=java,pid=12,uid=1000";
  assert.deepEqual(parseOomConstraint(host), { pid: 12, scope: "host", cgroup: "/user.slice" });
  for (const other of ["oom_reaper: reaped process 12 (java), now anon-rss:0kB", "Out of memory and no killable processes..."])
    assert.equal(kill(other), undefined);
});

test("a record of the kernel's log: its level, who wrote it, and its text", () => {
  assert.deepEqual(parseKernelRecord("3,1234,98765432,-;I/O error \\xc3\\xa4;x\n SUBSYSTEM=block\n"), {
    level: 3,
    fromKernel: true,
    sequence: 1_234,
    uptimeMs: 98_765.432,
    message: "I/O error ä;x",
  });
  assert.equal(parseKernelRecord("12,1,2,-;x")?.fromKernel, false);
  assert.equal(parseKernelRecord("nonsense"), undefined);
});
