/**
 * A batch of events told by its bytes: whether each of them is sound, and which are of a type that somebody waits for, without building any. Knows only
 * what nearly all batches are; of any other it says nothing, and whoever asks decodes the frame. Never takes what the decoder would refuse.
 */
import { severities } from "./event.ts";
import { dataFault } from "./frame-scan.ts";
import { pack } from "./pack.ts";
import { batchEventsMax, checkBatch, frameBytesMax } from "./wire.ts";
import type { WireEvent } from "./wire-event.ts";

/** `wanted`: three numbers for each event that somebody waits for: its place in the batch, its first byte, and the one after its last. */
export interface WalkedBatch {
  epoch: string;
  events: number;
  wanted: readonly number[];
}

/** What is not of the plain kind; the decoder must look at it. */
const unknown = -1;
const subjectCharactersMax = 4_096;
const timeMax = 8.64e15;
const namesMax = 10_000;
const eventOfEight = 0x98;
const nil = 0xc0;

const packedSeverities: readonly Uint8Array[] = severities.map((severity) => pack(severity));

export class BatchWalker {
  readonly #types = new KnownNames();
  readonly #beacons = new KnownNames();

  /** From an event that has been checked: what its names look like. */
  learn([, type, , , , beacon]: WireEvent): void {
    this.#types.add(type);
    if (beacon !== null) this.#beacons.add(beacon);
  }

  /** Undefined: the frame has to be decoded. `isWanted`: of a type. Never throws. */
  walk(frame: Uint8Array, isWanted: (type: string) => boolean): WalkedBatch | undefined {
    if (frame.length > frameBytesMax) return undefined;
    const reader = new Reader(frame);
    if (reader.byte() !== 0x95) return undefined;
    const envelope = [reader.scalar(), reader.scalar(), reader.scalar(), reader.scalar()];
    const map = reader.byte();
    if (map < 0x80 || map > 0x8f) return undefined;
    const body: Record<string, unknown> = {};
    let walked: Omit<WalkedBatch, "epoch"> | undefined;
    for (let fields = map & 0x0f; fields > 0; fields--) {
      const name = reader.scalar();
      if (typeof name !== "string" || Object.hasOwn(body, name)) return undefined;
      if (name === "events") {
        walked = this.#events(reader, isWanted);
        if (walked === undefined) return undefined;
        body[name] = [nil];
      } else if ((body[name] = reader.scalar()) === undefined) return undefined;
    }
    if (walked === undefined || reader.at !== frame.length || !checkBatch(envelope, body)) return undefined;
    return { ...walked, epoch: String(body["epoch"]) };
  }

