/**
 * Which causes a sealed partition may have effects of: a Bloom filter, so that a chain of causes opens the few files that it stands in.
 */
const bitsPerCause = 10;
const hashes = 7;
const bytesMin = 16;
/** With more causes than fit into it there is no filter, and the file is always looked into. */
const bytesMax = 65_536;

export function causeFilter(causes: readonly string[]): Uint8Array | undefined {
  const bytes = Math.max(bytesMin, Math.ceil((causes.length * bitsPerCause) / 8));
  if (bytes > bytesMax) return undefined;
  const filter = new Uint8Array(bytes);
  for (const cause of causes) for (const bit of bitsOf(cause, bytes * 8)) filter[bit >> 3]! |= 1 << (bit & 7);
  return filter;
}

/** False only when there is no effect of the cause. */
export function mayHaveEffects(filter: Uint8Array, cause: string): boolean {
  return bitsOf(cause, filter.length * 8).every((bit) => (filter[bit >> 3]! & (1 << (bit & 7))) !== 0);
}

function bitsOf(text: string, bits: number): number[] {
  const first = hash(text, 0x811c9dc5);
  const second = hash(text, first) | 1;
  return Array.from({ length: hashes }, (_value, index) => ((first + index * second) >>> 0) % bits);
}

/** FNV-1a, with its bits mixed at the end. */
function hash(text: string, seed: number): number {
  let value = seed;
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
  return (value ^ (value >>> 13)) >>> 0;
}
