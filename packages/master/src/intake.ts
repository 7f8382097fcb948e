/**
 * The one way in for events: each is checked, attributed to the agent whose session it came by (P6), made durable, then acknowledged
 * (P1). What fails a check is journalled as `event.rejected` under its own number and never holds up the rest.
 */
import type { Logger } from "pino";
import { executionReportSchema } from "@needfire/shared/action";
import { errorText } from "@needfire/shared/errors";
import { type AgentEvent, eventSource, type IncomingEvent, isReservedType, resultType } from "@needfire/shared/event";
import { eventId, idKind } from "@needfire/shared/ids";
import { doorChecker, problemsText } from "@needfire/shared/schema";
import { type AgentBody, checkEvent } from "@needfire/shared/wire";
import type { Session } from "./sessions.ts";

export interface IntakeOptions {
  /** Resolves when the events are durable. */
  append(events: IncomingEvent[]): Promise<void>;
  clock: { now(): number };
  log: Logger;
  creditEvents: number;
  /** The agent to which an execution was given. */
  ownerOf(execution: string): Promise<string | undefined>;
  acknowledge(session: Session, epoch: string, sequence: number): void;
}

const checkReport = doorChecker(executionReportSchema);

interface Lane {
  /** Batches of a session are taken in turn, so that an acknowledgement covers all that came before it. */
  turn: Promise<void>;
  inFlight: number;
  /** The first event of a batch that could not be kept: until it comes again, nothing after it may be taken. */
  missing: number | undefined;
  /** The first event of what was dropped since the last batch came into the lane. */
  dropped: number | undefined;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #lanes = new WeakMap<Session, Lane>();

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  take(session: Session, { epoch, events }: AgentBody<"events">): void {
    const lane = this.#lanes.get(session) ?? { turn: Promise.resolve(), inFlight: 0, missing: undefined, dropped: undefined };
    this.#lanes.set(session, lane);
    // An honest agent keeps to its credit. What goes beyond it stays unacknowledged, so nothing is lost and nothing piles up here (P4).
    if (lane.inFlight + events.length > this.#options.creditEvents * 2) {
      this.#options.log.warn({ agent: session.agent, inFlight: lane.inFlight }, "a batch beyond the credit was dropped");
      lane.dropped = earlier(lane.dropped, sequenceOf(events[0]));
      return;
    }
    const { dropped } = lane;
    lane.dropped = undefined;
    lane.inFlight += events.length;
    lane.turn = lane.turn
      .then(() => {
        // In the order of arrival: what was dropped may come again only after what stood in the lane before it.
        lane.missing = earlier(lane.missing, dropped);
        return this.#commit(lane, session, { epoch, events });
      })
      .finally(() => {
        lane.inFlight -= events.length;
      });
  }

  async #commit(lane: Lane, session: Session, { epoch, events: values }: AgentBody<"events">): Promise<void> {
    if (!continues(lane, values)) return;
    try {
      const incoming: IncomingEvent[] = [];
      for (const value of values) {
        const event = await this.#judge(session.agent, epoch, value);
        if (event !== undefined) incoming.push(event);
      }
      const last = incoming.at(-1);
      if (last === undefined) return;
      await this.#options.append(incoming);
      this.#options.acknowledge(session, epoch, last.sequence);
    } catch (error) {
      // Not acknowledged, so the agent sends it again.
      lane.missing = earlier(lane.missing, sequenceOf(values[0]));
      this.#options.log.error({ agent: session.agent, error: errorText(error) }, "a batch of events could not be kept; the agent holds it");
    }
  }

  async #judge(agent: string, epoch: string, value: unknown): Promise<IncomingEvent | undefined> {
    const checked = checkEvent(value);
    if (!checked.ok) return this.#rejected(agent, epoch, value, problemsText(checked.problems));
    const event = checked.value;
    const refusal = await this.#refusal(agent, event);
    if (refusal !== undefined) return this.#rejected(agent, epoch, value, refusal);
    const cause = event.cause !== undefined && (await this.#mayCause(agent, event.cause)) ? event.cause : undefined;
    return incomingOf(agent, epoch, { ...event, cause }, this.#options.clock.now());
  }

  /** Why an event is not taken as what it claims to be, or undefined. */
  async #refusal(agent: string, event: AgentEvent): Promise<string | undefined> {
    if (event.type !== resultType) return isReservedType(event.type) ? `the type ${event.type} is the master's own` : undefined;
    const report = checkReport(event.data);
    if (!report.ok) return problemsText(report.problems);
    if (event.cause !== report.value.execution) return "a result whose cause is not its execution";
    const owner = await this.#options.ownerOf(report.value.execution);
    return owner === agent ? undefined : `the execution ${report.value.execution} was not given to this agent`;
  }

  /** Only what an execution on the same agent did may be said to be its effect. */
  async #mayCause(agent: string, cause: string): Promise<boolean> {
    return idKind(cause) === "execution" && (await this.#options.ownerOf(cause)) === agent;
  }

  #rejected(agent: string, epoch: string, value: unknown, reason: string): IncomingEvent | undefined {
    this.#options.log.warn({ agent, reason }, "an event was rejected");
    const sequence = sequenceOf(value);
    // Without a number of its own it cannot be kept, nor told from its repetition.
    if (sequence === undefined) return undefined;
    const now = this.#options.clock.now();
    return incomingOf(
      agent,
      epoch,
      { sequence, type: "event.rejected", time: now, severity: "normal", data: { reason: reason.slice(0, 2_000) } },
      now,
    );
  }
}

/**
 * P1: an acknowledgement covers all that came before it, so after a batch that was lost nothing is taken until its first event comes
 * again. An agent sends in order and, when it begins anew, all from the first unacknowledged one on.
 */
function continues(lane: Lane, values: unknown[]): boolean {
  if (lane.missing === undefined) return true;
  const first = sequenceOf(values[0]);
  if (first === undefined || first > lane.missing) return false;
  const last = sequenceOf(values.at(-1));
  if (last !== undefined && last >= lane.missing) lane.missing = undefined;
  return true;
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}

function sequenceOf(value: unknown): number | undefined {
  const sequence = typeof value === "object" && value !== null && "sequence" in value ? value.sequence : undefined;
  return typeof sequence === "number" && Number.isSafeInteger(sequence) && sequence >= 1 ? sequence : undefined;
}

function incomingOf(
  agent: string,
  epoch: string,
  event: Omit<AgentEvent, "cause"> & { cause?: string | undefined },
  now: number,
): IncomingEvent {
  const { sequence, type, subject, time, severity, beacon, cause, data } = event;
  return {
    id: eventId(agent, epoch, sequence),
    type,
    source: eventSource(agent, beacon),
    agent,
    time,
    received: now,
    severity,
    data: data as Record<string, unknown>,
    epoch,
    sequence,
    ...(subject === undefined ? {} : { subject }),
    ...(beacon === undefined ? {} : { beacon }),
    ...(cause === undefined ? {} : { cause }),
  };
}
