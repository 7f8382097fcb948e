/**
 * What an idle agent takes from its host: memory and processor time of a real one with ten beacons, beside a Node that does nothing, in
 * the same minute; and how soon after its start it has joined.
 */
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Testbed, until } from "../test/testbed.ts";
import { type Figure, figuresOf } from "./figure.ts";
import { childrenCpuSecondsOf, cpuSecondsOf, memoryOf } from "./process-usage.ts";
import { quantile } from "./quantile.ts";

const idleSecondsDefault = 60;
const settleMs = 10_000;
const starts = 7;
const trees = 7;
const foldersPerTree = 10;
const filesPerFolder = 10;
const heartbeat = "5s";

export async function footprint({ count = idleSecondsDefault }: { count?: number | undefined }): Promise<Figure[]> {
  const bed = await Testbed.start({ heartbeat }, addBeacons);
  const bare = spawn(process.execPath, ["-e", "setInterval(() => {}, 1_000)"], { stdio: "ignore" });
  try {
    const joined = await startAgain(bed);
    const agent = bed.agents.get("host")!;
    await bed.watching("host", "managed-files", "cpu-short", `tree-${trees - 1}`);
    await delay(settleMs);
    const [agentCpu, bareCpu] = await cpuShares([agent.pid, bare.pid!], count);
    const memory = memoryOf(agent.pid);
    const bareMemory = memoryOf(bare.pid!);
    const settings = {
      beacons: trees + 3,
      files_watched: trees * foldersPerTree * filesPerFolder,
      idle_s: count,
      heartbeat,
      starts,
      synchronous: "FULL",
      encryption: "CURVE",
      private: "Private_Clean + Private_Dirty of smaps_rollup",
      joined: "median, from the start of the process to the master's agent.connected; compiled code cached",
      bare: "node -e 'setInterval(() => {}, 1000)'",
    };
    const figure = figuresOf("footprint", settings);
    return [
      figure("rss_mb", memory.rssBytes / 1e6, "MB", 80),
      figure("private_mb", memory.privateBytes / 1e6, "MB", 35),
      figure("cpu_pct", agentCpu! * 100, "% of a core", 0.5),
      figure("joined_s", quantile(joined, 0.5), "s", 0.5),
      figure("joined_max_s", Math.max(...joined), "s"),
      figure("bare_rss_mb", bareMemory.rssBytes / 1e6, "MB"),
      figure("bare_private_mb", bareMemory.privateBytes / 1e6, "MB"),
      figure("bare_cpu_pct", bareCpu! * 100, "% of a core"),
      figure("rss_over_bare", memory.rssBytes / bareMemory.rssBytes, "x"),
      figure("private_over_bare", memory.privateBytes / bareMemory.privateBytes, "x"),
    ];
  } finally {
    bare.kill("SIGKILL");
    await bed.stop();
  }
}

/** The managed files, seven trees of a hundred files, and the load in two ways. */
function addBeacons(bed: Testbed): void {
  bed.manage("managed.conf", { content: "a line\n" });
  bed.beacon("managed-files", "name: managed-files\ntype: file\nmanaged: true\n");
  bed.beacon("cpu", "name: cpu\ntype: cpu\nabove: 99\nfor: 10m\n");
  bed.beacon("cpu-short", "name: cpu-short\ntype: cpu\nabove: 99\nfor: 10m\ninterval: 5s\n");
  for (let tree = 0; tree < trees; tree++) {
    const root = bed.path(`tree-${tree}`);
    for (let folder = 0; folder < foldersPerTree; folder++) {
      mkdirSync(`${root}/${folder}`, { recursive: true });
      for (let file = 0; file < filesPerFolder; file++) writeFileSync(`${root}/${folder}/${file}.conf`, `a line of ${file}\n`);
    }
    bed.beacon(`tree-${tree}`, `name: tree-${tree}\ntype: file\npaths: ["${root}/**"]\n`);
  }
}

/** Starts an agent that has joined before, again and again, and leaves the last one running. Seconds from each start to its session. */
async function startAgain(bed: Testbed): Promise<number[]> {
  await (await bed.addAgent("host")).stop();
  const took: number[] = [];
  for (let start = 0; start < starts; start++) {
    if (start > 0) await bed.agents.get("host")!.stop();
    const from = Date.now();
    bed.launchAgent("host");
    took.push((await connectedAfter(bed, from)) / 1_000);
  }
  return took;
}

async function connectedAfter(bed: Testbed, from: number): Promise<number> {
  let at = Number.NaN;
  await until("the agent has joined", async () => {
    const [latest] = (await bed.client.events({ type: "agent.connected", limit: 1 })).events;
    at = latest === undefined ? 0 : Date.parse(latest.time);
    return at >= from;
  });
  return at - from;
}

/** Shares of a core that processes, and the programs that they started, took over some seconds. */
async function cpuShares(pids: number[], seconds: number): Promise<number[]> {
  const spent = (pid: number) => cpuSecondsOf(pid) + childrenCpuSecondsOf(pid);
  const before = pids.map(spent);
  await delay(seconds * 1_000);
  return pids.map((pid, index) => (spent(pid) - before[index]!) / seconds);
}
