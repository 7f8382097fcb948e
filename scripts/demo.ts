/**
 * The main job, shown: a master and an agent as two processes on loopback, a managed file changed by a careless hand, and the way of the
 * event until the file is back. `--once` ends then, with one line of JSON; else it follows the events until Ctrl-C.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { EventView, TaskView } from "@needfire/shared/api";
import { isoTime } from "@needfire/shared/clock";
import { formatDuration } from "@needfire/shared/duration";
import { errorText } from "@needfire/shared/errors";
import { Client } from "../packages/cli/src/client.ts";

const root = join(import.meta.dirname, "..");
const home = join(root, ".needfire");
const socket = join(home, "master.sock");
const managedFile = join(home, "host", "etc", "greeter.conf");
const agentId = "demo-host";
const program = join(root, "packages", "cli", "bin", "needfire.js");
const restoreLimitMs = 10_000;
const startLimitMs = 30_000;

const desired = `# Managed by Needfire. Change the source on the master, not this file.
[greeter]
listen    = 127.0.0.1:8080
workers   = 4
greeting  = "hello, world"
tls       = required
`;

const said: Record<string, (event: EventView) => string> = {
  "file.drifted": ({ data }) => `event      the agent saw it: ${(data["changes"] as string[]).join(", ")} not as it should be`,
  "task.created": ({ data }) =>
    `match      reactor ${String(data["reactor"])}, task ${String(data["task"])}: ${(data["actions"] as string[]).join(", ")}`,
  "task.verifying": ({ data }) => `verifying  ${String(data["action"])}`,
  "execution.finished": ({ data }) =>
    `result     ${String(data["action"])} ${String(data["outcome"])}${data["message"] === undefined ? "" : `: ${String(data["message"])}`}`,
  "task.resolved": ({ data }) => (data["verified"] === true ? "verified   the task is resolved" : "resolved"),
  "task.escalated": ({ data }) => `escalated  ${String(data["reason"])}`,
};

const { values: flags } = parseArgs({ options: { once: { type: "boolean" }, help: { type: "boolean", short: "h" } } });
if (flags.help === true) {
  console.log(
    "npm start              show the main job, then follow the events until Ctrl-C\nnpm start -- --once    show it, say how long it took as JSON, and end",
  );
} else {
  process.exitCode = await main(flags.once === true);
}

async function main(onlyOnce: boolean): Promise<number> {
  const children: ChildProcess[] = [];
  const stop = new AbortController();
  // Not once: a terminal and npm may both send it.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
  const client = new Client({ path: socket, from: "demo" });
  if (await answers(client)) {
    console.error(`The demo is running in this checkout already (${relative(process.cwd(), socket)}). Stop it there with Ctrl-C.`);
    return 1;
  }
  try {
    prepare();
    await startBoth(client, children);
    const shown = await showMainJob(client, stop.signal);
    if (onlyOnce) {
      console.log(JSON.stringify(shown));
      return shown.restored ? 0 : 1;
    }
    sayWhatNext();
    await follow(client, stop.signal);
    return 0;
  } catch (error) {
    if (stop.signal.aborted) return 130;
    console.error(errorText(error));
    console.error(`The logs: ${relative(process.cwd(), join(home, "master.log"))}, ${relative(process.cwd(), join(home, "agent.log"))}`);
    if (onlyOnce) console.log(JSON.stringify({ restored: false, reason: errorText(error) }));
    return 1;
  } finally {
    for (const child of children.toReversed()) await end(child);
  }
}

/** Writes the configuration of both sides. The state of an earlier run is kept: history is part of the show. */
function prepare(): void {
  const owner = String(process.getuid?.() ?? 0);
  const group = String(process.getgid?.() ?? 0);
  mkdirSync(join(home, "files"), { recursive: true });
  mkdirSync(dirname(managedFile), { recursive: true });
  writeFileSync(join(home, "files", "greeter.conf"), desired);
  writeFileSync(
    join(home, "files.yaml"),
    `files:\n  - path: ${JSON.stringify(managedFile)}\n    source: greeter.conf\n    owner: "${owner}"\n    group: "${group}"\n    mode: "0644"\n`,
  );
  writeFileSync(
    join(home, "master.yaml"),
    `state: master\nlisten: tcp://127.0.0.1:*\nsocket: master.sock\nenrolment: token\nreactors: [../reactors]\nbeacons: [../beacons/managed-files.yaml, ../beacons/cpu.yaml, ../beacons/memory.yaml, ../beacons/disk.yaml]\nfiles: files.yaml\nfiles_root: files\n`,
  );
}

