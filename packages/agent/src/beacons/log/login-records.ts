/**
 * Records of utmp, wtmp and btmp, as glibc lays them out: C structs of a fixed length, in the machine's byte order. Pure.
 */
import { endianness } from "node:os";

export interface LoginRecord {
  kind: "boot" | "user" | "dead" | "other";
  pid: number;
  line: string;
  user: string;
  host: string;
  /** Of the host that it came from; undefined: none, or not known. */
  address: string | undefined;
  /** ms since the epoch. */
  time: number;
}

/** Where 32-bit programs must read the file, too (x86), times are of 32 bits; elsewhere (arm64) of 64. */
interface Layout {
  bytes: number;
  time: number;
  timeBytes: 4 | 8;
  address: number;
}

const layouts: Record<string, Layout> = {
  x64: { bytes: 384, time: 340, timeBytes: 4, address: 348 },
  arm64: { bytes: 400, time: 344, timeBytes: 8, address: 360 },
};

const offsets = { type: 0, pid: 4, line: 8, user: 44, host: 76 };
const lengths = { line: 32, user: 32, host: 256, address: 16 };
const kinds: Record<number, LoginRecord["kind"]> = { 2: "boot", 7: "user", 8: "dead" };
const littleEndian = endianness() === "LE";

export function recordBytes(architecture: string = process.arch): number {
  return layoutOf(architecture).bytes;
}

/** `bytes`: one record. */
export function parseRecord(bytes: Buffer, architecture: string = process.arch): LoginRecord {
  const layout = layoutOf(architecture);
  const view = new DataView(bytes.buffer, bytes.byteOffset, layout.bytes);
  const seconds = layout.timeBytes === 4 ? view.getUint32(layout.time, littleEndian) : Number(view.getBigUint64(layout.time, littleEndian));
  const micros = view.getInt32(layout.time + layout.timeBytes, littleEndian);
  return {
    kind: kinds[view.getInt16(offsets.type, littleEndian)] ?? "other",
    pid: view.getInt32(offsets.pid, littleEndian),
    line: textAt(bytes, offsets.line, lengths.line),
    user: textAt(bytes, offsets.user, lengths.user),
    host: textAt(bytes, offsets.host, lengths.host),
    address: addressOf(bytes.subarray(layout.address, layout.address + lengths.address)),
    time: seconds * 1_000 + Math.floor(micros / 1_000),
  };
}

function layoutOf(architecture: string): Layout {
  return layouts[architecture] ?? layouts["x64"]!;
}

function textAt(bytes: Buffer, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.toString("utf8", 0, end < 0 ? length : end);
}

/** Four words in network order: an IPv4 address has but the first. */
function addressOf(bytes: Buffer): string | undefined {
  const rest = bytes.subarray(4);
  if (rest.every((byte) => byte === 0))
    return bytes.subarray(0, 4).every((byte) => byte === 0) ? undefined : bytes.subarray(0, 4).join(".");
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  // The shortest form, which is how every log has it.
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}
