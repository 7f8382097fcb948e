/** A small disk of its own (tmpfs) for a state directory, so that it can be full. Needs root. */
import { execFileSync } from "node:child_process";
import { closeSync, cpSync, mkdirSync, mkdtempSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errorText, systemCode } from "@needfire/shared/errors";

const ballastStepBytes = 65_536;

export class Disk {
  readonly directory: string;
  readonly #ballast: string;
  #mounted = false;

  constructor(directory: string) {
    this.directory = directory;
    this.#ballast = join(directory, "ballast");
  }

  /** Why there can be none here; undefined when there can. */
  static unavailable(): string | undefined {
    if (process.getuid?.() !== 0) return "mounting a small disk needs root";
    const directory = mkdtempSync(join(tmpdir(), "needfire-disk-"));
    const trial = new Disk(directory);
    try {
      trial.mount(1_048_576);
      return undefined;
    } catch (error) {
      return `a small disk cannot be mounted: ${errorText(error).trim()}`;
    } finally {
      trial.unmount();
      rmSync(directory, { recursive: true });
    }
  }

  mount(bytes: number): void {
    mkdirSync(this.directory, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes},mode=0700`, "needfire-chaos", this.directory], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#mounted = true;
  }

  /** Leaves not a byte. */
  fill(): void {
    const file = openSync(this.#ballast, "a");
    try {
      for (let step = ballastStepBytes; step >= 1;) {
        try {
          writeSync(file, Buffer.alloc(step));
        } catch (error) {
          if (systemCode(error) !== "ENOSPC") throw error;
          step = Math.floor(step / 2);
        }
      }
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(this.#ballast, { force: true });
  }

  /** `keep`: what is on it stays, in a directory in its place. */
  unmount({ keep = false } = {}): void {
    if (!this.#mounted) return;
    const copy = `${this.directory}.kept`;
    if (keep) cpSync(this.directory, copy, { recursive: true, filter: (path) => path !== this.#ballast });
    execFileSync("umount", ["--lazy", this.directory], { stdio: ["ignore", "ignore", "pipe"] });
    this.#mounted = false;
    if (!keep) return;
    rmSync(this.directory, { recursive: true });
    renameSync(copy, this.directory);
  }
}
