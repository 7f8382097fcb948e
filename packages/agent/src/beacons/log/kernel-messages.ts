/** What the kernel writes: records of /dev/kmsg, what they say of a process that was killed for want of memory, and taint. Pure. */
import type { OomKilledData } from "@needfire/shared/beacons/kernel";

export interface KernelRecord {
  /** 0 (emerg) to 7 (debug). */
  level: number;
  /** False: a program wrote it to /dev/kmsg. */
  fromKernel: boolean;
  sequence: number;
  /** Since the boot. */
  uptimeMs: number;
  message: string;
}

/** `6,1234,98765,-;text`, and lines that begin with a space and name a device. */
export function parseKernelRecord(text: string): KernelRecord | undefined {
  const found = /^(\d{1,6}),(\d{1,15}),(\d{1,18}),[^;]*;([^\n]*)/.exec(text);
  if (found === null) return undefined;
  const [, priority, sequence, micros, message] = found;
  return {
    level: Number(priority) & 7,
    fromKernel: Number(priority) >> 3 === 0,
    sequence: Number(sequence),
    uptimeMs: Number(micros) / 1_000,
    message: unescaped(message!),
  };
}

/** What is not printable stands as `\x1b` there. */
function unescaped(message: string): string {
  if (!message.includes("\\x")) return message;
  const bytes = Buffer.from(
    message.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    "latin1",
  );
  return bytes.toString("utf8");
}

/** What the line before the kill says, from kernel 5.0 on. */
export interface OomConstraint {
  pid: number;
  scope: OomKilledData["scope"];
  cgroup?: string;
  limited_cgroup?: string;
}

export function parseOomConstraint(message: string): OomConstraint | undefined {
  // The name of the process may be anything, so what follows it is taken from the end.
  const found = /^oom-kill:constraint=(\w+),.*?(?:,oom_memcg=(.*?))?,task_memcg=(.*),task=.*,pid=(\d+),uid=\d+$/.exec(message);
  if (found === null) return undefined;
  const [, constraint, limited, cgroup, pid] = found;
  return {
    pid: Number(pid),
    scope: constraint === "CONSTRAINT_MEMCG" ? "cgroup" : "host",
    cgroup: cgroup!,
    ...(limited === undefined ? {} : { limited_cgroup: limited }),
  };
}

/** "Killed process": in one line from 5.1 on, after a line that says of what there was too little before that. */
export function parseOomKill(message: string): OomKilledData | undefined {
  const found =
    /^(Memory cgroup out of memory: |Out of memory(?: \([^)]*\))?: )?Killed process (\d+)(?:, UID (\d+),)? \((.*)\),? total-vm:(\d+)kB, anon-rss:(\d+)kB, file-rss:(\d+)kB(.*)$/.exec(
      message,
    );
  if (found === null) return undefined;
  const [, short, pid, oldUid, name, virtual, anonymous, file, rest] = found;
  const uid = /\bUID:(\d+)/.exec(rest!)?.[1] ?? oldUid;
  const shared = /\bshmem-rss:(\d+)kB/.exec(rest!)?.[1];
  const score = /\boom_score_adj:(-?\d+)/.exec(rest!)?.[1];
  return {
    process: name!,
    pid: Number(pid),
    ...(uid === undefined ? {} : { uid: Number(uid) }),
    scope: short?.startsWith("Memory cgroup") === true ? "cgroup" : "host",
    virtual_bytes: Number(virtual) * 1_024,
    anonymous_bytes: Number(anonymous) * 1_024,
    file_bytes: Number(file) * 1_024,
    ...(shared === undefined ? {} : { shared_bytes: Number(shared) * 1_024 }),
    ...(score === undefined ? {} : { score_adjustment: Number(score) }),
  };
}

/** Before 5.1 the line of the choice says whether a cgroup was short, and the line of the kill does not. */
export function parseOomChoice(message: string): OomConstraint | undefined {
  const found = /^(Memory cgroup out|Out) of memory: Kill process (\d+) \(/.exec(message);
  return found === null ? undefined : { pid: Number(found[2]), scope: found[1] === "Out" ? "host" : "cgroup" };
}

/** By the number of the bit: kernel documentation, admin-guide/tainted-kernels. */
const taints = [
  "proprietary module",
  "forced module load",
  "kernel out of specification",
  "forced module unload",
  "machine check",
  "bad page",
  "user request",
  "kernel died",
  "ACPI table overridden",
  "warning",
  "staging driver",
  "firmware workaround",
  "out-of-tree module",
  "unsigned module",
  "soft lockup",
  "live patch",
  "auxiliary taint",
  "randomized structures",
  "in-kernel test",
  "changed sysctl or fwctl",
];

/** What `value` has that `before` had not. */
export function taintsAdded(before: number, value: number): string[] {
  return Array.from({ length: 32 }, (_, bit) => bit)
    .filter((bit) => hasBit(value, bit) && !hasBit(before, bit))
    .map((bit) => taints[bit] ?? `bit ${bit}`);
}

function hasBit(value: number, bit: number): boolean {
  return Math.floor(value / 2 ** bit) % 2 === 1;
}
