/**
 * For tests: a real journal. systemd-journal-remote writes the files that journald would, from entries in the format that it exports. Never part
 * of the program.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import type { TestContext } from "node:test";
import { Fixture } from "../fixture.ts";

const remote = ["/usr/lib/systemd/systemd-journal-remote", "/lib/systemd/systemd-journal-remote"].find((path) => existsSync(path));
export const skip =
  remote === undefined || spawnSync("journalctl", ["--version"]).error !== undefined
    ? "needs journalctl and systemd-journal-remote"
    : false;
const boot = randomUUID().replaceAll("-", "");

/** A journal that entries can be added to. */
export class Journal {
  readonly dir: string;
  readonly #writer: ChildProcess;
  #number = 0;

  constructor(dir: string) {
    this.dir = dir;
    mkdirSync(dir, { recursive: true });
    this.#writer = spawn(remote!, ["--split-mode=none", `--output=${dir}/test.journal`, "-"], { stdio: ["pipe", "ignore", "ignore"] });
  }

  add(entry: Record<string, string | Buffer>): void {
    const time = BigInt(Date.now()) * 1_000n + BigInt(++this.#number);
    const all = { __REALTIME_TIMESTAMP: `${time}`, __MONOTONIC_TIMESTAMP: `${this.#number}`, _BOOT_ID: boot, ...entry };
    const parts = Object.entries(all).flatMap(([name, value]) => {
      if (typeof value === "string" && !value.includes("\n")) return [Buffer.from(`${name}=${value}\n`)];
      const bytes = Buffer.from(value);
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(bytes.length));
      return [Buffer.from(`${name}\n`), length, bytes, Buffer.from("\n")];
    });
    this.#writer.stdin!.write(Buffer.concat([...parts, Buffer.from("\n")]));
  }

  end(): void {
    this.#writer.kill("SIGKILL");
  }
}

/** A journal with one entry: where there is none at all, journalctl ends at once. */
export async function journalIn(t: TestContext): Promise<Journal> {
  const place = new Fixture();
  const journal = new Journal(place.path("journal"));
  t.after(async () => {
    journal.end();
    await place.end();
  });
  journal.add({ MESSAGE: "begun" });
  await place.until(
    () => spawnSync("journalctl", [`--directory=${journal.dir}`, "-o", "cat"], { encoding: "utf8" }).stdout.includes("begun"),
    "the journal's first entry",
  );
  return journal;
}
