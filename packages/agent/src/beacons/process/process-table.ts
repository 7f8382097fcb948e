/**
 * The host's processes, from /proc, for all beacons of the agent that ask: one scan serves those who ask within a moment. Of each process
 * one small file is read (`stat`); its command line and its user only when somebody wants them, and then not again.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";

/** Processes of one host; what is more is not seen, and said (P4). */
const processesMax = 100_000;
/** A scan lets others have their turn after so many. */
const sliceMax = 250;
/** Those who ask within this time of a scan get what it found. */
const sharedMsMax = 50;
/** Of a command line, in characters: expressions are tried on so much and no more. */
const commandCharactersMax = 4_096;
/** A process that is younger may still become what it will be: give up its privileges, run another program, change its title. */
const settledTicks = 1_000;
/** The kernel counts in hundredths of a second for all who read it here (USER_HZ). */
export const tickMs = 10;

/** One process as it was at a scan. */
export interface ProcessSeen {
  readonly pid: number;
  /** When it was started, in ticks since the boot: with the pid it is one process and no other. */
  readonly start: number;
  readonly name: string;
  readonly state: string;
  readonly parent: number;
  /** Processor time up to now. */
  readonly ticks: number;
  readonly residentBytes: number;
  /** The arguments, with a space between each; empty for the kernel's own and for zombies. */
  command(): string;
  user(): number;
}

export interface Scan {
  processes: readonly ProcessSeen[];
  isCut: boolean;
}

/** Known of a process beyond one scan. */
interface Known {
  start: number;
  name: string;
  scan: number;
  command?: string;
  user?: number;
}

const tables = new WeakMap<object, ProcessTable>();

/** The agent's one table. `owner`: something that all beacons of one agent have in common. */
export function processTable(owner: object): ProcessTable {
  const table = tables.get(owner) ?? new ProcessTable();
  tables.set(owner, table);
  return table;
}

export class ProcessTable {
  readonly #known = new Map<number, Known>();
  readonly #buffer = Buffer.alloc(4_096);
  #last: Promise<Scan> | undefined;
  #lastAt = -Infinity;
  #scans = 0;
  #pageBytes = 0;

  /** How many scans were made. */
  get scans(): number {
    return this.#scans;
  }

  all(): Promise<Scan> {
    const now = performance.now();
    if (this.#last === undefined || now - this.#lastAt > sharedMsMax) {
      this.#last = this.#scan().finally(() => {
        this.#lastAt = performance.now();
      });
      this.#lastAt = Infinity; // until it is done
      this.#last.catch(() => (this.#last = undefined));
    }
    return this.#last;
  }

  /** One process, without a scan. Undefined: there is none. */
  one(pid: number): ProcessSeen | undefined {
    return this.#read(pid, bootTicks());
  }

  async #scan(): Promise<Scan> {
    const scan = ++this.#scans;
    const now = bootTicks();
    const pids = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
    const processes: ProcessSeen[] = [];
    for (const [i, pid] of pids.slice(0, processesMax).entries()) {
      const seen = this.#read(pid, now);
      if (seen !== undefined) processes.push(seen);
      if (i % sliceMax === sliceMax - 1) await turn();
    }
    for (const [pid, known] of this.#known) if (known.scan < scan - 1) this.#known.delete(pid);
    return { processes, isCut: pids.length > processesMax };
  }

  #read(pid: number, now: number): ProcessSeen | undefined {
    const stat = this.#readStat(pid);
    if (stat === undefined) return undefined;
    // The name may hold anything, parentheses too: what counts comes after the last one (proc(5)).
    const nameEnd = stat.lastIndexOf(")");
    const name = Buffer.from(stat.slice(stat.indexOf("(") + 1, nameEnd), "latin1").toString("utf8");
    const fields = stat.slice(nameEnd + 2).split(" ");
    const start = Number(fields[19]);
    const known = this.#knownOf(pid, { start, name });
    const isSettled = now - start > settledTicks;
    return {
      ...{ pid, start, name, state: fields[0] ?? "", parent: Number(fields[1]) },
      ticks: Number(fields[11]) + Number(fields[12]),
      residentBytes: Number(fields[21]) * (this.#pageBytes ||= pageBytes()),
      command: () => known.command ?? keepIf(isSettled, readCommand(pid), (command) => (known.command = command)),
      user: () => known.user ?? keepIf(isSettled, readUser(pid), (user) => (known.user = user)),
    };
  }

  /** A process that runs another program has another name. */
  #knownOf(pid: number, { start, name }: { start: number; name: string }): Known {
    let known = this.#known.get(pid);
    if (known?.start !== start || known.name !== name) known = { start, name, scan: 0 };
    known.scan = this.#scans;
    this.#known.set(pid, known);
    return known;
  }

  #readStat(pid: number): string | undefined {
    try {
      const file = openSync(`/proc/${pid}/stat`, "r");
      try {
        return this.#buffer.toString("latin1", 0, readSync(file, this.#buffer));
      } finally {
        closeSync(file);
      }
    } catch {
      return undefined; // it has ended
    }
  }
}

function keepIf<T>(isSettled: boolean, value: T, keep: (value: T) => void): T {
  if (isSettled) keep(value);
  return value;
}

function readCommand(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, "utf8").slice(0, commandCharactersMax);
    return text.replace(/\0+$/, "").replaceAll("\0", " ");
  } catch {
    return ""; // it has ended
  }
}

/** Whose process it is: the owner of its directory, -1 when it has ended. */
function readUser(pid: number): number {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid ?? -1;
}

function bootTicks(): number {
  return (Number.parseFloat(readFileSync("/proc/uptime", "latin1")) * 1_000) / tickMs;
}

/** In the auxiliary vector: pairs of a kind and a value. */
function pageBytes(): number {
  const vector = readFileSync("/proc/self/auxv");
  const sizeOfPage = 6n;
  for (let at = 0; at + 16 <= vector.length; at += 16)
    if (vector.readBigUInt64LE(at) === sizeOfPage) return Number(vector.readBigUInt64LE(at + 8));
  return 4_096;
}

/** Differs after each start of the machine. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}
