/**
 * Changes to what the machine as a whole has: processor time, memory, swap space. Each threshold is a little over what is in use when the
 * driver is made. Whoever else works on the machine changes the same.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errorText } from "@needfire/shared/errors";
import { loadBetween, readTicks } from "../../packages/agent/src/beacons/resource/cpu-ticks.ts";
import { readMemorySpace } from "../../packages/agent/src/beacons/resource/memory-space.ts";
import { type Driver, interval, type Place } from "./driver.ts";
import { MemoryGroup } from "./memory-group.ts";

const mebibyte = 2 ** 20;
const cores = availableParallelism();
const sampleMs = 1_000;
const hogBytes = 512 * mebibyte;
const pressurePercentMax = 80;
const swapBytes = 128 * mebibyte;

/** An even change starts it, an odd one ends it. */
interface Effort {
  type: "cpu" | "load" | "memory" | "pressure" | "swap";
  options: Record<string, unknown>;
  delays: string;
  start(): ChildProcess[];
  stop?(): void | Promise<void>;
}

export async function busyCores(): Promise<Driver> {
  const before = readTicks();
  await delay(sampleMs);
  const percent = loadBetween(before, readTicks());
  // Over what all cores together come to for certain no threshold may be.
  const over = (share: number) => Math.min(97, percent + (100 - percent) * share);
  return effort({
    type: "cpu",
    options: { above: over(0.6), clear_below: over(0.4), for: "400ms" },
    delays: "the load is that of the time since the look before",
    start: () => spinning(cores),
  });
}

export function manyRunnable(): Driver {
  const load = Number(readFileSync("/proc/loadavg", "latin1").split(" ")[0]);
  return effort({
    type: "load",
    options: { average: "1m", per_core: false, above: load + 0.1, for: "0s" },
    delays: "the kernel takes its average every 5 s",
    // Twice what there is: over the threshold with the next average, even when all else ends.
    start: () => spinning(Math.ceil(load) * 2 + cores * 2),
  });
}

export function noPressure(): string | undefined {
  if (!existsSync("/proc/pressure/cpu")) return "this kernel tells no pressure (CONFIG_PSI)";
  const percent = cpuPressure();
  return percent < pressurePercentMax ? undefined : `others wait for the cores ${percent} % of the time already`;
}

export function coresWaitedFor(): Driver {
  return effort({
    type: "pressure",
    // It may have risen since it was asked whether it can be driven; what it comes to with ours beside it is near 100.
    options: { resource: "cpu", average: "10s", above: Math.min(90, cpuPressure() + 5), for: "0s" },
    delays: "the kernel takes its average over 10 s every 2 s",
    start: () => spinning(cores * 2),
  });
}

function cpuPressure(): number {
  return Number(/^some avg10=([0-9.]+)/.exec(readFileSync("/proc/pressure/cpu", "latin1"))?.[1]);
}

export function tooLittleMemory(): string | undefined {
  return readMemorySpace().available > 4 * hogBytes ? undefined : `needs ${(4 * hogBytes) / mebibyte} MiB of memory that nobody uses`;
}

export function memoryTaken(): Driver {
  const { total, available } = readMemorySpace();
  return effort({
    type: "memory",
    options: { above: ((total - available + hogBytes * 0.4) / total) * 100, for: "0s" },
    delays: `${Math.round((hogBytes * 0.4) / mebibyte)} MiB are taken first`,
    start: () => [spawn(process.execPath, ["-e", hog(hogBytes)], { stdio: "ignore" })],
  });
}

/** Not every file system can hold swap space, and not every container may have some. */
export function noSwap(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  const folder = mkdtempSync(join(tmpdir(), "needfire-swap-"));
  try {
    const end = swapOn(join(folder, "swap"), mebibyte);
    end();
    return MemoryGroup.missing(`needfire-try-${process.pid}`);
  } catch (error) {
    return `no swap space can be made here: ${errorText(error)}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Swap space of our own, into which one program is driven by the limit of its group. */
export function swapTaken({ folder, tag }: Place): Driver {
  const group = new MemoryGroup({ name: `${tag}-swap`, bytesMax: 40 * mebibyte, swaps: true });
  const swapOff = swapOn(join(folder, "swap"), swapBytes);
  const { swapTotal, swapFree } = readMemorySpace();
  return effort({
    type: "swap",
    options: { above: ((swapTotal - swapFree + swapBytes * 0.15) / swapTotal) * 100, for: "0s" },
    delays: "19 MiB are written to the disk first",
    start: () => [group.start(`${process.execPath} -e '${hog(90 * mebibyte)}'`)],
    stop: async () => {
      await group.remove();
      swapOff();
    },
  });
}

/** Gives what takes it away. */
function swapOn(file: string, bytes: number): () => void {
  const run = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: "pipe" });
  // With holes in it the kernel would not take it.
  writeFileSync(file, Buffer.alloc(bytes), { mode: 0o600 });
  run("mkswap", file);
  run("swapon", file);
  return () => run("swapoff", file);
}

function effort({ type, options, delays, start, stop }: Effort): Driver {
  let going: ChildProcess[] = [];
  const end = async () => {
    for (const each of going.splice(0)) {
      if (each.exitCode !== null || each.signalCode !== null) continue;
      const ended = once(each, "exit");
      each.kill("SIGKILL");
      await ended;
    }
  };
  return {
    options: { ...options, interval },
    keyOf: (event) => event.type,
    endsUnmeasured: true,
    delays,
    async change(number) {
      const starts = number % 2 === 0;
      if (starts) going = start();
      else await end();
      return [`${type}.${starts ? "high" : "normal"}`];
    },
    stop: async () => {
      await end();
      await stop?.();
    },
  };
}

/** Does nothing, all the time, and not longer than we are there. */
function spinning(count: number): ChildProcess[] {
  const loop = `while test -d /proc/${process.pid}; do :; done`;
  return Array.from({ length: count }, () => spawn("/bin/sh", ["-c", loop], { stdio: "ignore" }));
}

/** A program that holds so much, until we are gone. */
function hog(bytes: number): string {
  return `globalThis.x = Buffer.alloc(${bytes}, 1); setInterval(() => require("fs").existsSync("/proc/${process.pid}") || process.exit(), 1000)`;
}
