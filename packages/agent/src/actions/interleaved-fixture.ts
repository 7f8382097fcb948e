/** For tests: something happens ahead of each call that an action makes to the file system, one after the other. Never part of the program. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import type { TestContext } from "node:test";

const hooked = [
  "chmodSync",
  "closeSync",
  "fchmodSync",
  "fchownSync",
  "fstatSync",
  "fsync",
  "fsyncSync",
  "lstatSync",
  "mkdirSync",
  "openSync",
  "opendirSync",
  "readFileSync",
  "readlinkSync",
  "renameSync",
  "unlinkSync",
  "writeSync",
] as const;

/** Runs `work` with `before(n)` ahead of its n-th call to the file system, and returns how many there were. */
export async function interleaved(t: TestContext, work: () => Promise<unknown>, before: (call: number) => void): Promise<number> {
  let calls = 0;
  let inside = false;
  const mocks = hooked.map((name) => {
    const real = fs[name] as (...given: unknown[]) => unknown;
    return t.mock.method(fs, name, (...given: unknown[]) => {
      if (!inside) {
        inside = true;
        before(++calls);
        inside = false;
      }
      return real(...given);
    });
  });
  syncBuiltinESMExports();
  try {
    await work();
  } finally {
    for (const each of mocks) each.mock.restore();
    syncBuiltinESMExports();
  }
  return calls;
}
