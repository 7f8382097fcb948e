/**
 * The check at the door, on the engine's thread: what an agent's frame holds becomes batches for the journal. Each event is checked and
 * attributed to the agent whose session it came by (P6); one that fails is journalled as `event.rejected` under its own number, so that
 * it never holds up the rest. Numbers that are missing are noticed here: what may still come is asked for again, what will not is told
 * as `agent.gap` (P4).
 */
import { executionReportSchema } from "@needfire/shared/action";
import { isReservedType, resultType, type Severity } from "@needfire/shared/event";
import { idKind } from "@needfire/shared/ids";
import { pack } from "@needfire/shared/pack";
import { doorChecker, problemsText } from "@needfire/shared/schema";
import type { MasterEventDraft } from "@needfire/shared/task";
import { type AgentBody, decodeAgain, decodeFromAgent } from "@needfire/shared/wire";
import { checkWireEvent, eventData, type WireEvent } from "@needfire/shared/wire-event";
import type { Batch, Journal } from "./journal/journal.ts";

/** A frame of events as the gate let it in, without secrets: `agent` is who its session says it is. */
export interface EventsFrame {
  agent: string;
  frame: Uint8Array;
  /** Ms since the epoch. */
  received: number;
  /** Its events have been checked, and only those of these indexes can have consequences (sieve.ts). */
  heard?: readonly number[] | undefined;
}

/** `heard`: as in the frame. */
export interface AdmittedBatch extends Batch {
  heard?: readonly number[] | undefined;
}

/** `rewind`: something before it is missing, so it was not taken. `refused`: no honest agent sends it. */
export type Verdict =
  | { kind: "taken"; lane: Severity; epoch: string; sequence: number; resumed: boolean }
  | { kind: "rewind"; lane: Severity; resumed: boolean }
  | { kind: "refused"; reason: string };

export interface Admitted {
  /** For each frame. */
  verdicts: Verdict[];
  batches: AdmittedBatch[];
  /** What the master has to say of them. */
  tell: MasterEventDraft[];
}

export interface AdmissionOptions {
  journal: Pick<Journal, "last">;
  /** The agent to which an execution was given; undefined when there is no such execution. */
  ownerOf(execution: string): Promise<string | undefined> | string | undefined;
}

const checkReport = doorChecker(executionReportSchema);
const reasonCharactersMax = 2_000;

export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Reads frames in the order in which they came. */
  async admit(frames: readonly EventsFrame[]): Promise<Admitted> {
    const admitted: Admitted = { verdicts: [], batches: [], tell: [] };
    /** How far each lane comes with what was admitted just now. */
    const reached = new Map<string, number>();
    for (const frame of frames) admitted.verdicts.push(await this.#frame(frame, reached, admitted));
    return admitted;
  }

  async #frame(
    { agent, frame, received, heard }: EventsFrame,
    reached: Map<string, number>,
    { batches, tell }: Admitted,
  ): Promise<Verdict> {
    const decoded = heard === undefined ? decodeFromAgent(frame) : decodeAgain(frame);
    if (!decoded.ok) return { kind: "refused", reason: decoded.reason };
    if (decoded.message.kind !== "events") return { kind: "refused", reason: "not a batch of events" };
    const { lane, epoch, after, resumed = false, events: values }: AgentBody<"events"> = decoded.message.body;
    const key = `${agent}\n${epoch}\n${lane}`;
    const last = reached.get(key) ?? this.#options.journal.last(agent, epoch, lane);
    if (after > last) {
      if (!resumed) return { kind: "rewind", lane, resumed };
      tell.push({ type: "agent.gap", severity: "high", subject: agent, data: { agent, epoch, lane, after: last, until: after } });
    }
    const events = heard === undefined ? await this.#check(agent, values, tell) : await this.#checkHeard(agent, values, { heard, tell });
    let sequence = after;
    for (const event of events) {
      if (event[0] <= sequence) return { kind: "refused", reason: `event ${event[0]} after ${sequence}: numbers rise within a lane` };
      sequence = event[0];
    }
    if (events.length > 0) batches.push({ agent, epoch, lane, received, events, heard });
    reached.set(key, Math.max(last, sequence));
    return { kind: "taken", lane, epoch, sequence, resumed };
  }

  async #check(agent: string, values: readonly unknown[], tell: MasterEventDraft[]): Promise<WireEvent[]> {
    const events: WireEvent[] = [];
    for (const value of values) {
      const checked = checkWireEvent(value);
      const attributed = checked.ok ? this.#attributed(agent, checked.event, tell) : rejected(agent, value, checked.reason, tell);
      const event = attributed instanceof Promise ? await attributed : attributed;
      if (event !== undefined) events.push(event);
    }
    return events;
  }

  /** The same when all have been checked and only some can be more than they say. */
  async #checkHeard(
    agent: string,
    values: unknown[],
    { heard, tell }: { heard: readonly number[]; tell: MasterEventDraft[] },
  ): Promise<WireEvent[]> {
    const events = values as WireEvent[];
    // One that has been checked has a number, so something always stands for it.
    for (const at of heard) events[at] = (await this.#attributed(agent, events[at]!, tell))!;
    return events;
  }

  /** The event, or what stands for it when it is not this agent's to say; at once for nearly all. */
  #attributed(agent: string, event: WireEvent, tell: MasterEventDraft[]): Promise<WireEvent | undefined> | WireEvent {
    const [, type, , , , , cause] = event;
    if (isReservedType(type)) return this.#reserved(agent, event, tell);
    return cause === null ? event : this.#caused(agent, event, cause);
  }

  async #reserved(agent: string, event: WireEvent, tell: MasterEventDraft[]): Promise<WireEvent | undefined> {
    const refusal = await this.#refusal(agent, event);
    return refusal === undefined ? event : rejected(agent, event, refusal, tell);
  }

  async #caused(agent: string, event: WireEvent, cause: string): Promise<WireEvent> {
    if (!(await this.#mayCause(agent, cause))) event[6] = null;
    return event;
  }

  /** Why an event of a reserved type is not taken as what it claims to be, or undefined. */
  async #refusal(agent: string, event: WireEvent): Promise<string | undefined> {
    const [, type, , , , , cause, data] = event;
    if (type !== resultType) return `the type ${type} is the master's own`;
    const report = checkReport(eventData(data));
    if (!report.ok) return problemsText(report.problems);
    const { execution } = report.value;
    if (cause !== execution) return "a result whose cause is not its execution";
    const owner = await this.#options.ownerOf(execution);
    if (owner !== agent) return `the execution ${execution} was not given to this agent`;
    return undefined;
  }

  /** Only what an execution on the same agent did may be said to be its effect. */
  async #mayCause(agent: string, cause: string): Promise<boolean> {
    return idKind(cause) === "execution" && (await this.#options.ownerOf(cause)) === agent;
  }
}

function rejected(agent: string, value: unknown, why: string, tell: MasterEventDraft[]): WireEvent | undefined {
  const reason = why.slice(0, reasonCharactersMax);
  const [sequence, , time] = Array.isArray(value) ? (value as unknown[]) : [];
  if (typeof sequence !== "number" || !Number.isSafeInteger(sequence) || sequence < 1) {
    // Without a number of its own it cannot be told from its repetition; so the master says it, at the risk of saying it twice.
    tell.push({ type: "event.rejected", severity: "normal", subject: agent, data: { agent, reason } });
    return undefined;
  }
  const at = typeof time === "number" && time >= 0 && time <= 8.64e15 ? time : 0;
  return [sequence, "event.rejected", at, "normal", null, null, null, pack({ reason })];
}
