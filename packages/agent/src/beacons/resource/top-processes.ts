/**
 * Which processes take the most, for the event that says that something is short. Read from /proc when such an event is made, and only then.
 */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Accounts } from "../../accounts.ts";

const topMax = 5;
/** Between the two looks at who takes the processor. */
const sampleMs = 250;
/** The kernel counts processor time in hundredths of a second for all who read it here (USER_HZ). */
const tickMs = 10;
/** The kernel's own limit is 15, but for its own threads. */
const nameCharactersMax = 64;

export interface TopProcess {
  pid: number;
  name: string;
  user: string;
  cpu_percent?: number;
  memory_bytes?: number;
}

/** Those that take the most processor time within a moment from now. */
export async function busiestProcesses(accounts: Accounts, signal: AbortSignal): Promise<TopProcess[]> {
  const before = processTicks();
  const begun = performance.now();
  await delay(sampleMs, undefined, { signal }).catch(() => undefined); // the beacon stops: what there is by then
  const tookMs = performance.now() - begun;
  const taken = [...processTicks()].map(([pid, ticks]) => ({ pid, ticks: ticks - (before.get(pid) ?? ticks) }));
  return taken
    .filter(({ ticks }) => ticks > 0)
    .toSorted((a, b) => b.ticks - a.ticks)
    .slice(0, topMax)
    .flatMap(({ pid, ticks }) => {
      const status = readStatus(pid, accounts);
      return status === undefined ? [] : [{ ...status.process, cpu_percent: Math.round(((ticks * tickMs) / tookMs) * 1_000) / 10 }];
    });
}

/** Those that hold the most resident memory. */
export function largestProcesses(accounts: Accounts): TopProcess[] {
  const all = pids().flatMap((pid) => readStatus(pid, accounts) ?? []);
  return all
    .toSorted((a, b) => b.memoryBytes - a.memoryBytes)
    .slice(0, topMax)
    .map(({ process, memoryBytes }) => ({ ...process, memory_bytes: memoryBytes }));
}

function pids(): number[] {
  return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

function processTicks(): Map<number, number> {
  return new Map(
    pids().flatMap((pid) => {
      const stat = read(`/proc/${pid}/stat`);
      // The name may hold anything, parentheses too: what counts comes after the last one (proc(5)).
      const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
      return fields === undefined ? [] : [[pid, Number(fields[11]) + Number(fields[12])] as const];
    }),
  );
}

function readStatus(pid: number, accounts: Accounts): { process: TopProcess; memoryBytes: number } | undefined {
  const status = read(`/proc/${pid}/status`);
  if (status === undefined) return undefined;
  const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, "m").exec(status)?.[1] ?? "";
  const user = accounts.users.name(Number(field("Uid").split("\t")[1]));
  const process = { pid, name: field("Name").slice(0, nameCharactersMax), user };
  return { process, memoryBytes: Number.parseInt(field("VmRSS") || "0", 10) * 1024 };
}

/** Undefined: it has ended meanwhile. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
