/** A control group whose processes may hold so much memory together and no more, of either version of the kernel's groups. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

const endMsMax = 30_000;
const [first, second] = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];

export interface MemoryGroupOptions {
  name: string;
  bytesMax: number;
  /** What does not fit goes to swap space; else a process is killed. */
  swaps: boolean;
}

export class MemoryGroup {
  readonly path: string;

  constructor({ name, bytesMax, swaps }: MemoryGroupOptions) {
    const isFirst = existsSync(`${first}/memory.limit_in_bytes`);
    this.path = `${isFirst ? first : second}/${name}`;
    mkdirSync(this.path);
    const set = (file: string, value: string) => writeFileSync(`${this.path}/${file}`, value);
    try {
      set(isFirst ? "memory.limit_in_bytes" : "memory.max", String(bytesMax));
      if (isFirst) set("memory.swappiness", swaps ? "100" : "0");
      else if (existsSync(`${this.path}/memory.swap.max`)) set("memory.swap.max", swaps ? "max" : "0");
    } catch (error) {
      rmdirSync(this.path);
      throw error;
    }
  }

  /** Why there can be none here; undefined: there can. */
  static missing(name: string): string | undefined {
    try {
      rmdirSync(new MemoryGroup({ name, bytesMax: 16 * 2 ** 20, swaps: false }).path);
      return undefined;
    } catch {
      return "needs the right to make a memory control group";
    }
  }

  /** Starts a program in it; `argv` is one line of shell that runs nothing else. */
  start(command: string): ChildProcess {
    return spawn("/bin/sh", ["-c", `echo $$ >${this.path}/cgroup.procs && exec ${command}`], { stdio: "ignore" });
  }

  /** Once its processes have ended. */
  async remove(): Promise<void> {
    const until = performance.now() + endMsMax;
    for (;;) {
      try {
        return rmdirSync(this.path);
      } catch (error) {
        if (performance.now() > until) throw error;
        await delay(10);
      }
    }
  }
}
