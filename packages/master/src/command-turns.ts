/**
 * Whose turn it is among the commands that wait for their hosts. So many may be with all hosts at once, and so many with each; of those that wait
 * the one with the lowest rank goes next (shared/rank.ts), to whichever host. The critical wait for no limit but the window of their host (P8), and
 * count like the others. A command that has been given out once keeps its room until it has ended; a host that is away takes up none.
 * Sends nothing, and knows nothing that the store does not have: what waits is a row there.
 */
import { Line } from "@needfire/shared/line";
import { rankOf } from "@needfire/shared/rank";
import type { Execution } from "@needfire/shared/task";

export interface TurnLimits {
  /** Commands that may be with all hosts that are there. */
  commandsMax: number;
  /** Commands that may be with one host. */
  perAgentMax: number;
  /** The time after which what waits stands where something new of the next higher priority does. */
  risesAfterMs: number;
}

export interface Turning {
  readonly execution: Pick<Execution, "agent" | "priority">;
  /** From when on it waits, by a clock that nobody can step. */
  readonly since: number;
}

/** Why a command has not been given out: its host is away, so many are with the host or with all, or the connection takes no more for now. */
export type Wait =
  | { for: "host" }
  | { for: "agent"; limit: "commands_per_agent_max"; given: number }
  | { for: "all"; limit: "commands_max"; given: number }
  | { for: "link" };

/** The commands of one agent. One that has not been given out waits in `waiting`; one that must be told to its host again, in `again`. */
interface Queue<C> {
  /** The oldest first. */
  all: Set<C>;
  waiting: Line<C>;
  again: Line<C>;
  /** Sent, and not confirmed yet. */
  onTheWay: Set<C>;
  /** Given out, and not ended yet. */
  given: Set<C>;
  isHere: boolean;
}

/** Commands to one agent that are sent and not confirmed yet. libzmq keeps 1,000 frames for a peer, and they are not the only ones. */
const windowCommandsMax = 256;

export class CommandTurns<C extends Turning> {
  readonly #limits: TurnLimits;
  readonly #queues = new Map<string, Queue<C>>();
  /** Agents that are there, have room, and for which something waits: by the rank of what is next. */
  readonly #ready = new Line<string>();
  /** With hosts that are there. */
  #given = 0;

  constructor(limits: TurnLimits) {
    this.#limits = limits;
  }

  /** `given`: it has been given out before. */
  add(command: C, given: boolean): void {
    const { agent } = command.execution;
    const queue = this.#queues.get(agent) ?? emptyQueue<C>();
    this.#queues.set(agent, queue);
    queue.all.add(command);
    if (given) this.#give(queue, command);
  }

