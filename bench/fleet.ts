/**
 * Simulated agents in processes of their own, as many as the open files of one allow.
 */
import { type ChildProcess, fork } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { parseJoinString } from "@needfire/shared/identity";
import type { NewEvent, Order, Report } from "./generator.ts";

/**
 * An agent takes 4 open files (its connection, its mailbox, two of its monitor) of the 20,000 that a process may have; half are left for
 * connections that were given up and are being taken down while their agent already makes the next.
 */
const agentsPerProcessMax = 2_500;
const pollMs = 10;

export interface FleetOptions {
  joinString: string;
  agents: number;
  /** At least so many processes. */
  processes?: number;
  perSecond?: number;
  nice?: number;
}

export class Fleet {
  readonly size: number;
  readonly #children: ChildProcess[] = [];
  readonly #reports: Report[] = [];

  private constructor(size: number) {
    this.size = size;
  }

  static start({ joinString, agents, processes = 1, perSecond = 2_000, nice = 0 }: FleetOptions): Fleet {
    const fleet = new Fleet(agents);
    const { address, masterKey, token } = parseJoinString(joinString);
    const count = Math.max(processes, Math.ceil(agents / agentsPerProcessMax));
    for (let index = 0; index < count; index++) {
      const child = fork(new URL("./generator.ts", import.meta.url), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
      child.on("message", (report: Report) => (fleet.#reports[index] = report));
      fleet.#children.push(child);
      const names = Array.from({ length: agents }, (_, number) => `sim-${number}`).filter((_, number) => number % count === index);
      fleet.#tell(child, { kind: "start", names, address, masterKey, token, perSecond: perSecond / count, nice });
    }
    return fleet;
  }

  get processes(): number {
    return this.#children.length;
  }

  total(what: keyof Report): number {
    return this.#reports.reduce((sum, report) => sum + (report?.[what] ?? 0), 0);
  }

  /** Every agent has so many such events; `inTurn`: each when the command that followed from the one before has ended. */
  emit(event: NewEvent, { times = 1, inTurn = false } = {}): void {
    for (const child of this.#children) this.#tell(child, { kind: "emit", event, times, inTurn });
  }

  /** Every agent offers such events without end, its whole credit on its way, until {@link calm}. */
  flood(event: NewEvent): void {
    for (const child of this.#children) this.#tell(child, { kind: "flood", event });
  }

  /** From now on, whoever gets a new session counts as `back`. */
  countReturns(): void {
    for (const child of this.#children) this.#tell(child, { kind: "count-returns" });
  }

  calm(): void {
    for (const child of this.#children) this.#tell(child, { kind: "calm" });
  }

  /** Resolves with the seconds that it took until `what` is at least `count`. */
  async until(what: keyof Report, count: number, waitS: number): Promise<number> {
    const from = performance.now();
    while (this.total(what) < count) {
      if (this.#children.some(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null))
        throw new Error("a process of simulated agents ended");
      if (performance.now() - from > waitS * 1_000)
        throw new Error(`waited ${waitS} s in vain until ${what} is ${count}: it is ${this.total(what)}`);
      await delay(pollMs);
    }
    return (performance.now() - from) / 1_000;
  }

  stop(): void {
    for (const child of this.#children) child.kill("SIGKILL");
  }

  #tell(child: ChildProcess, order: Order): void {
    child.send(order);
  }
}
