/**
 * A look at a frame's bytes before anything is built of them. MessagePack's extension types let a peer make regular expressions,
 * errors, BigInts, references (cycles, and texts that grow without end) and record definitions; the wire uses none of them, so a frame
 * that holds one is refused here, and the decoder only ever sees plain data. Reads lengths, skips contents, builds nothing.
 */

/** Lists and maps inside each other. */
const depthMax = 100;

/** Bytes of a token's own number or content, where they are fixed. 0xc7-0xc9 and 0xd4-0xd8 are the extensions, 0xc1 is nothing. */
const fixedBytes: Record<number, number> = {
  0xc0: 0,
  0xc2: 0,
  0xc3: 0,
  0xca: 4,
  0xcb: 8,
  0xcc: 1,
  0xcd: 2,
  0xce: 4,
  0xcf: 8,
  0xd0: 1,
  0xd1: 2,
  0xd2: 4,
  0xd3: 8,
};
/** Bytes of the length that follows a token of text or binary. */
const lengthBytes: Record<number, number> = { 0xc4: 1, 0xc5: 2, 0xc6: 4, 0xd9: 1, 0xda: 2, 0xdb: 4 };
/** Bytes of the count that follows a token of a list or map, and how many values each entry has. */
const countBytes: Record<number, [bytes: number, values: number]> = { 0xdc: [2, 1], 0xdd: [4, 1], 0xde: [2, 2], 0xdf: [4, 2] };

/** Why `frame` is not one value of plain MessagePack; undefined when it is. */
export function frameFault(frame: Uint8Array): string | undefined {
  return fault(frame, true);
}

/** Why `data` is not one map of plain MessagePack without anything binary in it: what JSON can say, too. */
export function dataFault(data: Uint8Array): string | undefined {
  const token = data[0] ?? 0;
  const isMap = (token >= 0x80 && token < 0x90) || token === 0xde || token === 0xdf;
  return isMap ? fault(data, false) : "it is not a map";
}

function fault(frame: Uint8Array, binaryAllowed: boolean): string | undefined {
  /** For each open list or map, how many values are still to come. */
  const open: number[] = [1];
  let at = 0;
  while (open.length > 0) {
    if (open.at(-1) === 0) {
      open.pop();
      continue;
    }
    open[open.length - 1]! -= 1;
    const token = frame[at++];
    if (token === undefined) return "it ends too early";
    if (!binaryAllowed && token >= 0xc4 && token <= 0xc6) return "it holds something binary";
    const inside = valuesInside(token, frame, at);
    if (inside === undefined) return `it holds an extension (0x${token.toString(16)})`;
    at = inside.at;
    if (at > frame.length) return "it ends too early";
    if (inside.values === 0) continue;
    // Each value takes a byte at least, so a count that the frame cannot hold is a lie.
    if (inside.values > frame.length - at) return "it ends too early";
    if (open.length > depthMax) return `it is nested deeper than ${depthMax}`;
    open.push(inside.values);
  }
  return at === frame.length ? undefined : "something follows its value";
}

/** How many values belong to a token, and where the first of them (or what comes after it) starts. */
function valuesInside(token: number, frame: Uint8Array, at: number): { at: number; values: number } | undefined {
  if (token < 0x80 || token >= 0xe0) return { at, values: 0 };
  if (token < 0x90) return { at, values: (token & 0x0f) * 2 };
  if (token < 0xa0) return { at, values: token & 0x0f };
  if (token < 0xc0) return { at: at + (token & 0x1f), values: 0 };
  const fixed = fixedBytes[token];
  if (fixed !== undefined) return { at: at + fixed, values: 0 };
  const length = lengthBytes[token];
  if (length !== undefined) return { at: at + length + bigEndian(frame, at, length), values: 0 };
  const count = countBytes[token];
  if (count === undefined) return undefined;
  const [bytes, values] = count;
  return { at: at + bytes, values: bigEndian(frame, at, bytes) * values };
}

function bigEndian(frame: Uint8Array, at: number, bytes: number): number {
  let value = 0;
  for (let index = at; index < at + bytes; index++) value = value * 256 + (frame[index] ?? 0);
  return value;
}