  /** It is to go out, for the first time or again. */
  line(command: C): void {
    const queue = this.#queueOf(command);
    if (queue === undefined) return;
    (queue.given.has(command) ? queue.again : queue.waiting).add(command, this.#rankOf(command));
    this.#rank(command.execution.agent, queue);
  }

  /** Its host has been told. */
  went(command: C): void {
    const queue = this.#queueOf(command);
    if (queue === undefined) return;
    queue.waiting.delete(command);
    queue.again.delete(command);
    queue.onTheWay.add(command);
    this.#give(queue, command);
    this.#rank(command.execution.agent, queue);
  }

  /** Its host has confirmed it. False: it was not on its way. */
  confirmed(command: C): boolean {
    const queue = this.#queueOf(command);
    const wasOnTheWay = queue?.onTheWay.delete(command) === true;
    if (queue !== undefined) this.#rank(command.execution.agent, queue);
    return wasOnTheWay;
  }

  /** It goes out no more; what was given out of it keeps its room. */
  withdraw(command: C): void {
    const queue = this.#queueOf(command);
    if (queue === undefined) return;
    queue.waiting.delete(command);
    queue.again.delete(command);
    queue.onTheWay.delete(command);
    this.#rank(command.execution.agent, queue);
  }

  ended(command: C): void {
    const queue = this.#queueOf(command);
    if (queue === undefined) return;
    this.withdraw(command);
    queue.all.delete(command);
    if (queue.given.delete(command) && queue.isHere) this.#given--;
    this.#rank(command.execution.agent, queue);
    if (queue.all.size === 0) this.#queues.delete(command.execution.agent);
  }

  /** Whether a host is there. One that is not takes up no room: nobody knows when it comes back. */
  here(agent: string, isHere: boolean): void {
    const queue = this.#queues.get(agent);
    if (queue === undefined) return;
    if (queue.isHere !== isHere) this.#given += isHere ? queue.given.size : -queue.given.size;
    queue.isHere = isHere;
    this.#rank(agent, queue);
  }

  /** It has a new connection: what was on its way is not any more. */
  reconnected(agent: string): void {
    this.#queues.get(agent)?.onTheWay.clear();
  }

  /** What may go to this agent whatever is with others: what is critical, and what was given out before. */
  urgent(agent: string): C | undefined {
    const queue = this.#queues.get(agent);
    if (queue?.isHere !== true || !hasWindow(queue)) return undefined;
    const again = queue.again.first();
    const first = queue.waiting.first();
    if (first?.execution.priority !== "critical") return again;
    return again === undefined || this.#rankOf(first) <= this.#rankOf(again) ? first : again;
  }

  /** Of all that wait and may go now, the first. */
  next(): C | undefined {
    if (this.#given >= this.#limits.commandsMax) return undefined;
    const agent = this.#ready.first();
    return agent === undefined ? undefined : this.#queues.get(agent)?.waiting.first();
  }

  /** Nothing goes to it for now: until something of it changes, or it is looked at again. */
  pause(agent: string): void {
    this.#ready.delete(agent);
  }

  isOnTheWay(command: C): boolean {
    return this.#queueOf(command)?.onTheWay.has(command) === true;
  }

  /** The oldest first. */
  of(agent: string): Iterable<C> {
    return this.#queues.get(agent)?.all ?? [];
  }

  agents(): Iterable<string> {
    return this.#queues.keys();
  }

  /** How many are with hosts that are there, and how many more wait for their turn there. */
  counts(): { given: number; waiting: number } {
    let waiting = 0;
    for (const queue of this.#queues.values()) if (queue.isHere) waiting += queue.waiting.size;
    return { given: this.#given, waiting };
  }

  /** Undefined: it has been given out, or is not wanted any more (P5). */
  waitOf(command: C): Wait | undefined {
    const queue = this.#queueOf(command);
    if (queue?.waiting.rankOf(command) === undefined) return undefined;
    if (!queue.isHere) return { for: "host" };
    const { commandsMax, perAgentMax } = this.#limits;
    if (!hasWindow(queue) || command.execution.priority === "critical") return { for: "link" };
    if (queue.given.size >= perAgentMax) return { for: "agent", limit: "commands_per_agent_max", given: queue.given.size };
    return this.#given < commandsMax ? { for: "link" } : { for: "all", limit: "commands_max", given: this.#given };
  }

  /** How many of those that wait for the same thing are before it. Looks at all that wait: for a person who asks. */
  before(command: C, wait: Wait): number {
    const rank = this.#rankOf(command);
    const own = this.#queueOf(command);
    let before = 0;
    for (const queue of this.#queues.values())
      if (queue === own || (wait.for === "all" && queue.isHere && this.#hasRoom(queue))) before += queue.waiting.before(rank);
    return before;
  }

  #queueOf({ execution }: C): Queue<C> | undefined {
    return this.#queues.get(execution.agent);
  }

  #give(queue: Queue<C>, command: C): void {
    if (queue.given.has(command)) return;
    queue.given.add(command);
    if (queue.isHere) this.#given++;
  }

  #hasRoom(queue: Queue<C>): boolean {
    return hasWindow(queue) && queue.given.size < this.#limits.perAgentMax;
  }

  #rankOf({ execution: { priority }, since }: C): number {
    return rankOf({ priority, since }, this.#limits.risesAfterMs);
  }

  /** Where the agent stands among all. */
  #rank(agent: string, queue: Queue<C>): void {
    const first = queue.isHere && this.#hasRoom(queue) ? queue.waiting.first() : undefined;
    if (first === undefined) return void this.#ready.delete(agent);
    const rank = this.#rankOf(first);
    if (this.#ready.rankOf(agent) !== rank) this.#ready.add(agent, rank);
  }
}

function emptyQueue<C>(): Queue<C> {
  return { all: new Set(), waiting: new Line(), again: new Line(), onTheWay: new Set(), given: new Set(), isHere: false };
}

function hasWindow({ onTheWay }: Queue<unknown>): boolean {
  return onTheWay.size < windowCommandsMax;
}
