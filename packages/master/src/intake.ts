/**
 * The one way in for events, on the main thread: frames wait here by lane and go to the engine a slice at a time, higher lanes first and
 * critical ones past all others (P8). What is durable is acknowledged (P1). What waits is bounded: a session that goes beyond its credit,
 * or a fleet that brings more than there is room for, is told to send again later what was left out (P4).
 */
import type { Logger } from "pino";
import { errorText } from "@needfire/shared/errors";
import { severities, type Severity } from "@needfire/shared/event";
import { inFlightBytesMax, type MasterMessage } from "@needfire/shared/wire";
import type { EventsFrame, Verdict } from "./admission.ts";
import { Queue } from "./queue.ts";
import type { Session } from "./sessions.ts";
import { Shelf, type Shelved } from "./shelf.ts";

export interface IntakeOptions {
  /** Resolves with a verdict for each when what was taken is durable. What is `urgent` overtakes what is on its way. */
  take(frames: EventsFrame[], urgent: boolean): Promise<Verdict[]>;
  send(session: Session, message: MasterMessage): void;
  /** A batch without secrets. */
  mask(frame: Uint8Array): Uint8Array;
  /** Which events of a batch the engine must look at. */
  sieve(agent: string, frame: Uint8Array): number[] | undefined;
  /** Whether a session is still the agent's own. */
  isOpen(session: Session): boolean;
  sessions(): number;
  clock: { now(): number };
  log: Logger;
  /** The most that one agent may have on its way, in events. */
  creditEvents: number;
}

/** Events of all agents together that may be on their way; each has its share of it as credit. */
const fleetCreditEvents = 200_000;
/** No agent's credit is less. */
const creditEventsMin = 20;
/** Frames of one session that wait here: what its credit allows twice over, since an agent that begins anew sends again what is on its way. */
const sessionBytesMax = 3 * inFlightBytesMax;
/** Frames that wait here in all. */
const waitingBytesMax = 268_435_456;
/**
 * A slice for the engine: large enough to be worth a turn. `heardMax`: events that the engine must look at. Each may become a task, and to judge and
 * keep one takes as long as to write some thirty that nobody waits for. `slicesMax`: of a kind at the engine; one is on its way to the disk, one is
 * worked on, one is on its way there.
 */
const usual = { bytesMax: 524_288, heardMax: 500, slicesMax: 3 };
/** The same while critical events come: the next one will wait for the turn before its own, and its sync for what that one wrote. */
const whileCritical = { bytesMax: 196_608, heardMax: 150, slicesMax: 1 };
/** They come, when the last one came so short a time ago. */
const criticalForMs = 2_000;

interface Waiting {
  session: Session;
  frame: Shelved;
  received: number;
}

/** What goes to the engine in one go: as it waited, and as the engine gets it. `problem`: it could not be looked at. */
interface Slice {
  waited: Waiting[];
  frames: EventsFrame[];
  problem?: Error;
}

