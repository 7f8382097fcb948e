/**
 * A first look at events while they are still packed: which of them can have consequences? Hardly any has, and the engine need not unpack
 * and judge the others. On the main thread it looks at batches, since that has time while the engine's writes; a replay looks at rows. Decides
 * nothing: what passes is judged by the engine as if it had never been looked at, and a batch that is not in order is left to it whole. Of an
 * event it reads what tells reactors apart and what their conditions read, and no more; a condition on what only the engine knows (`matched`,
 * `route`) is the engine's to judge.
 */
import { BatchWalker, type WalkedBatch } from "@needfire/shared/batch-walk";
import type { Condition } from "@needfire/shared/cel";
import { isReservedType } from "@needfire/shared/event";
import { unpack } from "@needfire/shared/pack";
import type { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import type { Hearer, TypeIndex } from "@needfire/shared/rules/type-index";
import type { HeardReactor } from "@needfire/shared/rules/types";
import type { AgentView } from "@needfire/shared/target";
import { decodeAgain, decodeFromAgent } from "@needfire/shared/wire";
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
  reactors(): ReactorIndex<HeardReactor>;
  agentView(id: string): AgentView;
}

/** Fields of the data that are picked out one by one; of more, all of it is unpacked. */
const pickedMax = 16;

/** How events of a type are looked at. */
interface Reading {
  index: TypeIndex<HeardReactor>;
  /** Undefined: any. */
  picked: readonly PackedName[] | undefined;
  /** All conditions read no more than what is picked. */
  suffices: boolean;
}

/** What can be told of one reactor before the engine does. */
interface Test {
  vars: Readonly<Record<string, unknown>>;
  /** All of them must hold, and of `either` one, for it to be heard. */
  when: Condition | undefined;
  /** Undefined: one of its entries is open to every event that `when` lets pass. */
  either: readonly Condition[] | undefined;
  /** They read nothing but what `plainEvent` fills in. */
  plain: boolean;
}

/** Those that `plainEvent` fills in. */
const plainFields = new Set(["type", "severity", "subject", "time", "beacon", "agent", "data"]);
const unknownYet = ["position", "received"];
const knownVariables = new Set(["event", "agent", "vars"]);

/** When more than one event in so many is looked at, it is quicker to decode the batch at once. */
const decodedAtOnce = 4;

export class Sieve {
  readonly #options: SieveOptions;
  readonly #walker = new BatchWalker();
  readonly #readings = new WeakMap<TypeIndex<HeardReactor>, Reading>();
  readonly #tests = new WeakMap<Hearer<HeardReactor>, Test>();

  constructor(options: SieveOptions) {
    this.#options = options;
  }

  /** Indexes of the events that the engine must look at; undefined when it must look at the batch itself, since something in it is wrong. */
  look(agent: string, frame: Uint8Array): number[] | undefined {
    const walked = this.#walker.walk(frame, (type) => this.#isOfInterest(type));
    return walked === undefined ? this.#lookAtAll(agent, frame) : this.#lookAtWanted(agent, frame, walked);
  }

