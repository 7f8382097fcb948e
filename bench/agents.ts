/**
 * Very many agents at one master: what each costs it in memory, how long all take to join, what their heartbeats cost, how long until all
 * have answered a command, and until all are back after the master was killed.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Testbed } from "../test/testbed.ts";
import { type Figure, figuresOf } from "./figure.ts";
import { Fleet } from "./fleet.ts";
import { cpuSecondsOf, memoryOf } from "./process-usage.ts";

const agentsDefault = 10_000;
const heartbeat = "5s";
const settleMs = 5_000;
const heartbeatsMeasuredMs = 10_000;
/** New agents do not come all at once; what all at once does is seen after the restart. Faster than they are taken they give up after 10 s. */
const perSecond = 400;
const waitS = 120;

/** A task runs on the host whose event fired it, so that each is told by an event of its own: the command's way, plus an event's. */
const reactor = `name: everybody
on: bench.wanted
do:
  - command.run: { argv: ["true"] }
`;

export async function agents({ count = agentsDefault }: { count?: number | undefined }): Promise<Figure[]> {
  const bed = await Testbed.start({ heartbeat, master: "log_level: warn" }, (made) => made.reactor("everybody", reactor));
  let fleet: Fleet | undefined;
  try {
    const { join_string: joinString } = await bed.client.createToken({ uses: count });
    await delay(settleMs);
    const before = memoryOf(bed.master.pid);
    fleet = Fleet.start({ joinString, agents: count, perSecond });
    const joinS = await fleet.until("joined", count, waitS);
    await delay(settleMs);
    const after = memoryOf(bed.master.pid);
    const cpuFrom = cpuSecondsOf(bed.master.pid);
    await delay(heartbeatsMeasuredMs);
    const heartbeatCpu = (cpuSecondsOf(bed.master.pid) - cpuFrom) / (heartbeatsMeasuredMs / 1_000);
    const disconnected = fleet.total("disconnected");
    fleet.emit({ type: "bench.wanted", severity: "normal", data: {} });
    const commandS = await fleet.until("answered", count, waitS);
    const executed = fleet.total("executed");
    const backS = await restart(bed, fleet);
    const settings = {
      agents: count,
      processes: fleet.processes,
      per_second_offered: perSecond,
      heartbeat,
      synchronous: "FULL",
      encryption: "CURVE",
      memory: "private (Private_Clean + Private_Dirty), after 5 s",
      command: "each agent's event fires a reactor that runs a command on it; until its result is acknowledged",
      restart: "SIGKILL, started at once",
    };
    const figure = figuresOf("agents", settings);
    return [
      figure("bytes_per_agent", (after.privateBytes - before.privateBytes) / count, "bytes", 50_000),
      figure("rss_per_agent", (after.rssBytes - before.rssBytes) / count, "bytes"),
      figure("join_s", joinS, "s"),
      figure("connections_given_up", disconnected, "times"),
      figure("heartbeat_cpu_pct", heartbeatCpu * 100, "% of a core"),
      figure("command_all_s", commandS, "s", 10),
      figure("commands_run_again", executed - count, "times"),
      figure("all_back_s", backS, "s", 30),
    ];
  } finally {
    fleet?.stop();
    await bed.stop();
  }
}

/** Seconds from the kill until every agent has a session with the master that was started anew. */
async function restart(bed: Testbed, fleet: Fleet): Promise<number> {
  fleet.countReturns();
  await delay(1_000);
  const from = performance.now();
  await bed.master.stop("SIGKILL");
  await bed.startMaster();
  await fleet.until("back", fleet.size, waitS);
  return (performance.now() - from) / 1_000;
}
