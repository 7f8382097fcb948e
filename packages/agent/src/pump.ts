/**
 * Moves events from the spool to the link in batches of one lane, the highest lane first (P8), inside the credit that the master granted,
 * and forgets them when the master has committed them (P1). Holds nothing itself: after any break it reads each lane again from the first
 * event that is not acknowledged.
 */
import { severities, type Severity } from "@needfire/shared/event";
import { type AgentMessage, batchEventsMax, frameBytesMax, inFlightBytesMax, type MasterBody } from "@needfire/shared/wire";
import { dataBytesMax, type Spooled } from "./packed-event.ts";
import type { Fresh, Spool } from "./spool.ts";
import { eachLane } from "./spool-file.ts";

/** What the events of one batch may take of a frame; an event alone always fits. */
const batchBytesMax = dataBytesMax + Math.floor((frameBytesMax - dataBytesMax) / 2);
/** Of the credit, in events and in bytes, this part is for the critical lane alone: low events on their way never hold it up. */
const criticalShare = 1 / 4;
/** Without an acknowledgement for so long, what is on its way is sent again. The master drops what it has. */
const resendAfterMs = 15_000;
/** A master that could not take one batch refuses those behind it, too: what it says of all of them is one rewind. */
const rewindAfterMs = 20;

interface Lane {
  acknowledged: number;
  sent: number;
  /** The last one that was ever sent: no more can be acknowledged, whatever the master says. */
  sentMax: number;
  /** Sent and not acknowledged, in order. */
  flying: { sequence: number; bytes: number }[];
  flyingBytes: number;
  /** The next batch goes on from what was acknowledged, and says so. */
  resumes: boolean;
}

interface Room {
  events: number;
  /** One event may take more. */
  bytes: number;
}

export class Pump {
  readonly #spool: Spool;
  readonly #send: (message: AgentMessage) => boolean;
  #creditEvents = 0;
  #lanes: Record<Severity, Lane>;
  #resend: NodeJS.Timeout | undefined;
  #rewinding: NodeJS.Timeout | undefined;