async function startBoth(client: Client, children: ChildProcess[]): Promise<void> {
  const master = start("master", ["master", "--config", join(home, "master.yaml")]);
  children.push(master);
  await until("the master is ready", [master], () => answers(client));
  const known = (await client.agents()).agents.some(({ id }) => id === agentId);
  const { join_string: joinString, fingerprint } = known ? await client.status() : await client.createToken({ uses: 1, ttl_ms: 60_000 });
  say(`master  ${fingerprint}  pid ${master.pid}`);
  await joined(joinString);
  // A wrong state that an earlier run left behind was told by that, and is not told again.
  if (known && existsSync(managedFile)) writeFileSync(managedFile, desired);
  const agent = start("agent", ["agent", "--config", join(home, "agent.yaml")]);
  children.push(agent);
  const since = new Date().toISOString();
  await until("the agent watches", [master, agent], async () =>
    (await client.events({ agent: agentId, type: "beacon.applied", since })).events.some(({ data }) =>
      (data["beacons"] as { name: string }[]).some(({ name }) => name === "managed-files"),
    ),
  );
  const { agents } = await client.agents();
  say(`agent   ${agents.find(({ id }) => id === agentId)?.fingerprint}  pid ${agent.pid}`);
  // At its first start the file is not there yet: that is drift, too, and is put right the same way.
  await until(
    "the managed file is in place",
    [master, agent],
    async () => existsSync(managedFile) && readFileSync(managedFile, "utf8") === desired,
    restoreLimitMs,
  );
  await until(
    "the agent is idle",
    [master, agent],
    async () => (await client.tasks({ state: "running" })).tasks.length + (await client.tasks({ state: "verifying" })).tasks.length === 0,
  );
}

async function joined(joinString: string): Promise<void> {
  const joining = start("join", [
    "agent",
    "join",
    joinString,
    "--config",
    join(home, "agent.yaml"),
    "--id",
    agentId,
    "--state",
    join(home, "agent"),
    "--allow-commands",
    "any",
  ]);
  const [code] = (await once(joining, "exit")) as [number | null];
  if (code !== 0) throw new Error(`the agent could not join:\n${readFileSync(join(home, "join.log"), "utf8").trim()}`);
}

interface Shown {
  restored: boolean;
  detect_ms?: number;
  react_ms?: number;
  restore_ms?: number;
  total_ms?: number;
  reason?: string;
}

async function showMainJob(client: Client, stop: AbortSignal): Promise<Shown> {
  say("");
  say(`The managed file:  ${relative(process.cwd(), managedFile)}`);
  say("A careless hand:   sed -i 's/required/off/; s/workers   = 4/workers   = 400/' on it");
  say("");
  const changedAt = nowMs();
  // As sed does it: a file beside, renamed over.
  writeFileSync(`${managedFile}.sed`, desired.replace("required", "off").replace("workers   = 4", "workers   = 400"));
  renameSync(`${managedFile}.sed`, managedFile);
  const signal = AbortSignal.any([stop, AbortSignal.timeout(restoreLimitMs)]);
  const restoredMs = await restoredAt(signal);
  const seen = await eventsOfChange(client, changedAt, signal);
  const taskId = seen.find(({ type }) => type === "task.created")?.data["task"];
  const task = typeof taskId === "string" ? await client.task(taskId) : undefined;
  for (const hop of hops(seen, task))
    say(`  ${clockOf(hop.time)}  +${formatDuration(Math.max(0, hop.time - changedAt)).padEnd(8)} ${hop.text}`);
  return summary({ seen, task, changedAt, restoredMs });
}

/** The events of the change, in order, once its task has ended or time is up. */
async function eventsOfChange(client: Client, changedAt: number, signal: AbortSignal): Promise<EventView[]> {
  for (;;) {
    const { events } = await client.events({ since: new Date(Math.floor(changedAt)).toISOString(), limit: 1_000 });
    const seen: EventView[] = [];
    for (const event of events.toReversed()) if (concerns(event, seen)) seen.push(event);
    if (signal.aborted || seen.some(({ type }) => type === "task.resolved" || type === "task.escalated")) return seen;
    await delay(5);
  }
}

/** The events of this one change: the drift, its task, the results of its commands. */
function concerns(event: EventView, seen: readonly EventView[]): boolean {
  if (event.type === "file.drifted") return seen.length === 0 && event.subject === managedFile;
  const task = seen.find(({ type }) => type === "task.created")?.data["task"];
  if (event.type === "task.created") return task === undefined && event.data["event"] === seen[0]?.id;
  if (event.type === "execution.finished") return typeof task === "string" && event.cause?.startsWith(`${task}.`) === true;
  return typeof task === "string" && event.data["task"] === task;
}

