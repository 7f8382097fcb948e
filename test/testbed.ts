/**
 * A master and agents as real processes in a directory of their own, for tests and benchmarks: real sockets, real disks, no fixed ports.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { EventView, TaskView } from "@needfire/shared/api";
import { isReservedType } from "@needfire/shared/event";
import { NeedfireError } from "@needfire/shared/errors";
import { masterAgent } from "@needfire/shared/ids";
import { dataProblem, eventType } from "@needfire/shared/event-types";
import { Client } from "../packages/cli/src/client.ts";

const program = join(import.meta.dirname, "..", "packages", "cli", "bin", "needfire.js");
const waitMs = 60_000;

export interface TestbedOptions {
  enrolment?: "manual" | "token" | "closed";
  heartbeat?: string;
  listen?: string;
  /** How a process is started, by its name: `master`, an agent's id, `join-` and the id. */
  launch?: (name: string) => Launch;
  /** Further lines of master.yaml. */
  master?: string;
  /** Peers that are no agents of ours send what they like: at the end the journal is not held against the catalogue. */
  falseEvents?: boolean;
}

export interface ManagedFileOptions {
  content: string;
  mode?: string;
  secret?: boolean;
  targets?: string;
}

/** `through`: a command that ends in executing what follows it (`nsenter --net=...`). */
export interface Launch {
  through?: string[];
  env?: Record<string, string>;
}

/** A process of ours with its log. */
export class Process {
  readonly name: string;
  readonly log: string;
  readonly exited: Promise<void>;
  readonly #child: ChildProcess;

