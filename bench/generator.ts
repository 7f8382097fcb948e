/**
 * A process full of simulated agents, told what to do by its parent (fleet.ts) and telling it how far it is.
 */
import { setPriority } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { Context } from "zeromq";
import { OpenFiles } from "./open-files.ts";
import { type Counts, SimulatedAgent, type SimulatedEvent } from "./simulated-agent.ts";

export interface Start {
  kind: "start";
  names: string[];
  address: string;
  masterKey: string;
  token: string | undefined;
  /** Agents that begin to connect in a second. */
  perSecond: number;
  /** Of the process, as `nice` counts. */
  nice: number;
}
/** `emit`: each agent has so many events, all at once or `inTurn`. `flood`: each offers such events until `calm`. `count-returns`: sessions from now on count as `back`. */
export type Order = Start | Emit | { kind: "flood"; event: NewEvent } | { kind: "calm" | "count-returns" };
export interface Emit {
  kind: "emit";
  event: NewEvent;
  times: number;
  /** Each when the command that followed from the one before has ended. */
  inTurn: boolean;
}
export type NewEvent = Omit<SimulatedEvent, "time">;
export type Report = Counts & { offered: number };

const reportMs = 50;
const socketsMax = 20_000;

const agents: SimulatedAgent[] = [];
const counts: Counts = { joined: 0, back: 0, executed: 0, acknowledged: 0, answered: 0, disconnected: 0 };
let told = "";

process.on("message", (order: Order) => {
  if (order.kind === "start") void start(order);
  if (order.kind === "emit") for (const agent of agents) emit(agent, order);
  if (order.kind === "flood") for (const agent of agents) agent.flood(() => ({ ...order.event, time: Date.now() }));
  if (order.kind === "count-returns") for (const agent of agents) agent.countReturn();
  if (order.kind === "calm") for (const agent of agents) agent.flood(undefined);
});
process.on("disconnect", () => process.exit());

function emit(agent: SimulatedAgent, { event, times, inTurn }: Emit): void {
  const next = () => ({ ...event, time: Date.now() });
  if (inTurn) return agent.emitInTurn(next, times);
  for (let time = 0; time < times; time++) agent.emit(next());
}

async function start({ names, address, masterKey, token, perSecond, nice }: Start): Promise<void> {
  setPriority(nice);
  // Twice a socket each: the monitor that tells of a broken connection is one, too.
  const context = new Context({ maxSockets: socketsMax });
  const files = new OpenFiles();
  const onCount = (what: keyof Counts, by: number) => {
    counts[what] += by;
  };
  setInterval(report, reportMs);
  const from = performance.now();
  for (const id of names) {
    const agent = new SimulatedAgent({ id, address, masterKey, token, context, files, onCount });
    agents.push(agent);
    agent.start();
    const aheadMs = (agents.length / perSecond) * 1_000 - (performance.now() - from);
    if (aheadMs > 5) await delay(aheadMs);
  }
}

function report(): void {
  const now: Report = { ...counts, offered: agents.reduce((sum, { offered }) => sum + offered, 0) };
  const text = JSON.stringify(now);
  if (text === told) return;
  told = text;
  process.send?.(now);
}
