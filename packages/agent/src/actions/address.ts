/** Addresses and networks of IPv4 and IPv6, as numbers: read strictly, compared, written in one way. Pure. */
import { isIP, isIPv4 } from "node:net";

export interface Network {
  family: 4 | 6;
  first: bigint;
  /** Bits that are the same for all in it: 32 or 128 for one address. */
  prefix: number;
}

const bitsOf = { 4: 32, 6: 128 } as const;

/** Or what is wrong with the text. */
export function parseNetwork(text: string): Network | string {
  const [address = "", given, ...more] = text.split("/");
  const family = isIP(address);
  if ((family !== 4 && family !== 6) || more.length > 0) return `${text} is neither an address nor a network`;
  const parsed: { family: 4 | 6; value: bigint } = family === 4 ? { family, value: parse4(address) } : parse6(address);
  const bits = bitsOf[parsed.family];
  const shift = family - parsed.family === 2 ? 96 : 0; // an IPv4 address in IPv6 clothes
  const prefix = given === undefined ? bits : Number(given) - shift;
  if (given !== undefined && (!/^(0|[1-9][0-9]{0,2})$/.test(given) || prefix < 0 || prefix > bits)) return `${text}: no such prefix`;
  const network = { family: parsed.family, first: (parsed.value >> BigInt(bits - prefix)) << BigInt(bits - prefix), prefix };
  return network.first === parsed.value ? network : `${text} is not the beginning of a network: ${networkText(network)} is`;
}

export function isOne({ family, prefix }: Network): boolean {
  return prefix === bitsOf[family];
}

export function overlaps(one: Network, other: Network): boolean {
  if (one.family !== other.family) return false;
  const shift = BigInt(bitsOf[one.family] - Math.min(one.prefix, other.prefix));
  return one.first >> shift === other.first >> shift;
}

export function networkText(network: Network): string {
  const address = network.family === 4 ? text4(network.first) : text6(network.first);
  return isOne(network) ? address : `${address}/${network.prefix}`;
}

function parse4(text: string): bigint {
  return text.split(".").reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
}

function parse6(text: string): { family: 4 | 6; value: bigint } {
  const tail = /[0-9.]+$/.exec(text)?.[0] ?? "";
  // The last two groups may be written as an IPv4 address.
  const four = isIPv4(tail) ? parse4(tail) : undefined;
  const groups = four === undefined ? text : text.replace(/[0-9.]+$/, `${(four >> 16n).toString(16)}:${(four & 0xffffn).toString(16)}`);
  const [head = "", rest] = groups.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = rest === undefined || rest === "" ? [] : rest.split(":");
  const zeros = Array<string>(8 - before.length - after.length).fill("0");
  const value = [...before, ...zeros, ...after].reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
  return value >> 32n === 0xffffn ? { family: 4, value: value & 0xffff_ffffn } : { family: 6, value };
}

function text4(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 0xffn)).join(".");
}

/** As the URL standard writes it: lower case, the longest run of zeros left out. */
function text6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}