  /** Of a batch that is sound. */
  #lookAtWanted(agent: string, frame: Uint8Array, { epoch, events, wanted }: WalkedBatch): number[] {
    const arrival = { agent, epoch, received: 0 };
    const view = this.#options.agentView(agent);
    const heard: number[] = [];
    const all = wanted.length / 3 > events / decodedAtOnce ? eventsOf(frame) : undefined;
    for (let index = 0; index < wanted.length; index += 3) {
      const place = wanted[index]!;
      const wire = all?.[place] ?? (unpack(frame.subarray(wanted[index + 1], wanted[index + 2])) as WireEvent);
      if (this.hears(arrival, wire, view)) heard.push(place);
    }
    return heard;
  }

  #lookAtAll(agent: string, frame: Uint8Array): number[] | undefined {
    const decoded = decodeFromAgent(frame);
    if (!decoded.ok || decoded.message.kind !== "events") return undefined;
    const { epoch, events } = decoded.message.body;
    const arrival = { agent, epoch, received: 0 };
    const view = this.#options.agentView(agent);
    const heard: number[] = [];
    for (const [at, value] of events.entries()) {
      const checked = checkWireEvent(value);
      if (!checked.ok) return undefined;
      this.#walker.learn(checked.event);
      if (this.hears(arrival, checked.event, view)) heard.push(at);
    }
    return heard;
  }

  /** Whether events of a type can have consequences, as far as the type tells. */
  #isOfInterest(type: string): boolean {
    const reactors = this.#options.reactors();
    return isReservedType(type) || reactors.isAwaited(type) || reactors.ofType(type).hearers.length > 0;
  }

  /** Whether an event that has been checked can have consequences. */
  hears(arrival: Arrival, wire: WireEvent, agent: AgentView): boolean {
    // Whose cause is true, and whose result it is, the engine knows.
    if (isReservedType(wire[1]) || wire[6] !== null) return true;
    return this.#options.reactors().isAwaited(wire[1]) || this.#mayMatch(arrival, wire, agent);
  }

  #mayMatch(arrival: Arrival, wire: WireEvent, agent: AgentView): boolean {
    const index = this.#options.reactors().ofType(wire[1]);
    if (index.hearers.length === 0) return false;
    const reading = this.#readingOf(index);
    const first = plainEvent(arrival, wire, reading.picked === undefined ? eventData(wire[7]) : pickData(wire[7], reading.picked));
    const candidates = index.candidates(first, agent);
    if (candidates.length === 0) return false;
    let event: object | undefined = reading.suffices ? first : undefined;
    for (const candidate of candidates) {
      const test = this.#testOf(candidate);
      if (event === undefined || (!test.plain && event === first)) event = eventOfWire(arrival, wire, 0);
      if (passes(test, { event, agent, vars: test.vars })) return true;
    }
    return false;
  }

  #readingOf(index: TypeIndex<HeardReactor>): Reading {
    const known = this.#readings.get(index);
    if (known !== undefined) return known;
    const reading = this.#reading(index);
    this.#readings.set(index, reading);
    return reading;
  }

  #reading(index: TypeIndex<HeardReactor>): Reading {
    const { dataNames, hearers } = index;
    if (dataNames === undefined || dataNames.length > pickedMax) return { index, picked: undefined, suffices: true };
    const names = new Set(dataNames);
    let suffices = true;
    for (const hearer of hearers) {
      const { when, either = [] } = this.#testOf(hearer);
      for (const each of when === undefined ? either : [when, ...either]) {
        if (each.reads.data === undefined) suffices = false;
        else for (const name of each.reads.data) names.add(name);
      }
      if (names.size > pickedMax) suffices = false;
      if (!suffices) break;
    }
    return { index, picked: (suffices ? [...names] : dataNames).map(packedName), suffices };
  }

  #testOf(hearer: Hearer<HeardReactor>): Test {
    let test = this.#tests.get(hearer);
    if (test === undefined) this.#tests.set(hearer, (test = testOf(hearer)));
    return test;
  }
}

/** Of a batch that is sound. */
function eventsOf(frame: Uint8Array): readonly WireEvent[] {
  const decoded = decodeAgain(frame);
  return decoded.ok && decoded.message.kind === "events" ? (decoded.message.body.events as WireEvent[]) : [];
}

function testOf({ reactor, entries }: Hearer<HeardReactor>): Test {
  const when = isKnown(reactor.when) ? reactor.when : undefined;
  const open = entries.some((entry) => !isKnown(entry.when));
  const either = open ? undefined : entries.map((entry) => entry.when!);
  const plain = [when, ...(either ?? [])].every(
    (each) => each === undefined || [...each.reads.event!].every((name) => plainFields.has(name)),
  );
  return { vars: reactor.vars, when, either, plain };
}

/** Whether a condition is there and can be judged here. */
function isKnown(when: Condition | undefined): when is Condition {
  if (when?.reads.event === undefined) return false;
  const { event, variables } = when.reads;
  return [...variables].every((name) => knownVariables.has(name)) && !unknownYet.some((name) => event.has(name));
}

function passes({ when, either }: Test, scope: { event: object; agent: AgentView; vars: Readonly<Record<string, unknown>> }): boolean {
  const holds = (condition: Condition) => {
    const result = condition.evaluate(scope);
    return result.ok && result.value === true;
  };
  return (when === undefined || holds(when)) && (either === undefined || either.some(holds));
}

/** An event as conditions see it, without what takes time to make up. */
function plainEvent({ agent }: Arrival, [, type, time, severity, subject, beacon]: WireEvent, data: Record<string, unknown>): object {
  const event: Record<string, unknown> = { type, time, severity, agent, data };
  if (subject !== null) event["subject"] = subject;
  if (beacon !== null) event["beacon"] = beacon;
  return event;
}