function summary(found: { seen: EventView[]; task: TaskView | undefined; changedAt: number; restoredMs: number | undefined }): Shown {
  const { seen, task, changedAt, restoredMs } = found;
  const [drift] = seen;
  if (drift === undefined) return fail(`no event came within ${restoreLimitMs} ms`);
  if (task === undefined) return fail("the event fired no reactor");
  const state = `${task.state}${task.reason === undefined ? "" : `, ${task.reason}`}`;
  if (restoredMs === undefined) return fail(`the file is not back: its task is ${state}`);
  if (task.state !== "resolved") return fail(`the file is back, but its task is ${state}`);
  showDiff(drift);
  const begun = timeOf(task.executions[0]?.started ?? task.updated);
  return {
    restored: true,
    detect_ms: round(timeOf(drift.time) - changedAt),
    react_ms: round(begun - timeOf(drift.time)),
    restore_ms: round(restoredMs - begun),
    total_ms: round(restoredMs - changedAt),
  };
}

function fail(reason: string): Shown {
  say(`\nNot restored: ${reason}`);
  return { restored: false, reason };
}

/** The way of the event, hop by hop. */
function hops(seen: readonly EventView[], task: TaskView | undefined): { time: number; text: string }[] {
  const told = seen.map((event) => ({ time: timeOf(event.time), text: said[event.type]?.(event) ?? event.type }));
  const begun = (task?.executions ?? []).flatMap(({ action, agent, started, id }) =>
    started === undefined ? [] : [{ time: timeOf(started), text: `execution  ${id}: ${action} on ${agent}` }],
  );
  return [...told, ...begun].toSorted((a, b) => a.time - b.time);
}

function clockOf(ms: number): string {
  return isoTime(ms).slice(11, 26);
}

function showDiff({ data }: EventView): void {
  if (typeof data["diff"] !== "string") return;
  say("\nWhat was undone:");
  const colours: Record<string, number> = { "+": 32, "-": 31, "@": 36 };
  for (const line of data["diff"].trimEnd().split("\n")) {
    const colour = process.stdout.isTTY && process.env["NO_COLOR"] === undefined ? colours[line[0] ?? ""] : undefined;
    say(colour === undefined ? `  ${line}` : `  \x1b[${colour}m${line}\x1b[0m`);
  }
  say("");
}

function sayWhatNext(): void {
  say(`Try next, in another terminal of this directory:
  $EDITOR ${relative(process.cwd(), managedFile)}
  npx needfire events list
  npx needfire events show ID          the causal chain of an event
  npx needfire tasks list
  npx needfire agents show ${agentId}
  npx needfire reactors list           they are in reactors/, and are read again when you save one

The events as they come (Ctrl-C stops both processes):`);
}

async function follow(client: Client, signal: AbortSignal): Promise<void> {
  for await (const item of client.watch({}, signal)) {
    if ("dropped" in item) say(`  (${item.dropped} events not shown)`);
    else
      say(
        `  ${item.time.slice(11, 23)}  ${item.type.padEnd(20)} ${item.agent.padEnd(10)} ${JSON.stringify(item.subject ?? "").slice(1, -1)}`,
      );
  }
}

/** When the file had its content again, or undefined. Looks often: what is measured is under ten milliseconds. */
async function restoredAt(signal: AbortSignal): Promise<number | undefined> {
  while (!signal.aborted) {
    if (existsSync(managedFile) && readFileSync(managedFile, "utf8") === desired) return nowMs();
    await delay(1);
  }
  return undefined;
}

function start(name: string, args: string[]): ChildProcess {
  const log = join(home, `${name}.log`);
  rmSync(log, { force: true });
  const output = openSync(log, "a");
  // Detached: Ctrl-C is for us, and we stop them in their order; a terminal that closes would tell them to reload, no more.
  return spawn(process.execPath, [program, ...args], { cwd: root, stdio: ["ignore", output, output], detached: true });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const forced = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await exited;
  clearTimeout(forced);
}

async function until(what: string, children: ChildProcess[], holds: () => Promise<boolean>, limitMs = startLimitMs): Promise<void> {
  const giveUp = nowMs() + limitMs;
  while (!(await holds())) {
    if (children.some(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null))
      throw new Error(`a process ended before ${what}`);
    if (nowMs() > giveUp) throw new Error(`waited ${limitMs / 1_000} s in vain until ${what}`);
    await delay(10);
  }
}

async function answers(client: Client): Promise<boolean> {
  return client.status().then(
    () => true,
    () => false,
  );
}

function say(text: string): void {
  console.log(text);
}

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Milliseconds with a fraction: `Date.parse` drops the microseconds. */
function timeOf(iso: string): number {
  return Date.parse(iso) + microsOf(iso);
}

function microsOf(iso: string): number {
  return Number(/\.\d{3}(\d{3})Z$/.exec(iso)?.[1] ?? 0) / 1_000;
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
