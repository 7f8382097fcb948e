/**
 * A load of events that costs its sender little: a frame is encoded once, with numbers of a fixed width, and only the numbers are written
 * anew for each sending. So the figures are the master's, although the sender runs on the same machine.
 */
import type { Severity } from "@needfire/shared/event";
import { encode } from "@needfire/shared/wire";
import { type WireEvent, wireEvent } from "@needfire/shared/wire-event";

/** Numbers from here on take five bytes, whatever they are. */
export const firstNumber = 2 ** 31;
const uint32 = 0xce;

export interface LoadOptions {
  session: string;
  epoch: string;
  lane: Severity;
  events: number;
  draft(index: number): { type: string; subject: string; data: Record<string, unknown> };
}

/** One batch, to be sent again and again as ever new events. */
export class LoadFrame {
  readonly #frame: Buffer;
  readonly #counterAt: number;
  readonly #afterAt: number;
  readonly #sequencesAt: number[];

  constructor({ session, epoch, lane, events: count, draft }: LoadOptions) {
    const time = Date.now() + 0.25;
    const events: WireEvent[] = Array.from({ length: count }, (_, index) =>
      wireEvent(firstNumber + 2 + index, { ...draft(index), severity: lane, beacon: "load", time }),
    );
    this.#frame = encode({ kind: "events", body: { lane, epoch, after: firstNumber + 1, events } }, { session, counter: firstNumber });
    let from = 0;
    const at = (value: number) => {
      const wanted = Buffer.alloc(5);
      wanted[0] = uint32;
      wanted.writeUInt32BE(value, 1);
      const found = this.#frame.indexOf(wanted, from);
      if (found < 0) throw new Error(`the frame does not hold ${value}`);
      from = found + wanted.length;
      return found + 1;
    };
    this.#counterAt = at(firstNumber);
    this.#afterAt = at(firstNumber + 1);
    this.#sequencesAt = events.map((_, index) => at(firstNumber + 2 + index));
  }

  get bytes(): number {
    return this.#frame.length;
  }

  /** The frame as the batch that begins after `after`. A copy: libzmq keeps what it is given. */
  sent(counter: number, after: number): Buffer {
    const frame = Buffer.from(this.#frame);
    frame.writeUInt32BE(counter, this.#counterAt);
    frame.writeUInt32BE(after, this.#afterAt);
    for (const [index, at] of this.#sequencesAt.entries()) frame.writeUInt32BE(after + 1 + index, at);
    return frame;
  }
}