  constructor(name: string, log: string, args: string[], { through = [], env = {} }: Launch = {}) {
    this.name = name;
    this.log = log;
    const output = openSync(log, "a");
    const [command = "", ...rest] = [
      ...through,
      process.execPath,

      program,
      ...args,
    ];
    this.#child = spawn(command, rest, { stdio: ["ignore", output, output], env: { ...process.env, ...env } });
    this.exited = new Promise((resolve) => this.#child.once("exit", () => resolve()));
    closeSync(output);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  get signalCode(): NodeJS.Signals | null {
    return this.#child.signalCode;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Stops it, cleanly unless told otherwise, and resolves with its exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    if (!this.running) return this.exitCode;
    this.#child.kill(signal);
    const forced = setTimeout(() => this.#child.kill("SIGKILL"), waitMs);
    await this.exited;
    clearTimeout(forced);
    return this.exitCode;
  }

  output(): string {
    return readFileSync(this.log, "utf8");
  }
}

export class Testbed {
  readonly dir: string;
  readonly client: Client;
  /** Undefined until it is started. */
  master!: Process;
  readonly agents = new Map<string, Process>();
  readonly #files = new Map<string, ManagedFileOptions>();
  readonly #options: TestbedOptions;

  private constructor(options: TestbedOptions) {
    this.#options = options;
    this.dir = mkdtempSync(join(tmpdir(), "needfire-"));
    this.client = new Client({ path: this.path("master.sock"), from: "--master" });
    for (const folder of ["reactors", "beacons", "files", "host", "local"]) mkdirSync(this.path(folder));
    this.#writeMap();
  }

  /** A running master with empty definitions. `prepare` writes definitions before it starts. */
  static async start(options: TestbedOptions = {}, prepare: (bed: Testbed) => void = () => {}): Promise<Testbed> {
    const bed = new Testbed(options);
    try {
      prepare(bed);
      bed.configure(options.listen ?? "tcp://127.0.0.1:*");
      await bed.startMaster();
      // Agents find a restarted master at the address that they joined.
      bed.configure(`tcp://${(await bed.client.status()).address}`);
      return bed;
    } catch (error) {
      // Why it did not start says more than why it could not be taken away.
      await bed.stop().catch(() => undefined);
      throw error;
    }
  }

  path(...parts: string[]): string {
    return join(this.dir, ...parts);
  }

  configure(listen: string): void {
    const { enrolment = "token", heartbeat = "500ms", master = "" } = this.#options;
    writeFileSync(
      this.path("master.yaml"),
      `state: master\nlisten: ${JSON.stringify(listen)}\nsocket: master.sock\nenrolment: ${enrolment}\nreactors: [reactors]\nbeacons: [beacons]\nfiles: files.yaml\nfiles_root: files\nheartbeat: ${heartbeat}\n${master}\n`,
    );
  }

  /** Starts a master and waits for nothing. */
  launchMaster(): Process {
    this.master = this.#launch("master", ["master", "--config", this.path("master.yaml")]);
    return this.master;
  }

  async startMaster(): Promise<void> {
    this.launchMaster();
    await until("the master answers", async () => {
      if (!this.master.running) throw new Error(`the master ended:\n${this.master.output()}`);
      return this.client.status().then(
        () => true,
        () => false,
      );
    });
  }

  /** Runs `needfire agent join` to its end. */
  async join(id: string, joinString: string, more: string[] = []): Promise<{ code: number | null; output: string }> {
    const joining = this.#launch(`join-${id}`, [
      "agent",
      "join",
      joinString,
      "--config",
      this.path(`${id}.yaml`),
      "--id",
      id,
      "--state",
      this.path(`state-${id}`),
      "--allow-commands",
      "any",
      ...more,
    ]);
    await until("the join ends", async () => !joining.running);
    return { code: joining.exitCode, output: joining.output() };
  }

  /** An agent that has joined with a token and is connected. */
  async addAgent(id: string, labels: Record<string, string> = {}): Promise<Process> {
    const { join_string: joinString } = await this.client.createToken({ uses: 1, labels });
    const { code, output } = await this.join(id, joinString);
    if (code !== 0) throw new Error(`the agent could not join:\n${output}`);
    return this.startAgent(id);
  }

  /** Starts an agent that has joined before, and waits until it is connected. */
  async startAgent(id: string): Promise<Process> {
    const agent = this.launchAgent(id);
    await this.connected(id);
    return agent;
  }

  /** Starts an agent and waits for nothing. */
  launchAgent(id: string): Process {
    const agent = this.#launch(id, ["agent", "--config", this.path(`${id}.yaml`)]);
    this.agents.set(id, agent);
    return agent;
  }

  /** Resolves when the beacons of these names watch on an agent. */
  async watching(agent: string, ...names: string[]): Promise<void> {
    const applied = async () => (await this.client.events({ type: "beacon.applied", agent, limit: 1 })).events[0];
    await until(`${agent} watches ${names.join(", ")}`, async () => {
      const beacons = ((await applied())?.data["beacons"] ?? []) as { name: string }[];
      return names.every((name) => beacons.some((beacon) => beacon.name === name));
    });
  }

  async connected(id: string): Promise<void> {
    await until(`${id} is connected`, async () => (await this.client.agents()).agents.some((agent) => agent.id === id && agent.connected));
  }

  /** Puts a file on the master into the care of Needfire; `name` is below `host/`. Call before the start, or reload after. */
  manage(name: string, options: ManagedFileOptions): string {
    this.#files.set(name, options);
    this.#writeMap();
    return this.path("host", name);
  }

  reactor(name: string, yaml: string): void {
    this.write(`reactors/${name}.yaml`, yaml);
  }

  beacon(name: string, yaml: string): void {
    this.write(`beacons/${name}.yaml`, yaml);
  }

  /** Writes a file as an editor does: in one step, so that nobody sees it half-written. `path` is below the testbed's directory. */
  write(path: string, text: string): void {
    const target = this.path(path);
    writeFileSync(`${target}~`, text);
    renameSync(`${target}~`, target);
  }

  /** The events that fit, oldest first, once there are at least `count` of them. */
  async events(filter: { type?: string; agent?: string; where?: string }, count: number): Promise<EventView[]> {
    let events: EventView[] = [];
    await until(
      `${count} events ${JSON.stringify(filter)}`,
      async () => {
        events = (await this.client.events({ ...filter, limit: 10_000 })).events.toReversed();
        return events.length >= count;
      },
      () => `there are ${events.length}`,
    );
    return events;
  }

  /** Tasks, newest first, once `holds`. */
  async tasks(holds: (tasks: TaskView[]) => boolean, reactor?: string): Promise<TaskView[]> {
    let tasks: TaskView[] = [];
    await until(
      "the tasks are as expected",
      async () => {
        tasks = (await this.client.tasks({ reactor, limit: 10_000 })).tasks;
        return holds(tasks);
      },
      () => JSON.stringify(tasks.map(({ id, state, reason }) => ({ id, state, reason }))),
    );
    return tasks;
  }

  /** Ends everything. Fails when the journal holds an event that is not as the catalogue of event types says. */
  async stop(): Promise<void> {
    const unlike = await this.#unlikeTheCatalogue();
    await Promise.all([...this.agents.values()].map((agent) => agent.stop()));
    await (this.master as Process | undefined)?.stop();
    rmSync(this.dir, { recursive: true, force: true });
    if (unlike.length > 0) throw new Error(`event-types.ts does not know the data of ${unlike.join("\n")}`);
  }

  /** So that the catalogue cannot drift from what is emitted: every test with a testbed looks at some events of every type it made. */
  async #unlikeTheCatalogue(): Promise<string[]> {
    if (this.#options.falseEvents === true || (this.master as Process | undefined)?.running !== true) return [];
    try {
      const { counts } = await this.client.count({ by: "type", limit: 1_000 });
      const samples = await Promise.all(counts.map(({ key }) => this.client.events({ type: key, limit: 50 })));
      return samples.flatMap(({ events }) =>
        events.flatMap(({ id, agent, type, severity, data }) => {
          // What a test has sent itself under the name of a beacon's event may be anything.
          if (agent === masterAgent && !isReservedType(type)) return [];
          const expected = isReservedType(type) ? eventType(type)?.severity : undefined;
          const problem = expected !== undefined && expected !== severity ? `its severity is ${severity}` : dataProblem(type, data);
          return problem === undefined ? [] : [`${type} (${id}): ${problem}`];
        }),
      );
    } catch (error) {
      // A master that a test has broken or held does not answer: its journal is not looked at.
      if (error instanceof NeedfireError && error.code === "MASTER_UNREACHABLE") return [];
      throw error;
    }
  }

  #launch(name: string, args: string[]): Process {
    return new Process(name, this.path(`${name}.log`), args, this.#options.launch?.(name));
  }

  #writeMap(): void {
    const owner = String(process.getuid?.() ?? 0);
    const group = String(process.getgid?.() ?? 0);
    const files = [...this.#files].map(([name, { content, mode = "0644", secret = false, targets = "*" }]) => {
      const source = name.replaceAll("/", "_");
      writeFileSync(this.path("files", source), content);
      mkdirSync(dirname(this.path("host", name)), { recursive: true });
      return { path: this.path("host", name), source, owner, group, mode, secret, targets };
    });
    writeFileSync(this.path("files.yaml"), JSON.stringify({ files }));
  }
}

/** Polls until `holds`; fails with what it waited for. */
export async function until(what: string, holds: () => Promise<boolean> | boolean, found: () => string = () => ""): Promise<void> {
  const giveUp = performance.now() + waitMs;
  while (!(await holds())) {
    if (performance.now() > giveUp)
      throw new Error(`waited ${waitMs / 1_000} s in vain until ${what}${found() === "" ? "" : ` (${found()})`}`);
    await delay(10);
  }
}