interface SessionState {
  bytes: number;
  /** Lanes that were told to begin anew and have not done so yet: what comes in them is known to be too early. */
  rewinding: Set<Severity>;
  /** Something was left out, and is asked for when there is room. */
  leftOut: boolean;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #lanes: Record<Severity, Queue<Waiting>> = { critical: new Queue(), high: new Queue(), normal: new Queue(), low: new Queue() };
  readonly #shelf = new Shelf<Severity>();
  readonly #states = new WeakMap<Session, SessionState>();
  readonly #leftOut = new Set<Session>();
  #bytes = 0;
  #lastCritical = Number.NEGATIVE_INFINITY;
  readonly #slices = { urgent: 0, other: 0 };

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** What an agent may have on its way unacknowledged, in events. */
  credit(): number {
    const share = Math.floor(fleetCreditEvents / Math.max(1, this.#options.sessions()));
    return Math.min(this.#options.creditEvents, Math.max(creditEventsMin, share));
  }

  take(session: Session, lane: Severity, frame: Buffer): void {
    const state = this.#state(session);
    if (state.bytes + frame.length > sessionBytesMax || this.#bytes + frame.length > waitingBytesMax) {
      if (!state.leftOut) this.#options.log.warn({ agent: session.agent }, "events were left out: more came than there is room for");
      state.leftOut = true;
      this.#leftOut.add(session);
      return;
    }
    state.bytes += frame.length;
    this.#bytes += frame.length;
    this.#lanes[lane].push({ session, frame: this.#shelf.put(lane, frame), received: this.#options.clock.now() });
    const urgent = lane === "critical";
    if (urgent) this.#lastCritical = performance.now();
    if (this.#slices[urgent ? "urgent" : "other"] < this.#slicesMax(urgent)) void this.#work(urgent);
  }

  async #work(urgent: boolean): Promise<void> {
    const kind = urgent ? "urgent" : "other";
    this.#slices[kind]++;
    // What came in one go goes in one slice.
    await Promise.resolve();
    // Nothing comes between the last look and the end, or it would wait for the next frame.
    while (this.#slices[kind] <= this.#slicesMax(urgent)) {
      const slice = this.#slice(urgent);
      if (slice.waited.length === 0) break;
      await this.#hand(slice, urgent);
    }
    this.#slices[kind]--;
    this.#askForWhatWasLeftOut();
  }

  async #hand({ waited, frames, problem }: Slice, urgent: boolean): Promise<void> {
    const { take, log } = this.#options;
    try {
      if (problem !== undefined) throw problem;
      const verdicts = await take(frames, urgent);
      for (const [index, { session }] of waited.entries()) if (this.#options.isOpen(session)) this.#answer(session, verdicts[index]!);
    } catch (error) {
      log.error({ error: errorText(error) }, "events could not be kept; their agents hold them");
      for (const { session } of waited) {
        this.#state(session).leftOut = true;
        this.#leftOut.add(session);
      }
    } finally {
      for (const { frame } of waited) this.#shelf.takeOff(frame);
    }
  }

  /** Critical events have slices of their own. A slice ends with the frame that fills it. */
  #slice(urgent: boolean): Slice {
    const slice: Slice = { waited: [], frames: [] };
    try {
      this.#fill(slice, urgent);
    } catch (error) {
      slice.problem = error as Error;
    }
    return slice;
  }

  #fill({ waited, frames }: Slice, urgent: boolean): void {
    const { bytesMax, heardMax } = this.#bounds;
    let bytes = 0;
    let heard = 0;
    for (const severity of severities.filter((each) => (each === "critical") === urgent)) {
      const lane = this.#lanes[severity];
      for (let next = lane.peek(); next !== undefined; next = lane.peek()) {
        const { length } = next.frame.bytes;
        if (heard >= heardMax || (bytes > 0 && bytes + length > bytesMax)) return;
        lane.shift();
        bytes += length;
        this.#bytes -= length;
        this.#state(next.session).bytes -= length;
        // Authority is checked when it is used: the key may have been revoked while this waited.
        if (!this.#options.isOpen(next.session)) {
          this.#shelf.takeOff(next.frame);
          continue;
        }
        waited.push(next);
        const frame = this.#look(next);
        frames.push(frame);
        heard += frame.heard?.length ?? 0;
      }
    }
  }

  get #bounds(): typeof usual {
    return performance.now() - this.#lastCritical < criticalForMs ? whileCritical : usual;
  }

  /** What is urgent waits for nothing but its own kind. */
  #slicesMax(urgent: boolean): number {
    return urgent ? usual.slicesMax : this.#bounds.slicesMax;
  }

  #look({ session: { agent }, frame: sent, received }: Waiting): EventsFrame {
    const { mask, sieve } = this.#options;
    const frame = mask(sent.bytes);
    return { agent, frame, received, heard: sieve(agent, frame) };
  }

  #answer(session: Session, verdict: Verdict): void {
    const { send, log } = this.#options;
    // No honest agent sends it, so nobody is waiting for it to be taken.
    if (verdict.kind === "refused") return log.warn({ agent: session.agent, reason: verdict.reason }, "a batch of events was dropped");
    const { rewinding } = this.#state(session);
    const { lane, resumed } = verdict;
    if (resumed) rewinding.delete(lane);
    if (verdict.kind === "rewind") return this.#rewind(session, lane);
    const { epoch, sequence } = verdict;
    send(session, { kind: "ack", body: { lane, epoch, sequence, creditEvents: this.credit() } });
  }

  /** Once: of what is on its way behind the gap, everything is too early. */
  #rewind(session: Session, lane: Severity): void {
    const state = this.#state(session);
    // It comes when there is room again.
    if (state.rewinding.has(lane) || state.leftOut) return;
    for (const each of severities) state.rewinding.add(each);
    this.#options.send(session, { kind: "rewind", body: {} });
  }

  #askForWhatWasLeftOut(): void {
    for (const session of this.#leftOut) {
      const state = this.#state(session);
      state.leftOut = false;
      state.rewinding.clear();
      if (this.#options.isOpen(session)) this.#rewind(session, "low");
    }
    this.#leftOut.clear();
  }

  #state(session: Session): SessionState {
    let state = this.#states.get(session);
    if (state === undefined) this.#states.set(session, (state = { bytes: 0, rewinding: new Set(), leftOut: false }));
    return state;
  }
}
