/**
 * The kernel's tables of sockets, /proc/net/{tcp,tcp6,udp,udp6}: read a piece at a time into one buffer, a line at a time without making more
 * of it than a key, so that tens of thousands of connections cost little. The kernel gives them piece by piece, too: under change one may be
 * missing in one reading, or come twice.
 */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { formatAddress, unmapped } from "@needfire/shared/address";
import { systemCode } from "@needfire/shared/errors";

export type Protocol = "tcp" | "udp";

export const tables = ["tcp", "tcp6", "udp", "udp6"] as const;
export type Table = (typeof tables)[number];

/** Of the kernel's states of a socket (include/net/tcp_states.h), those that matter here; `over` are the others of a connection's end. */
export type SocketState = "open" | "listening" | "over" | "other";

export interface SocketLine {
  /** Both ends as the kernel writes them: what one socket has and no other of its table. */
  key: string;
  state: SocketState;
  /** To be asked while the line is visited, and not later. */
  owner(): SocketOf;
}

export interface SocketOf {
  user: number;
  /** 0: it belongs to no process, any more or yet. */
  inode: number;
}

const states: Record<Protocol, readonly SocketState[]> = {
  // Established; SYN sent, SYN received; FIN wait 1 and 2, time wait, close; close wait; last ACK; listen; closing.
  tcp: ["other", "open", "other", "other", "over", "over", "over", "over", "open", "over", "listening", "over", "other"],
  // Of UDP, connected, and (7) not.
  udp: ["other", "open", "other", "other", "other", "other", "other", "listening"],
};

const bufferBytes = 65_536;
const newline = 10;
const colon = 58;

export function protocolOf(table: Table): Protocol {
  return table.startsWith("tcp") ? "tcp" : "udp";
}

/**
 * Visits every line. `listeningOnly`: those of TCP sockets that listen come first, and the rest, which may be long, is not read.
 * A table that is not there (no IPv6) has no lines.
 */
export async function readSockets(
  directory: string,
  { table, listeningOnly, signal }: { table: Table; listeningOnly: boolean; signal: AbortSignal },
  visit: (line: SocketLine) => void,
): Promise<void> {
  const file = await open(join(directory, table), "r").catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  });
  if (file === undefined) return;
  try {
    const stopsEarly = listeningOnly && table.startsWith("tcp");
    const buffer = Buffer.allocUnsafe(bufferBytes);
    const parse = lineParser(table);
    let kept = 0;
    let isHeader = true;
    while (!signal.aborted) {
      const { bytesRead } = await file.read(buffer, kept, bufferBytes - kept);
      if (bytesRead === 0) return;
      const length = kept + bytesRead;
      let from = 0;
      for (let end = buffer.indexOf(newline); end >= 0 && end < length; end = buffer.indexOf(newline, from)) {
        const line = isHeader ? undefined : parse(buffer, from, end);
        isHeader = false;
        from = end + 1;
        if (line === undefined) continue;
        if (stopsEarly && line.state !== "listening") return;
        visit(line);
      }
      kept = length - from;
      // No line is as long as the buffer: if one were, it is none, and nothing is to be had from this table.
      if (kept === bufferBytes) throw new Error(`${join(directory, table)} is not what it should be`);
      buffer.copy(buffer, 0, from, length);
    }
  } finally {
    await file.close();
  }
}

/** `  12: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 48123 ...` */
function lineParser(table: Table): (buffer: Buffer, from: number, end: number) => SocketLine | undefined {
  const address = table.endsWith("6") ? 32 : 8;
  const keyLength = 2 * (address + 5) + 1;
  const known = states[protocolOf(table)];
  return (buffer, from, end) => {
    const start = buffer.indexOf(colon, from) + 2;
    const after = start + keyLength + 1;
    if (start < 2 || after + 50 > end) return undefined;
    const state = Number.parseInt(buffer.toString("latin1", after, after + 2), 16);
    return {
      key: buffer.toString("latin1", start, start + keyLength),
      state: known[state] ?? "other",
      owner: () => {
        // Queues, timer and retransmissions are of fixed width; user, timeout and inode come next.
        const [user, , inode] = buffer
          .toString("latin1", after + 42, end)
          .trimStart()
          .split(/ +/, 3);
        return { user: Number(user), inode: Number(inode) };
      },
    };
  };
}

export interface SocketEnd {
  address: Uint8Array;
  port: number;
}

/** Both ends of a line's key. */
export function socketEnds(key: string): { local: SocketEnd; remote: SocketEnd } {
  const [local = "", remote = ""] = key.split(" ");
  return { local: socketEnd(local), remote: socketEnd(remote) };
}

/** Each 32 bits of the address are a number of the machine's, which has its lowest byte first. */
function socketEnd(text: string): SocketEnd {
  const [address = "", port = ""] = text.split(":");
  const bytes = Buffer.from(address, "hex");
  return { address: unmapped(new Uint8Array(bytes.swap32())), port: Number.parseInt(port, 16) };
}

export function endText({ address, port }: SocketEnd): string {
  const text = formatAddress(address);
  return address.length === 16 ? `[${text}]:${port}` : `${text}:${port}`;
}
