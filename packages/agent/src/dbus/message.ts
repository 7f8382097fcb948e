/**
 * D-Bus messages between a stream of bytes and values. Pure but for the bytes that wait for the rest of their message, which are bounded.
 */
import { DbusFormatError, readValues, Variant, writeValues } from "./values.ts";

/** The specification allows 128 MiB; the longest that we ask for, a list of 20,000 units, has 6. */
export const messageBytesMax = 16_777_216;

const types = ["invalid", "call", "return", "error", "signal"] as const;
/** Header fields by their number, with their type. */
const fields = [
  ["", ""],
  ["path", "o"],
  ["interface", "s"],
  ["member", "s"],
  ["errorName", "s"],
  ["replySerial", "u"],
  ["destination", "s"],
  ["sender", "s"],
  ["signature", "g"],
] as const;

export interface Message {
  type: (typeof types)[number];
  serial: number;
  path?: string;
  interface?: string;
  member?: string;
  errorName?: string;
  replySerial?: number;
  destination?: string;
  sender?: string;
  signature?: string;
  body: unknown[];
}

export function encodeMessage(message: Message): Buffer {
  const { type, serial, signature = "", body } = message;
  const bytes = writeValues(signature, body);
  const present = fields.flatMap(([name, held], code) => {
    const value = name === "" ? undefined : message[name];
    return value === undefined || value === "" ? [] : [[code, new Variant(held, value)]];
  });
  const header = writeValues("yyyyuua(yv)", ["l".charCodeAt(0), types.indexOf(type), 0, 1, bytes.length, serial, present]);
  return Buffer.concat([header, Buffer.alloc(padding(header.length)), bytes]);
}

/** Bytes in, whole messages out. Throws DbusFormatError for what is none; the stream is of no use then. */
export class MessageReader {
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** Bytes of the message that is being received; 16 until its first part tells. */
  #wanted = 16;

  push(chunk: Buffer): Message[] {
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes < this.#wanted) return [];
    let bytes = Buffer.concat(this.#waiting);
    const messages: Message[] = [];
    for (;;) {
      this.#wanted = bytes.length < 16 ? 16 : messageLength(bytes);
      if (bytes.length < this.#wanted) break;
      messages.push(decode(bytes.subarray(0, this.#wanted)));
      bytes = bytes.subarray(this.#wanted);
    }
    this.#waiting = [bytes];
    this.#waitingBytes = bytes.length;
    return messages;
  }
}

function messageLength(bytes: Buffer): number {
  const little = isLittle(bytes);
  const body = little ? bytes.readUInt32LE(4) : bytes.readUInt32BE(4);
  const header = 16 + (little ? bytes.readUInt32LE(12) : bytes.readUInt32BE(12));
  const length = header + padding(header) + body;
  if (length > messageBytesMax) throw new DbusFormatError(`a D-Bus message of ${length} bytes: more than ${messageBytesMax}`);
  return length;
}

function decode(bytes: Buffer): Message {
  const little = isLittle(bytes);
  const { values, end } = readValues(bytes, { signature: "yyyyuua(yv)", offset: 0, little });
  const [, type, , , , serial, present] = values as [number, number, number, number, number, number, [number, unknown][]];
  const message: Message = { type: types[type] ?? "invalid", serial, body: [] };
  for (const [code, value] of present) {
    const [name, held] = fields[code] ?? ["", ""];
    // Fields that we do not know are to be ignored.
    if (name !== "" && typeof value === (held === "u" ? "number" : "string")) Object.assign(message, { [name]: value });
  }
  if (message.signature !== undefined)
    message.body = readValues(bytes, { signature: message.signature, offset: end + padding(end), little }).values;
  return message;
}

function isLittle(bytes: Buffer): boolean {
  const order = bytes.toString("latin1", 0, 1);
  if (order !== "l" && order !== "B") throw new DbusFormatError("not a D-Bus message: no byte order");
  return order === "l";
}

function padding(length: number): number {
  return (8 - (length % 8)) % 8;
}
