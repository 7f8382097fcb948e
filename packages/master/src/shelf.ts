/**
 * Where frames of events wait for the engine: memory that is used again and again, and that the engine's thread reads in place. The socket's own
 * buffers would each be waited with until the collector has gone through everything old, which at 500 frames a second it would do ten times a
 * second, and each would be copied from thread to thread. Frames of one lane lie behind each other and go in about that order, so what waits takes
 * little more than its bytes.
 */

/** What a board has room for: the largest frame, and several usual ones. */
const boardBytes = 1_048_576;
/** Boards that are kept while nothing is on them. */
const spareBoardsMax = 8;

interface Board {
  memory: SharedArrayBuffer;
  used: number;
  frames: number;
}

/** A frame on the shelf: `bytes` are its own until it is taken off. */
export interface Shelved {
  readonly bytes: Uint8Array;
  readonly board: Board;
}

export class Shelf<Lane extends string> {
  readonly #filling = new Map<Lane, Board>();
  readonly #spare: Board[] = [];

  /** Copies a frame. */
  put(lane: Lane, frame: Uint8Array): Shelved {
    const board = this.#boardFor(lane, frame.length);
    const bytes = new Uint8Array(board.memory, board.used, frame.length);
    bytes.set(frame);
    board.used += frame.length;
    board.frames++;
    return { bytes, board };
  }

  /** Once, when nobody reads it any more, in whatever thread. */
  takeOff({ board }: Shelved): void {
    board.frames--;
    if (board.frames > 0) return;
    board.used = 0;
    const isFilling = [...this.#filling.values()].includes(board);
    if (!isFilling && board.memory.byteLength === boardBytes && this.#spare.length < spareBoardsMax) this.#spare.push(board);
  }

  #boardFor(lane: Lane, bytes: number): Board {
    const filling = this.#filling.get(lane);
    if (filling !== undefined && filling.used + bytes <= filling.memory.byteLength) return filling;
    const usual = bytes <= boardBytes ? this.#spare.pop() : undefined;
    const board = usual ?? { memory: new SharedArrayBuffer(Math.max(bytes, boardBytes)), used: 0, frames: 0 };
    this.#filling.set(lane, board);
    return board;
  }
}
