/**
 * The clock of one process, stepped from outside: libfaketime (Debian: `faketime`) reads the offset from a file at every call. The
 * monotonic clock goes on as it is, as it does when somebody sets a machine's time.
 */
import { existsSync, globSync, renameSync, writeFileSync } from "node:fs";

const candidates = ["/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib*/faketime/libfaketime.so.1", "/usr/lib*/libfaketime.so.1"];

export function faketimeLibrary(): string | undefined {
  return candidates.flatMap((pattern) => globSync(pattern)).find((file) => existsSync(file));
}

export class ClockFile {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
    this.step(0);
  }

  env(library: string): Record<string, string> {
    return {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      NO_FAKE_STAT: "1",
    };
  }

  /** From now on the process is so many seconds ahead of the machine, or behind. */
  step(seconds: number): void {
    writeFileSync(`${this.#file}~`, `${seconds < 0 ? "" : "+"}${seconds}s`);
    renameSync(`${this.#file}~`, this.#file);
  }
}
