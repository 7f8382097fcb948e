import assert from "node:assert/strict";
import { test } from "node:test";
import pino from "pino";
import { NeedfireError } from "@needfire/shared/errors";
import type { Execution } from "@needfire/shared/task";
import { TestClock } from "./fixture.ts";
import { OwnExecutor } from "./own-executor.ts";
import type { OpenExecution } from "./store/store.ts";

const at = { file: "master.yaml", commands: "commands_local", env: "commands_local_env" };

function command(number: number, argv = ["true"], given: Partial<Execution> = {}): OpenExecution {
  const task = "t-0123456789abcdef";
  const args = { argv };
  const about = { task, agent: "master", purpose: "do", priority: "normal", rung: 0, attempt: 1 } as const;
  return { id: `${task}.${number}`, action: "command.local", args, created: 1_000_000, ...about, ...given };
}

/** What becomes durable, in its order: `began ID`, `OUTCOME ID`. `full`: so often the disk takes nothing. */
function setting({ full = 0 } = {}) {
  const kept: string[] = [];
  const waiting: { count: number; resolve(): void }[] = [];
  const clock = new TestClock();
  const executor = new OwnExecutor({
    commit: async ({ marks = [], events = [] }) => {
      await Promise.resolve();
      if (full-- > 0) throw new NeedfireError("DISK_FULL", "no room");
      kept.push(...marks.map(({ execution }) => `began ${execution.slice(-1)}`));
      kept.push(...events.map(({ data }) => `${String(data["outcome"])} ${String(data["execution"]).slice(-1)}`));
      for (const { count, resolve } of waiting) if (kept.length >= count) resolve();
      return { taken: [], events: [], decisionsDropped: 0 };
    },
    reveal: (args) => ({ ok: true, args, secrets: [] }),
    mask: (value) => value,
    context: { allowed: { commands: "any", env: [], at }, maintain: () => Promise.reject(new Error("not here")) },
    clock,
    monotonic: clock,
    log: pino({ level: "silent" }),
    expiresMs: 60_000,
  });
  const until = (count: number) => new Promise<void>((resolve) => (kept.length >= count ? resolve() : waiting.push({ count, resolve })));
  return { executor, kept, clock, until };
}

test("that a command has begun is durable before it begins, and its end after it (P3)", async () => {
  const { executor, kept, until } = setting();
  executor.start(command(1));
  assert.deepEqual(kept, []);
  await until(2);
  assert.deepEqual(kept, ["began 1", "succeeded 1"]);
  await executor.stop();
});

test("while the disk takes nothing a command waits, and is not lost", async () => {
  const { executor, kept, until } = setting({ full: 1 });
  executor.start(command(1));
  await until(2);
  assert.deepEqual(kept, ["began 1", "succeeded 1"]);
  await executor.stop();
});

test("of what the last life left, what had begun is interrupted, what was cancelled is, and the rest begins; a wait is the task's own", async () => {
  const { executor, kept, until } = setting();
  executor.resume([
    { ...command(1), begun: true },
    { ...command(2), cancelled: true },
    command(3),
    command(4, [], { action: "wait", args: { for: "1h" } }),
  ]);
  await until(4);
  await executor.stop();
  assert.deepEqual(kept.toSorted(), ["began 3", "cancelled 2", "interrupted 1", "succeeded 3"]);
});

test("the end of the master ends what runs, as interrupted; what its time has passed does not begin", async () => {
  const { executor, kept, clock, until } = setting();
  executor.start(command(1, ["sleep", "60"]));
  await until(1);
  clock.time += 60_000;
  executor.resume([command(2)]);
  await until(2);
  await executor.stop();
  assert.deepEqual(kept, ["began 1", "expired 2", "interrupted 1"]);
});
