/** What the kernel says: processes that it kills for want of memory, each in a control group of our own, where nobody else is hit. */
import { once } from "node:events";
import { closeSync, copyFileSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Driver, interval, type Place } from "./driver.ts";
import { MemoryGroup } from "./memory-group.ts";

const groupBytesMax = 16 * 2 ** 20;
/** The kernel tells all about ten kills in five seconds, whosoever they are: some are left to others on this machine. */
const pauseMs = 1_000;

export function noKills(): string | undefined {
  try {
    closeSync(openSync("/dev/kmsg", "r"));
  } catch {
    return "needs the right to read /dev/kmsg";
  }
  return MemoryGroup.missing(`needfire-try-${process.pid}`);
}

export function killsForMemory({ folder, tag }: Place): Driver {
  // By its name, of 15 characters at most: of many kills at once the kernel does not say the group.
  const program = join(folder, `${tag}-oom`);
  copyFileSync("/usr/bin/tail", program);
  const group = new MemoryGroup({ name: `${tag}-kernel`, bytesMax: groupBytesMax, swaps: false });
  return {
    options: { interval },
    keyOf: ({ type, subject, data }) => (subject === `${tag}-oom` ? `${type} ${String(data["pid"])}` : undefined),
    delays: "16 MiB are taken first",
    async change() {
      // It keeps a line until its end, which /dev/zero has not.
      const hog = group.start(`${program} /dev/zero`);
      const [, signal] = (await once(hog, "exit")) as [number | null, string | null];
      if (signal !== "SIGKILL") throw new Error(`nothing was killed for want of memory: it ended with ${signal}`);
      await delay(pauseMs);
      return [`oom.killed ${hog.pid}`];
    },
    stop: () => group.remove(),
  };
}
