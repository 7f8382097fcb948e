/** A disk so small that it can be full (tmpfs), for tests. Needs root. */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { systemCode } from "@needfire/shared/errors";

const ballastStepBytes = 65_536;

export class SmallDisk {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  resize(size: string): void {
    const { status, stderr } = spawnSync("mount", ["-o", `remount,size=${size}`, this.#directory], { encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
  }

  /** Leaves not a byte. */
  fill(): void {
    for (let step = ballastStepBytes; step >= 1;) {
      try {
        writeFileSync(join(this.#directory, "ballast"), Buffer.alloc(step), { flag: "a" });
      } catch (error) {
        if (systemCode(error) !== "ENOSPC") throw error;
        step = Math.floor(step / 2);
      }
    }
  }
}

export interface SmallDiskOptions {
  directory: string;
  /** As `mount` takes it: 128k, 8m. */
  size: string;
}

/** Mounted while `story` goes on; the test is skipped where there can be none. */
export async function withSmallDisk(
  t: TestContext,
  { directory, size }: SmallDiskOptions,
  story: (disk: SmallDisk) => Promise<void>,
): Promise<void> {
  if (process.getuid?.() !== 0) return t.skip("only root can mount a small disk");
  mkdirSync(directory, { recursive: true });
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", directory], { encoding: "utf8" });
  if (status !== 0) return t.skip(`a small disk cannot be mounted here: ${stderr}`);
  try {
    await story(new SmallDisk(directory));
  } finally {
    spawnSync("umount", ["--lazy", directory]);
  }
}
