/**
 * A look at a frame's bytes before anything is built of them. MessagePack's extension types let a peer make regular expressions,
 * errors, BigInts, references (cycles, and texts that grow without end) and record definitions; the wire uses none of them, so a frame
 * that holds one is refused here, and the decoder only ever sees plain data. Reads lengths, skips contents, builds nothing.
 */

/** Lists and maps inside each other. */
const depthMax = 100;

/** What has no place on the wire: the extensions, and 0xc1, which is nothing. */
const none = -1;
/** For the tokens from 0xc0 to 0xdf: the bytes of the number that they are, or of the length or count that follows them. */
// prettier-ignore
const tokenBytes = [
  0, none, 0, 0, 1, 2, 4, none, none, none, 4, 8, 1, 2, 4, 8,
  1, 2, 4, 8, none, none, none, none, none, 1, 2, 4, 2, 4, 2, 4,
] as const;

/** Why `frame` is not one value of plain MessagePack; undefined when it is. */
export function frameFault(frame: Uint8Array): string | undefined {
  return fault(frame, { binaryAllowed: true, at: 0, end: frame.length });
}

/** Why `data`, or what lies in it from `at` to `end`, is not one map of plain MessagePack without anything binary in it: what JSON can say, too. */
export function dataFault(data: Uint8Array, at = 0, end = data.length): string | undefined {
  const token = at < end ? data[at]! : 0;
  const isMap = (token >= 0x80 && token < 0x90) || token === 0xde || token === 0xdf;
  return isMap ? fault(data, { binaryAllowed: false, at, end }) : "it is not a map";
}

function fault(frame: Uint8Array, { binaryAllowed, at, end }: { binaryAllowed: boolean; at: number; end: number }): string | undefined {
  /** For each open list or map, how many values are still to come; of a map below zero, so that it is known what is a key. */
  const open: number[] = [];
  let values = 1;
  let isMap = false;
  for (;;) {
    while (values === 0) {
      const outer = open.pop();
      if (outer === undefined) return at === end ? undefined : "something follows its value";
      isMap = outer < 0;
      values = Math.abs(outer);
    }
    // An even number of values to come: the next one is a key. On one that is a list, a map or binary the decoder fails.
    const isKey = isMap && (values & 1) === 0;
    values--;
    if (at >= end) return "it ends too early";
    const token = frame[at++]!;
    if (isKey && isNoKey(token)) return "a key is a list, a map or binary";
    let inside = 0;
    if (token < 0x80 || token >= 0xe0) continue;
    if (token >= 0xa0 && token < 0xc0) at += token & 0x1f;
    else if (token < 0x90) inside = (token & 0x0f) * 2;
    else if (token < 0xa0) inside = token & 0x0f;
    else {
      const bytes = tokenBytes[token - 0xc0]!;
      if (bytes === none) return `it holds an extension (0x${token.toString(16)})`;
      if (token >= 0xca && token <= 0xd3) at += bytes;
      else if (bytes > 0) {
        if (!binaryAllowed && token <= 0xc6) return "it holds something binary";
        if (at + bytes > end) return "it ends too early";
        let count = 0;
        for (const stop = at + bytes; at < stop; at++) count = count * 256 + frame[at]!;
        if (token < 0xdc) at += count;
        else inside = token < 0xde ? count : count * 2;
      }
    }
    if (at > end) return "it ends too early";
    if (inside === 0) continue;
    // Each value takes a byte at least, so a count that the frame cannot hold is a lie.
    if (inside > end - at) return "it ends too early";
    if (open.length >= depthMax) return `it is nested deeper than ${depthMax}`;
    open.push(isMap ? -values : values);
    isMap = token < 0x90 || token >= 0xde;
    values = inside;
  }
}

function isNoKey(token: number): boolean {
  return (token >= 0x80 && token < 0xa0) || (token >= 0xc4 && token <= 0xc6) || (token >= 0xdc && token <= 0xdf);
}

/** Where the value that begins at `at` ends, in bytes that have no fault. */
export function valueEnd(bytes: Uint8Array, at: number): number {
  for (let values = 1; values > 0; values--) {
    const token = bytes[at++]!;
    if (token < 0x80 || token >= 0xe0) continue;
    if (token >= 0xa0 && token < 0xc0) at += token & 0x1f;
    else if (token < 0x90) values += (token & 0x0f) * 2;
    else if (token < 0xa0) values += token & 0x0f;
    else {
      const width = tokenBytes[token - 0xc0]!;
      if (token >= 0xca && token <= 0xd3) at += width;
      else if (width > 0) {
        let count = 0;
        for (const stop = at + width; at < stop; at++) count = count * 256 + bytes[at]!;
        if (token < 0xdc) at += count;
        else values += token < 0xde ? count : count * 2;
      }
    }
  }
  return at;
}
