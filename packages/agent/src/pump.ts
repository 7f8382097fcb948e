/**
 * Moves events from the spool to the link in batches, inside the credit that the master granted, and forgets them when the master has
 * committed them (P1). Holds nothing itself: after any break it reads the spool again from the first unacknowledged event.
 */
import { NeedfireError } from "@needfire/shared/errors";
import { type AgentEvent, resultType } from "@needfire/shared/event";
import { type AgentMessage, batchEventsMax, frameBytesMax, type MasterBody } from "@needfire/shared/wire";
import type { Fresh, Spool } from "./spool.ts";

/** A batch's events may take this much; the rest of a frame is room for MessagePack's own bytes. */
const batchBytesMax = Math.floor(frameBytesMax * 0.75);
/** Without an acknowledgement for so long, what is on its way is sent again. The master drops what it has. */
const resendAfterMs = 15_000;

export class Pump {
  readonly #spool: Spool;
  readonly #send: (message: AgentMessage) => boolean;
  #creditEvents = 0;
  #sent = 0;
  /** The last one that was ever sent: no more can be acknowledged, whatever the master says. */
  #sentMax = 0;
  #acknowledged = 0;
  #inFlight = 0;
  #resend: NodeJS.Timeout | undefined;

  constructor(spool: Spool, send: (message: AgentMessage) => boolean) {
    this.#spool = spool;
    this.#send = send;
    spool.onAppend((fresh) => this.#move(fresh));
  }

  /** A session began: everything that is not acknowledged goes out again. */
  open(creditEvents: number): void {
    this.#creditEvents = creditEvents;
    this.#restart();
  }

  close(): void {
    this.#creditEvents = 0;
    clearTimeout(this.#resend);
    this.#resend = undefined;
  }

  acknowledge({ epoch, sequence: claimed }: MasterBody<"ack">): void {
    const sequence = Math.min(claimed, this.#sentMax);
    if (epoch !== this.#spool.epoch || sequence <= this.#acknowledged) return;
    // What was sent before a break may be acknowledged before it was sent again.
    this.#sent = Math.max(this.#sent, sequence);
    this.#inFlight = this.#sent - sequence;
    this.#acknowledged = sequence;
    this.#spool.acknowledge(epoch, sequence);
    clearTimeout(this.#resend);
    this.#resend = undefined;
    this.#move();
  }

  #restart(): void {
    clearTimeout(this.#resend);
    this.#resend = undefined;
    this.#sent = this.#acknowledged;
    this.#inFlight = 0;
    this.#move();
  }

  #move(fresh?: Fresh): void {
    while (this.#inFlight < this.#creditEvents) {
      const limit = Math.min(batchEventsMax, this.#creditEvents - this.#inFlight);
      const events = this.#next(fresh, limit) ?? this.#spool.read(this.#sent, limit, batchBytesMax);
      const last = events[this.#sendFitting(events) - 1];
      if (last === undefined) break;
      // Sequences have no gaps but where the spool was emptied; the count in flight is of numbers, as the acknowledgement is.
      this.#inFlight += last.sequence - this.#sent;
      this.#sent = last.sequence;
      this.#sentMax = Math.max(this.#sentMax, last.sequence);
    }
    this.#watchForAcknowledgement();
  }

  /** What was just written, when it is exactly what comes next: an event on its way is not read back from the disk. */
  #next(fresh: Fresh | undefined, limit: number): AgentEvent[] | undefined {
    const follows = fresh?.events[0]?.sequence === this.#sent + 1;
    return follows && fresh.events.length <= limit && fresh.bytes <= batchBytesMax ? fresh.events : undefined;
  }

  /** Sends what of these fits a frame, from the first on, and returns how many. One that fits none goes out without what is large in it. */
  #sendFitting(events: AgentEvent[]): number {
    const [first] = events;
    if (first === undefined) return 0;
    try {
      return this.#sendBatch(events);
    } catch (error) {
      if (!(error instanceof NeedfireError) || error.code !== "FRAME_TOO_LARGE") throw error;
      if (events.length > 1) return this.#sendFitting(events.slice(0, Math.ceil(events.length / 2)));
      return this.#sendBatch([cutDown(first, error.message)]);
    }
  }

  #sendBatch(events: AgentEvent[]): number {
    return this.#send({ kind: "events", body: { epoch: this.#spool.epoch, events } }) ? events.length : 0;
  }

  /** Counted from the last acknowledgement: what is sent meanwhile must not put it off. */
  #watchForAcknowledgement(): void {
    if (this.#inFlight > 0 && this.#creditEvents > 0) this.#resend ??= setTimeout(() => this.#restart(), resendAfterMs);
  }
}

/** P4: the event keeps its number, and says what is missing. A result stays a result, so that its task ends. */
function cutDown(event: AgentEvent, reason: string): AgentEvent {
  const message = `what was in it was left out: ${reason}`;
  if (event.type !== resultType) return { ...event, data: { message } };
  const { result: _result, ...report } = event.data as Record<string, unknown>;
  return { ...event, data: { ...report, message } };
}
