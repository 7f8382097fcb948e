/**
 * IP addresses and ranges of them (CIDR), as bytes: 4 for IPv4, 16 for IPv6. An IPv4 address that is mapped into IPv6 (::ffff:192.0.2.1)
 * is the IPv4 address. Pure.
 */

export interface AddressRange {
  bytes: Uint8Array;
  bits: number;
}

/** Undefined: the text is no address. */
export function parseAddress(text: string): Uint8Array | undefined {
  const bytes = text.includes(":") ? parseV6(text) : parseV4(text);
  return bytes === undefined ? undefined : unmapped(bytes);
}

/** `192.0.2.0/24`, `2001:db8::/32`, or one address. Undefined: it is none. */
export function parseRange(text: string): AddressRange | undefined {
  const [address = "", bits, ...more] = text.split("/");
  const bytes = address.includes(":") ? parseV6(address) : parseV4(address);
  if (bytes === undefined || more.length > 0) return undefined;
  const length = bits === undefined ? bytes.length * 8 : /^[0-9]{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
  if (!(length <= bytes.length * 8)) return undefined;
  const plain = unmapped(bytes);
  if (plain.length === bytes.length) return { bytes, bits: length };
  return length < 96 ? { bytes, bits: length } : { bytes: plain, bits: length - 96 };
}

export function rangeHolds({ bytes, bits }: AddressRange, address: Uint8Array): boolean {
  if (bytes.length !== address.length) return false;
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== address[i]) return false;
  const rest = bits & 7;
  return rest === 0 || bytes[whole]! >> (8 - rest) === address[whole]! >> (8 - rest);
}

export function unmapped(bytes: Uint8Array): Uint8Array {
  const isMapped = bytes.length === 16 && bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every((byte) => byte === 0);
  return isMapped ? bytes.subarray(12) : bytes;
}

/** As RFC 5952 has it: the longest run of zeros is `::`. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!);
  const run = longestZeros(groups);
  const text = (some: number[]) => some.map((group) => group.toString(16)).join(":");
  if (run.length < 2) return text(groups);
  return `${text(groups.slice(0, run.from))}::${text(groups.slice(run.from + run.length))}`;
}

function longestZeros(groups: number[]): { from: number; length: number } {
  let longest = { from: 0, length: 0 };
  for (let from = 0; from < groups.length; from++) {
    let length = 0;
    while (groups[from + length] === 0) length += 1;
    if (length > longest.length) longest = { from, length };
  }
  return longest;
}

function parseV4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  const isValid = parts.length === 4 && parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255);
  return isValid ? Uint8Array.from(parts, Number) : undefined;
}

function parseV6(text: string): Uint8Array | undefined {
  const [front = "", back, ...more] = text.split("::");
  const head = parseGroups(front, back === undefined);
  const tail = back === undefined ? [] : parseGroups(back, true);
  if (head === undefined || tail === undefined || more.length > 0) return undefined;
  const missing = 8 - head.length - tail.length;
  if (back === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array<number>(missing).fill(0), ...tail];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** `endsHere`: the last may be an IPv4 address, which is two. */
function parseGroups(text: string, endsHere: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const groups: number[] = [];
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else {
      const v4 = endsHere && i === parts.length - 1 ? parseV4(part) : undefined;
      if (v4 === undefined) return undefined;
      groups.push((v4[0]! << 8) | v4[1]!, (v4[2]! << 8) | v4[3]!);
    }
  }
  return groups.length > 8 ? undefined : groups;
}
