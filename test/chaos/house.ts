/**
 * What a round happens in: a master and agents, each on a host and with a disk of its own where that can be had, and somebody who starts
 * them again whenever they end, as systemd would. Faults reach for it; it knows none of them.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { type Launch, type Process, Testbed } from "../testbed.ts";
import { ClockFile, faketimeLibrary } from "./clock-file.ts";
import { committedTexts } from "./database-file.ts";
import { Disk } from "./disk.ts";
import type { SpoiledJournal } from "./journal-file.ts";
import { Network } from "./network.ts";

const masterPort = 4_510;
const diskBytes = 64 * 1024 * 1024;
const restartMs = 100;
/** So few that a short round has sealed partitions. */
const partitionEvents = 25;

export interface HouseOptions {
  agents: string[];
  /** Numbered files of each agent that the reactors know. */
  numbers: number;
  network: boolean;
  disks: boolean;
  clocks: boolean;
}

/** One life of an agent: from a start to its end. `left`: the numbers in its spool when it was killed; undefined while it lives. */
export interface Life {
  left?: Set<number>;
}

export class House {
  readonly agents: string[];
  /** What faults took out of the journal. */
  readonly spoiled: SpoiledJournal[] = [];
  readonly lives = new Map<string, Life[]>();
  /** Numbers of an agent that a fault took off a disk, its own or the master's. */
  readonly destroyed = new Map<string, Set<number>>();
  /** Ends that nobody caused. */
  readonly surprises: string[] = [];
  readonly #options: HouseOptions;
  readonly #network: Network | undefined;
  readonly #disks = new Map<string, Disk>();
  readonly #clocks = new Map<string, ClockFile>();
  readonly #held = new Set<string>();
  readonly #full = new Set<string>();
  readonly #locks = new Map<string, Promise<void>>();
  readonly #supervisors: Promise<void>[] = [];
  #bed: Testbed | undefined;
  #stopped = false;

  constructor(options: HouseOptions) {
    this.#options = options;
    this.agents = options.agents;
    if (options.network) this.#network = new Network(["master", ...options.agents]);
    for (const agent of options.agents) {
      this.lives.set(agent, []);
      this.destroyed.set(agent, new Set());
    }
  }

  get bed(): Testbed {
    return this.#bed!;
  }

  /** Where all of it lies, once it has begun. */
  get directory(): string | undefined {
    return this.#bed?.dir;
  }

  get network(): Network | undefined {
    return this.#network;
  }

