/**
 * Reads /dev/kmsg: every record once, over restarts by its number and the boot that it is of. Never blocks: one read is one record, and the
 * kernel says when there is none, or when it has overwritten some.
 */
import { closeSync, constants, openSync, readFileSync, readSync } from "node:fs";
import { systemCode } from "@needfire/shared/errors";
import { type KernelRecord, parseKernelRecord } from "./kernel-messages.ts";

/** The kernel's own limit of a record, with room. */
const recordBytesMax = 16_384;
/** In one go; then it is others' turn. */
const recordsMax = 2_000;

export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}

export class KernelLog {
  readonly #descriptor: number;
  readonly #buffer = Buffer.alloc(recordBytesMax);
  #sequence: number;

  /** `after`: the number of the last record that is known. Throws when it must not be read. */
  constructor(path: string, after: number) {
    this.#descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    this.#sequence = after;
  }

  /** The number of the last record that was read. */
  get sequence(): number {
    return this.#sequence;
  }

  /** `missed`: so many were overwritten before the first of these. `more`: there may be. */
  read(): { records: KernelRecord[]; missed: number; more: boolean } {
    const records: KernelRecord[] = [];
    let missed = 0;
    for (let count = 0; count < recordsMax; count++) {
      const text = this.#next();
      if (text === undefined) return { records, missed, more: false };
      const record = parseKernelRecord(text);
      if (record === undefined || record.sequence <= this.#sequence) continue;
      if (this.#sequence >= 0) missed += record.sequence - this.#sequence - 1;
      this.#sequence = record.sequence;
      records.push(record);
    }
    return { records, missed, more: true };
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #next(): string | undefined {
    for (;;) {
      try {
        const length = readSync(this.#descriptor, this.#buffer);
        return length === 0 ? undefined : this.#buffer.toString("utf8", 0, length);
      } catch (error) {
        const code = systemCode(error);
        if (code === "EAGAIN") return undefined;
        // Overwritten: the next read goes on with the oldest that is there, whose number tells how many are gone.
        if (code !== "EPIPE") throw error;
      }
    }
  }
}
