/**
 * Small files that are looked at again and again and read only when they have changed. A file may belong to anybody: it is opened in a way that no
 * pipe blocks, and read up to a cap.
 */
import { constants } from "node:fs";
import { open, stat } from "node:fs/promises";
import { errorText } from "@needfire/shared/errors";

export type Seen = { kind: "same" } | { kind: "absent" } | { kind: "text"; text: string } | { kind: "unreadable"; message: string };

export class SeenFiles {
  readonly #bytesMax: number;
  #stamps = new Map<string, string>();
  #looked = new Map<string, string>();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** What it has to say to `reader` since that one's last look. An unreadable one is told each time. */
  async look(path: string, reader = path): Promise<Seen> {
    try {
      const stamp = await stampOf(path);
      const before = this.#stamps.get(reader);
      if (stamp === before) {
        this.#looked.set(reader, stamp);
        return { kind: "same" };
      }
      const seen: Seen = stamp === "" ? { kind: "absent" } : { kind: "text", text: await this.#read(path) };
      this.#looked.set(reader, stamp);
      return seen;
    } catch (error) {
      return { kind: "unreadable", message: `${path}: ${errorText(error)}` };
    }
  }

  /** The look is over: readers that did not look are forgotten. `anew`: all are, so that the next look reads every one. */
  end({ anew }: { anew: boolean }): void {
    this.#stamps = anew ? new Map() : this.#looked;
    this.#looked = new Map();
  }

  async #read(path: string): Promise<string> {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    try {
      const { size } = await file.stat();
      if (size > this.#bytesMax) throw new Error(`it is larger than ${this.#bytesMax} bytes`);
      const buffer = Buffer.alloc(size);
      const { bytesRead } = await file.read(buffer, 0, size, 0);
      return buffer.toString("utf8", 0, bytesRead);
    } finally {
      await file.close();
    }
  }
}

/** Empty: there is none. */
async function stampOf(path: string): Promise<string> {
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new Error("it is no file");
    return `${found.ino}:${found.size}:${found.mtimeMs}:${found.ctimeMs}`;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return "";
    throw error;
  }
}