  #events(reader: Reader, isWanted: (type: string) => boolean): Omit<WalkedBatch, "epoch"> | undefined {
    const events = reader.listLength();
    if (events < 1 || events > batchEventsMax) return undefined;
    const wanted: number[] = [];
    for (let place = 0; place < events; place++) {
      const from = reader.at;
      const type = this.#event(reader);
      if (type === undefined) return undefined;
      if (isWanted(type)) wanted.push(place, from, reader.at);
    }
    return { events, wanted };
  }

  /** The type of an event, behind which the reader stands then; undefined: it is not plain. */
  #event(reader: Reader): string | undefined {
    if (reader.byte() !== eventOfEight) return undefined;
    const sequence = reader.number();
    if (!(sequence >= 1) || !Number.isSafeInteger(sequence)) return undefined;
    const type = reader.name(this.#types);
    if (type === undefined) return undefined;
    const time = reader.number();
    if (!(time >= 0 && time <= timeMax)) return undefined;
    const isSound =
      reader.oneOf(packedSeverities) &&
      (reader.isNil() || reader.asciiText(subjectCharactersMax)) &&
      (reader.isNil() || reader.name(this.#beacons) !== undefined) &&
      reader.isNil() &&
      reader.data();
    return isSound ? type : undefined;
  }
}

/** Goes through a frame. Where it meets something else than what it was asked for, it says so and is of no use any more. */
class Reader {
  at = 0;
  readonly #frame: Uint8Array;
  readonly #view: DataView;

  constructor(frame: Uint8Array) {
    this.#frame = frame;
    this.#view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  }

  /** `unknown` at the end. */
  byte(): number {
    return this.#frame[this.at++] ?? unknown;
  }

  isNil(): boolean {
    if (this.#frame[this.at] !== nil) return false;
    this.at++;
    return true;
  }

  /** Not below zero; `unknown` when there is no such number. */
  number(): number {
    const token = this.byte();
    if (token < 0x80) return token;
    if (token < 0xcb || token > 0xcf) return unknown;
    const from = this.at;
    this.at += token === 0xcb ? 8 : 1 << (token - 0xcc);
    if (this.at > this.#frame.length) return unknown;
    if (token === 0xcb) return this.#view.getFloat64(from);
    if (token === 0xcc) return this.#view.getUint8(from);
    if (token === 0xcd) return this.#view.getUint16(from);
    return token === 0xce ? this.#view.getUint32(from) : Number(this.#view.getBigUint64(from));
  }

  /** A short text, a number or a truth value. */
  scalar(): string | number | boolean | undefined {
    const token = this.#frame[this.at];
    if (token === 0xc2 || token === 0xc3) return this.byte() === 0xc3;
    const length = this.#textLength();
    if (length === unknown) {
      const value = this.number();
      return value >= 0 ? value : undefined;
    }
    let text = "";
    for (const end = this.at + length; this.at < end; this.at++) {
      const code = this.#frame[this.at] ?? 0x80;
      if (code >= 0x80) return undefined;
      text += String.fromCharCode(code);
    }
    return text;
  }

  listLength(): number {
    const token = this.byte();
    if (token >= 0x90 && token <= 0x9f) return token & 0x0f;
    if (token !== 0xdc || this.at + 2 > this.#frame.length) return unknown;
    return this.byte() * 256 + this.byte();
  }

  name(names: KnownNames): string | undefined {
    const length = this.#textLength();
    if (length === unknown) return undefined;
    this.at += length;
    return names.find(this.#frame, this.at - length, this.at);
  }

  oneOf(values: readonly Uint8Array[]): boolean {
    const found = values.find((value) => holds(this.#frame, this.at, value));
    if (found === undefined) return false;
    this.at += found.length;
    return true;
  }

  /** In other bytes the decoder may find a fault. */
  asciiText(charactersMax: number): boolean {
    const length = this.#textLength();
    if (length === unknown || length > charactersMax) return false;
    for (const end = this.at + length; this.at < end; this.at++) if ((this.#frame[this.at] ?? 0x80) >= 0x80) return false;
    return true;
  }

  /** Binary that holds a plain map. */
  data(): boolean {
    const token = this.byte();
    if (token < 0xc4 || token > 0xc6) return false;
    const from = this.at + (1 << (token - 0xc4));
    if (from > this.#frame.length) return false;
    let length = 0;
    while (this.at < from) length = length * 256 + this.byte();
    this.at += length;
    return this.at <= this.#frame.length && dataFault(this.#frame, from, this.at) === undefined;
  }

  /** `unknown`, and nothing is passed over, when no text of at most 64 KiB begins here. */
  #textLength(): number {
    const token = this.#frame[this.at] ?? 0;
    if (token >= 0xa0 && token <= 0xbf) return (this.at++, token & 0x1f);
    if (token !== 0xd9 && token !== 0xda) return unknown;
    this.at++;
    return token === 0xd9 ? this.byte() : this.byte() * 256 + this.byte();
  }
}

/** Names by their bytes: there are few, and they come again and again. */
class KnownNames {
  readonly #byHash = new Map<number, { bytes: Uint8Array; name: string }[]>();
  readonly #names = new Set<string>();

  add(name: string): void {
    if (this.#names.has(name)) return;
    if (this.#names.size >= namesMax) {
      this.#names.clear();
      this.#byHash.clear();
    }
    this.#names.add(name);
    const bytes = Buffer.from(name);
    const hash = hashOf(bytes, 0, bytes.length);
    this.#byHash.set(hash, [...(this.#byHash.get(hash) ?? []), { bytes, name }]);
  }

  find(frame: Uint8Array, from: number, to: number): string | undefined {
    const found = this.#byHash.get(hashOf(frame, from, to));
    if (found === undefined) return undefined;
    for (const { bytes, name } of found) if (bytes.length === to - from && holds(frame, from, bytes)) return name;
    return undefined;
  }
}

function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = to - from;
  for (let at = from; at < to; at++) hash = (Math.imul(hash, 31) + (bytes[at] ?? 0)) | 0;
  return hash;
}

function holds(frame: Uint8Array, at: number, bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.length; index++) if (frame[at + index] !== bytes[index]) return false;
  return true;
}