  async start(): Promise<void> {
    this.#network?.make();
    const listen = this.#network === undefined ? "tcp://127.0.0.1:*" : `tcp://${this.#network.address("master")}:${masterPort}`;
    await Testbed.start(
      { listen, launch: (name) => this.#launch(name), master: `execution_expires: 5m\njournal_partition_events: ${partitionEvents}` },
      (bed) => this.#prepare(bed),
    );
    await Promise.all(this.agents.map((agent) => this.#join(agent)));
    this.#supervise("master", this.bed.master);
    for (const agent of this.agents) this.#supervise(agent);
    for (const agent of this.agents) await this.bed.watching(agent, `numbers-${agent}`);
  }

  /** Where the numbered files of an agent come to be. */
  folder(agent: string): string {
    return this.bed.path("host", agent);
  }

  /** What the commands of an agent's host wrote, a line each. */
  ran(agent: string): string[] {
    const file = this.bed.path(`ran-${agent}`);
    return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : [];
  }

  stateOf(name: string): string {
    return name === "master" ? this.bed.path("master") : this.bed.path(`state-${name}`);
  }

  process(name: string): Process {
    return name === "master" ? this.bed.master : this.bed.agents.get(name)!;
  }

  disk(name: string): Disk | undefined {
    return this.#disks.get(name);
  }

  clock(name: string): ClockFile | undefined {
    return this.#clocks.get(name);
  }

  isUp(name: string): boolean {
    return !this.#held.has(name) && this.process(name).running;
  }

  /** SIGKILL; it stays down until `release`. */
  async kill(name: string): Promise<void> {
    this.#held.add(name);
    const process = this.process(name);
    await process.stop("SIGKILL");
    const life = this.lives.get(name)?.at(-1);
    if (life !== undefined) life.left ??= this.numbersIn(name, name);
  }

  release(name: string): void {
    this.#held.delete(name);
  }

  /** Its processes may end for want of room from now on. */
  setFull(name: string, full: boolean): void {
    if (full) this.#full.add(name);
    else this.#full.delete(name);
  }

  /**
   * The numbers of an agent that are committed in the state of a process that does not run: its own spool, or the master's journal. What a
   * beacon remembers of files is no event: those that were there before it first looked are in it too.
   */
  numbersIn(name: string, agent: string): Set<number> {
    const found = new Set<number>();
    for (const text of committedTexts(this.stateOf(name), "memory")) {
      for (const [, digits] of text.matchAll(new RegExp(`/host/${agent}/(\\d{5})`, "g"))) found.add(Number(digits));
    }
    return found;
  }

  /** A fault took these numbers of an agent off a disk. */
  destroy(agent: string, numbers: Set<number>): void {
    this.destroyed.set(agent, this.destroyed.get(agent)!.union(numbers));
  }

  /** What hits the same things waits for each other. */
  async alone<T>(things: readonly string[], work: () => Promise<T>): Promise<T> {
    const before = things.map((thing) => this.#locks.get(thing) ?? Promise.resolve());
    const mine = Promise.all(before).then(work);
    const over = mine.then(
      () => {},
      () => {},
    );
    for (const thing of things) this.#locks.set(thing, over);
    return mine;
  }

  /** Ends everything and takes away what was made; `keep`: all but the directory. */
  async stop({ keep = false } = {}): Promise<void> {
    this.#stopped = true;
    const processes = this.#bed === undefined ? [] : [...this.bed.agents.values(), this.bed.master as Process | undefined];
    await Promise.all(processes.map(async (process) => process?.stop("SIGKILL")));
    await Promise.all(this.#supervisors);
    for (const disk of this.#disks.values()) disk.unmount({ keep });
    this.#network?.remove();
    if (!keep && this.#bed !== undefined) rmSync(this.bed.dir, { recursive: true, force: true });
  }

  #prepare(bed: Testbed): void {
    this.#bed = bed;
    for (const name of ["master", ...this.agents]) {
      if (this.#options.clocks) this.#clocks.set(name, new ClockFile(bed.path(`clock-${name}`)));
      if (!this.#options.disks) continue;
      const disk = new Disk(this.stateOf(name));
      disk.mount(diskBytes);
      this.#disks.set(name, disk);
    }
    // A reactor for each file: what changes on a host while a command runs there counts as the command's doing, and its own reactor would
    // not fire on it (P7).
    const reactors: string[] = [
      `name: echo\non: chaos.sent\ndo:\n  - event.emit: { type: chaos.echo, data: { number: "\${{ event.data.number }}" } }\n`,
    ];
    for (const agent of this.agents) {
      mkdirSync(this.folder(agent), { recursive: true });
      bed.beacon(
        agent,
        `name: numbers-${agent}\ntype: file\ntargets: ${agent}\npaths: [${JSON.stringify(this.folder(agent))}]\nsettle: 1ms\n`,
      );
      const script = ['echo "$1" >> "$2"', "${{ event.subject }}", bed.path(`ran-${agent}`)];
      for (let number = 0; number < this.#options.numbers; number++) {
        const path = `${this.folder(agent)}/${fileName(number)}`;
        reactors.push(
          `name: ${reactorName(agent, number)}\non: file.created\nwhen: event.subject == ${JSON.stringify(path)}\nlimits: { breaker: off }\ndo:\n  - command.run: { shell: true, argv: ${JSON.stringify(script)} }\n`,
        );
      }
    }
    bed.reactor("chaos", reactors.join("---\n"));
  }

  async #join(agent: string): Promise<void> {
    const { join_string: joinString } = await this.bed.client.createToken({ uses: 1 });
    const { code, output } = await this.bed.join(agent, joinString);
    if (code !== 0) throw new Error(`${agent} could not join:\n${output}`);
    appendFileSync(this.bed.path(`${agent}.yaml`), "reconnect_max: 1s\n");
  }

  #launch(name: string): Launch {
    const host = name.replace(/^join-/, "");
    const library = this.#options.clocks ? faketimeLibrary() : undefined;
    return {
      through: this.#network?.through(host) ?? [],
      env: library === undefined ? {} : this.#clocks.get(host)!.env(library),
    };
  }

  /** Starts a process whenever there is none, until the house stops. */
  #supervise(name: string, running?: Process): void {
    this.#supervisors.push(this.#keepUp(name, running));
  }

  async #keepUp(name: string, running?: Process): Promise<void> {
    let process = running;
    while (!this.#stopped) {
      process ??= name === "master" ? this.bed.launchMaster() : this.bed.launchAgent(name);
      const life: Life = {};
      this.lives.get(name)?.push(life);
      await process.exited;
      if (this.#stopped) return;
      if (!this.#held.has(name)) {
        if (!this.#full.has(name)) this.surprises.push(`${name} ended by itself (${process.exitCode ?? process.signalCode})`);
        if (this.lives.has(name)) life.left ??= this.numbersIn(name, name);
      }
      process = undefined;
      await delay(restartMs);
      while (this.#held.has(name) && !this.#stopped) await delay(10);
    }
  }
}

export function fileName(number: number): string {
  return String(number).padStart(5, "0");
}

export function reactorName(agent: string, number: number): string {
  return `number-${agent}-${fileName(number)}`;
}
