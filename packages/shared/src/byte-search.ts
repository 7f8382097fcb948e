/**
 * Looks for many patterns in bytes at once, in less than a look at every byte: a place can only begin a pattern when the bytes at the end of
 * its window do not say that the next possible place is further on (the algorithm of Wu and Manber). What it costs hangs on the bytes that are
 * looked through, and hardly on the number of patterns. Pure.
 */

/** What is looked for has so many bytes at least: the window. */
export const patternBytesMin = 8;
const blockBytes = 3;
const furthest = patternBytesMin - blockBytes + 1;
/** Places of the table for each block of a pattern: few are taken by chance, and 20 patterns' table is in the processor's cache. */
const placesPerBlock = 16;
const [bitsMin, bitsMax] = [12, 20];

export class ByteSearch {
  /** How far the window may move on, by its last bytes. */
  readonly #shifts: Uint8Array;
  readonly #bits: number;
  /** The patterns that end their window so, the longest first. */
  readonly #byEnd = new Map<number, Uint8Array[]>();

  /** Each of `patternBytesMin` bytes or more. */
  constructor(patterns: readonly Uint8Array[]) {
    const places = patterns.length * furthest * placesPerBlock;
    this.#bits = Math.min(Math.max(32 - Math.clz32(places), bitsMin), bitsMax);
    this.#shifts = new Uint8Array(2 ** this.#bits).fill(furthest);
    for (const pattern of patterns.toSorted((a, b) => b.length - a.length)) this.#add(pattern);
  }

  #add(pattern: Uint8Array): void {
    for (let end = blockBytes - 1; end < patternBytesMin; end++) {
      const place = placeOf(pattern, end, this.#bits);
      this.#shifts[place] = Math.min(this.#shifts[place]!, patternBytesMin - 1 - end);
    }
    const place = placeOf(pattern, patternBytesMin - 1, this.#bits);
    this.#byEnd.set(place, [...(this.#byEnd.get(place) ?? []), pattern]);
  }

  /** Where, from `from` on, the first `patternBytesMin` bytes of a pattern stand next; -1: nowhere. */
  next(bytes: Uint8Array, from: number): number {
    const shifts = this.#shifts;
    const bits = this.#bits;
    const { length } = bytes;
    for (let end = from + patternBytesMin - 1; end < length;) {
      const place = placeOf(bytes, end, bits);
      const shift = shifts[place]!;
      end += shift;
      if (shift > 0) continue;
      const at = end - patternBytesMin + 1;
      if (this.#byEnd.get(place)?.some((pattern) => common(bytes, at, pattern) >= patternBytesMin) === true) return at;
      end++;
    }
    return -1;
  }

  /**
   * How many bytes of a pattern stand at `at`, where `next` has found its beginning: all of it, or the half at least, up to the end, where the
   * bytes break off; else 0.
   */
  lengthAt(bytes: Uint8Array, at: number): number {
    const rest = bytes.length - at;
    for (const pattern of this.#byEnd.get(placeOf(bytes, at + patternBytesMin - 1, this.#bits)) ?? []) {
      const wanted = Math.min(pattern.length, rest);
      if (wanted * 2 >= pattern.length && common(bytes, at, pattern) === wanted) return wanted;
    }
    return 0;
  }
}

/** For the three bytes that end at `end`. */
function placeOf(bytes: Uint8Array, end: number, bits: number): number {
  return Math.imul(bytes[end - 2]! | (bytes[end - 1]! << 8) | (bytes[end]! << 16), 0x9e3779b1) >>> (32 - bits);
}

function common(bytes: Uint8Array, at: number, pattern: Uint8Array): number {
  const end = Math.min(pattern.length, bytes.length - at);
  let length = 0;
  while (length < end && bytes[at + length] === pattern[length]) length++;
  return length;
}
