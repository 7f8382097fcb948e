/**
 * Whether this process may open more files. libzmq takes sockets that were given up down in its own time, and what it had opened of one that then
 * found no file left it never closes: a process that once comes to its limit stays there. So it must not come there.
 */
import { readdirSync } from "node:fs";

/** Of the 20,000 that a process may have. */
const filesMax = 18_000;
const recountMs = 200;

export class OpenFiles {
  /** As counted, and all that were opened since: too many rather than too few. */
  #open = 0;
  #counted = Number.NEGATIVE_INFINITY;

  /** False: not now. */
  take(files: number): boolean {
    if (this.#open + files > filesMax && performance.now() - this.#counted > recountMs) {
      this.#counted = performance.now();
      this.#open = readdirSync("/proc/self/fd").length;
    }
    if (this.#open + files > filesMax) return false;
    this.#open += files;
    return true;
  }
}
