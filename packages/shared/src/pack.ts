/**
 * MessagePack as Needfire uses it: plain data only, on the wire, in the spool and in the journal. What was packed elsewhere goes through
 * `frameFault` or `dataFault` (frame-scan.ts) before it is unpacked.
 */
import { Packr } from "msgpackr";

// A key without a value is left out: MessagePack could only say `undefined` with an extension, and frames have none (frame-scan.ts).
// The library's types do not know `skipValues`.
const packing = { useRecords: false, moreTypes: false, mapsAsObjects: true, int64AsType: "number", skipValues: [undefined] } as const;
const packr = new Packr(packing);

/** A copy of its own: msgpackr hands out slices of a buffer that it writes on into. */
export function pack(value: unknown): Buffer {
  return Buffer.from(packr.pack(value));
}

/** Throws when the bytes are not MessagePack. What is binary in them shares their memory. */
export function unpack(bytes: Uint8Array): unknown {
  return packr.unpack(bytes);
}
