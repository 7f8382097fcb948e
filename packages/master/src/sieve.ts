/**
 * A first look at a batch of events, on the main thread, which has time while the engine's writes: which of them can have consequences?
 * Hardly any has, and the engine need not unpack and judge the others. Decides nothing: what passes is judged by the engine as if it had
 * never been looked at, and a batch that is not in order is left to it whole. Of an event it reads what conditions read, and no more.
 */
import { isReservedType } from "@needfire/shared/event";
import type { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import type { Reactor } from "@needfire/shared/reactor";
import type { AgentView } from "@needfire/shared/target";
import { decodeFromAgent } from "@needfire/shared/wire";
import {
  type Arrival,
  checkWireEvent,
  eventData,
  eventOfWire,
  packedName,
  type PackedName,
  pickData,
  type WireEvent,
} from "@needfire/shared/wire-event";

export interface SieveOptions {
  reactors(): ReactorIndex;
  agentView(id: string): AgentView;
}

/** What the conditions of some reactors read of an event. */
interface Reading {
  /** One of them has no condition, or one on what an event is given only in the journal or by the router. */
  always: boolean;
  /** They read nothing but these fields of the event itself. */
  plain: boolean;
  /** Undefined: any. */
  data: readonly PackedName[] | undefined;
}

/** Those that `plainEvent` fills in. */
const plainFields = new Set(["type", "severity", "subject", "time", "beacon", "agent", "data"]);
const unknownYet = ["position", "received"];

export class Sieve {
  readonly #options: SieveOptions;
  readonly #readings = new WeakMap<readonly Reactor[], Reading>();

  constructor(options: SieveOptions) {
    this.#options = options;
  }

  /** Indexes of the events that the engine must look at; undefined when it must look at the batch itself, since something in it is wrong. */
  look(agent: string, frame: Uint8Array): number[] | undefined {
    const decoded = decodeFromAgent(frame);
    if (!decoded.ok || decoded.message.kind !== "events") return undefined;
    const { epoch, events } = decoded.message.body;
    const index = this.#options.reactors();
    const arrival = { agent, epoch, received: 0 };
    const heard: number[] = [];
    let view: AgentView | undefined;
    for (const [at, value] of events.entries()) {
      const checked = checkWireEvent(value);
      if (!checked.ok) return undefined;
      const { event } = checked;
      const waiting = index.forType(event[1]);
      // Whose cause is true, and whose result it is, the engine knows.
      if (isReservedType(event[1]) || event[6] !== null) heard.push(at);
      else if (waiting.length > 0 && this.#mayFire(waiting, arrival, event, (view ??= this.#options.agentView(agent)))) heard.push(at);
    }
    return heard;
  }

  #mayFire(reactors: readonly Reactor[], arrival: Arrival, wire: WireEvent, agent: AgentView): boolean {
    let reading = this.#readings.get(reactors);
    if (reading === undefined) this.#readings.set(reactors, (reading = readingOf(reactors)));
    if (reading.always) return true;
    const data = reading.data === undefined ? eventData(wire[7]) : pickData(wire[7], reading.data);
    const event = reading.plain ? plainEvent(arrival, wire, data) : eventOfWire(arrival, wire, 0);
    for (const { when, vars } of reactors) {
      const result = when!.evaluate({ event, agent, vars });
      if (result.ok && result.value === true) return true;
    }
    return false;
  }
}

function readingOf(reactors: readonly Reactor[]): Reading {
  const reads = reactors.map(({ when }) => when?.reads);
  const always = reads.some(
    (each) =>
      each === undefined || each.event === undefined || each.variables.has("route") || unknownYet.some((name) => each.event!.has(name)),
  );
  const plain = reads.every((each) => each?.event !== undefined && [...each.event].every((name) => plainFields.has(name)));
  const names = new Set(reads.flatMap((each) => [...(each?.data ?? [])]));
  const picks = plain && reads.every((each) => each?.data !== undefined);
  return { always, plain, data: picks ? [...names].map(packedName) : undefined };
}

/** An event as conditions see it, without what takes time to make up. */
function plainEvent({ agent }: Arrival, [, type, time, severity, subject, beacon]: WireEvent, data: Record<string, unknown>): object {
  const event: Record<string, unknown> = { type, time, severity, agent, data };
  if (subject !== null) event["subject"] = subject;
  if (beacon !== null) event["beacon"] = beacon;
  return event;
}
