/**
 * Whose a socket is: the kernel tells only by the open files of every process (/proc/PID/fd), so they are looked at when there is a new socket
 * to be told of, those of the last finds first, and no further than all are found. An edge, bounded in what it looks at.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { systemCode } from "@needfire/shared/errors";

/** Open files that are looked at for one find; sockets that are found in none of them are told without their process. */
const filesMax = 500_000;
/** Others get their turn after so many. */
const sliceFiles = 2_000;
/** Processes that are looked at first. */
const recentMax = 64;
const nameCharactersMax = 64;

export interface SocketOwner {
  pid: number;
  name: string;
}

export interface Found {
  owners: Map<number, SocketOwner>;
  /** Some processes may not be looked at. */
  isBarred: boolean;
}

export class SocketOwners {
  #recent: number[] = [];

  async find(inodes: Iterable<number>, signal: AbortSignal): Promise<Found> {
    const wanted = new Set(inodes);
    wanted.delete(0);
    const found: Found = { owners: new Map(), isBarred: false };
    let files = 0;
    let sinceTurn = 0;
    for (const pid of wanted.size === 0 ? [] : this.#order()) {
      if (wanted.size === 0 || files > filesMax || signal.aborted) break;
      const links = readLinks(pid);
      if (links === "barred") found.isBarred = true;
      if (typeof links === "string") continue;
      files += links.length;
      sinceTurn += links.length;
      const own = links.filter((inode) => wanted.delete(inode));
      if (own.length > 0) this.#keep(pid, own, found);
      if (sinceTurn > sliceFiles) {
        sinceTurn = 0;
        await turn();
      }
    }
    return found;
  }

  #order(): number[] {
    const recent = new Set(this.#recent);
    const all = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
    return [...this.#recent, ...all.filter((pid) => !recent.has(pid))];
  }

  #keep(pid: number, inodes: number[], { owners }: Found): void {
    const owner = { pid, name: readName(pid) };
    for (const inode of inodes) owners.set(inode, owner);
    this.#recent = [pid, ...this.#recent.filter((other) => other !== pid)].slice(0, recentMax);
  }
}

/** Inodes of the sockets that a process has open, and 0 for what is no socket. */
function readLinks(pid: number): number[] | "gone" | "barred" {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).map((file) => socketInode(`${folder}/${file}`));
  } catch (error) {
    return systemCode(error) === "EACCES" ? "barred" : "gone";
  }
}

function socketInode(path: string): number {
  try {
    return Number(/^socket:\[(\d+)\]$/.exec(readlinkSync(path))?.[1] ?? 0);
  } catch {
    return 0; // closed since it was listed
  }
}

function readName(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trimEnd().slice(0, nameCharactersMax);
  } catch {
    return "?"; // it has ended
  }
}