  constructor(spool: Spool, send: (message: AgentMessage) => boolean) {
    this.#spool = spool;
    this.#send = send;
    this.#lanes = freshLanes(spool);
    spool.onAppend((fresh) => this.#move(fresh));
    spool.onNewEpoch(() => {
      this.#lanes = freshLanes(spool);
    });
  }

  /** A session began: everything that is not acknowledged goes out again. */
  open(creditEvents: number): void {
    this.#creditEvents = creditEvents;
    this.#restart();
  }

  close(): void {
    this.#creditEvents = 0;
    this.#stopTimers();
  }

  /** The master has committed a lane up to `sequence`, and grants a window from now on. */
  acknowledge({ lane: name, epoch, sequence: claimed, creditEvents }: MasterBody<"ack">): void {
    if (epoch !== this.#spool.epoch || this.#creditEvents === 0) return;
    this.#creditEvents = creditEvents;
    const lane = this.#lanes[name];
    const sequence = Math.min(claimed, lane.sentMax);
    if (sequence > lane.acknowledged) {
      lane.acknowledged = sequence;
      // What was sent before a break may be acknowledged before it was sent again.
      lane.sent = Math.max(lane.sent, sequence);
      landed(lane, sequence);
      this.#spool.acknowledge({ epoch, lane: name, sequence });
      clearTimeout(this.#resend);
      this.#resend = undefined;
    }
    this.#move();
  }

  /** The master could not take something: everything that is not acknowledged goes out again. */
  rewind(): void {
    if (this.#creditEvents > 0) this.#rewinding ??= setTimeout(() => this.#restart(), rewindAfterMs);
  }

  #restart(): void {
    this.#stopTimers();
    for (const lane of Object.values(this.#lanes)) {
      lane.sent = lane.acknowledged;
      lane.flying = [];
      lane.flyingBytes = 0;
      lane.resumes = true;
    }
    this.#move();
  }

  #stopTimers(): void {
    clearTimeout(this.#resend);
    clearTimeout(this.#rewinding);
    this.#resend = undefined;
    this.#rewinding = undefined;
  }

  #move(fresh?: Fresh): void {
    if (this.#creditEvents === 0 || this.#rewinding !== undefined) return;
    for (const lane of severities) if (!this.#moveLane(lane, fresh)) break;
    this.#watchForAcknowledgement();
  }

  /** False when the lower lanes must wait, too: the link takes no more, or the next event is too large for what room there is. */
  #moveLane(name: Severity, fresh: Fresh | undefined): boolean {
    for (let room = this.#room(name); room.events > 0; room = this.#room(name)) {
      const lane = this.#lanes[name];
      const { epoch } = this.#spool;
      const batch = this.#next(name, room, fresh);
      if (batch === undefined) return false;
      const last = batch.at(-1);
      // Reading may have come upon damage, and begun a new numbering.
      if (last === undefined || epoch !== this.#spool.epoch) return true;
      const events = batch.map(({ event }) => event);
      const resumed = lane.resumes ? { resumed: true } : {};
      if (!this.#send({ kind: "events", body: { lane: name, epoch, after: lane.sent, ...resumed, events } })) return false;
      lane.resumes = false;
      for (const { event, bytes } of batch) {
        lane.flying.push({ sequence: event[0], bytes });
        lane.flyingBytes += bytes;
      }
      lane.sent = last.event[0];
      lane.sentMax = Math.max(lane.sentMax, lane.sent);
      this.#spool.noteSent(name, lane.sent);
    }
    return true;
  }

  /** What may join the lane's events on their way. Nothing while the bytes are used up, but one event when nothing is on its way at all. */
  #room(name: Severity): Room {
    const critical = this.#lanes.critical;
    const all = Object.values(this.#lanes);
    const flying = { events: sum(all, (lane) => lane.flying.length), bytes: sum(all, (lane) => lane.flyingBytes) };
    let events = this.#creditEvents - flying.events;
    let bytes = inFlightBytesMax - flying.bytes;
    if (name !== "critical") {
      const reserve = Math.max(1, Math.floor(this.#creditEvents * criticalShare));
      // With a credit of one there is nothing to reserve.
      events = Math.min(events, Math.max(1, this.#creditEvents - reserve) - (flying.events - critical.flying.length));
      bytes = Math.min(bytes, inFlightBytesMax * (1 - criticalShare) - (flying.bytes - critical.flyingBytes));
    }
    return { events: flying.events === 0 || bytes > 0 ? Math.min(events, batchEventsMax) : 0, bytes };
  }

  /**
   * The lane's next events that fit; undefined when there is one that does not fit yet. What was just written, when it is what comes next:
   * an event on its way is not read back.
   */
  #next(name: Severity, { events: limit, bytes }: Room, fresh: Fresh | undefined): Spooled[] | undefined {
    const lane = this.#lanes[name];
    // Nothing more is there: to ask the disk for it would take longer than all else here.
    if (lane.sent >= this.#spool.last(name)) return [];
    const bytesMax = Math.min(bytes, batchBytesMax);
    const given = fresh?.[name];
    const page =
      given !== undefined && given.events.length > 0 && given.after === lane.sent
        ? firstOf(given.events, limit, bytesMax)
        : this.#spool.read(name, { after: lane.sent, limit, bytesMax });
    // One at least is given, however large it is: it waits unless nothing else is on its way.
    const [first] = page;
    const alone = Object.values(this.#lanes).every(({ flying }) => flying.length === 0);
    if (first !== undefined && first.bytes > bytes && !alone) return undefined;
    if (given !== undefined && page[0] === given.events[0]) {
      given.events = given.events.slice(page.length);
      given.after = page.at(-1)?.event[0] ?? given.after;
    }
    return page;
  }

  /** Counted from the last acknowledgement: what is sent meanwhile must not put it off. */
  #watchForAcknowledgement(): void {
    const flies = Object.values(this.#lanes).some(({ flying }) => flying.length > 0);
    if (flies) this.#resend ??= setTimeout(() => this.#restart(), resendAfterMs);
  }
}

function freshLanes(spool: Spool): Record<Severity, Lane> {
  return eachLane((name) => {
    const acknowledged = spool.acknowledged(name);
    return { acknowledged, sent: acknowledged, sentMax: acknowledged, flying: [], flyingBytes: 0, resumes: true };
  });
}

/** What is acknowledged is no longer on its way. */
function landed(lane: Lane, sequence: number): void {
  const still = lane.flying.findIndex((each) => each.sequence > sequence);
  const gone = lane.flying.splice(0, still < 0 ? lane.flying.length : still);
  lane.flyingBytes -= sum(gone, ({ bytes }) => bytes);
}

function firstOf(events: Spooled[], limit: number, bytesMax: number): Spooled[] {
  let count = 0;
  for (let bytes = 0; count < Math.min(limit, events.length); count++) {
    bytes += events[count]!.bytes;
    if (count > 0 && bytes > bytesMax) break;
  }
  return events.slice(0, count);
}

function sum<T>(values: T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0);
}
