import assert from "node:assert/strict";
import { test } from "node:test";
import pino from "pino";
import type { ExecutionReport } from "@needfire/shared/action";
import { NeedfireError } from "@needfire/shared/errors";
import type { AllowedCommands } from "@needfire/shared/policy";
import type { Execution } from "@needfire/shared/task";
import { loadOwnAction } from "@needfire/shared/own-action";
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

const nowhere = () => Promise.reject(new Error("not here"));
const say = loadOwnAction(
  "say.yaml",
  'name: master.say\ndescription: Say it.\nargs: { properties: { text: { type: string } }, required: [text] }\nargv: [printf, "%s", "${{ args.text }}"]\n',
) as Extract<ReturnType<typeof loadOwnAction>, { ok: true }>;

/** What becomes durable, in its order: `began ID`, `OUTCOME ID`. `full`: so often the disk takes nothing. */
function setting({ full = 0, commands = "any" as AllowedCommands["commands"] } = {}) {
  const kept: string[] = [];
  const reports: ExecutionReport[] = [];
  const waiting: { count: number; resolve(): void }[] = [];
  const clock = new TestClock();
  const executor = new OwnExecutor({
    commit: async ({ marks = [], events = [] }) => {
      await Promise.resolve();
      if (full-- > 0) throw new NeedfireError("DISK_FULL", "no room");
      kept.push(...marks.map(({ execution }) => `began ${execution.slice(-1)}`));
      kept.push(...events.map(({ data }) => `${String(data["outcome"])} ${String(data["execution"]).slice(-1)}`));
      reports.push(...events.map(({ data }) => data as unknown as ExecutionReport));
      for (const { count, resolve } of waiting) if (kept.length >= count) resolve();
      return { taken: [], events: [], decisionsDropped: 0 };
    },
    reveal: (args) => ({ ok: true, args, secrets: [] }),
    mask: (value) => value,
    context: { allowed: { commands, env: [], at }, maintenance: { begin: nowhere, end: nowhere, of: () => undefined } },
    userActions: { find: (name) => (name === "master.say" ? say : { ok: false, reason: `there is no ${name}` }) },
    clock,
    monotonic: clock,
    log: pino({ level: "silent" }),
    expiresMs: 60_000,
    risesAfterMs: 300_000,
  });
  const until = (count: number) => new Promise<void>((resolve) => (kept.length >= count ? resolve() : waiting.push({ count, resolve })));
  return { executor, kept, reports, clock, until };
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

test("a dry run says what would be done, and does nothing", async () => {
  const { executor, reports, until } = setting();
  const dry = (number: number, action: Execution["action"], args: Record<string, unknown>) =>
    executor.start(command(number, [], { action, args, dryRun: true, host: "web1" }));
  dry(1, "command.local", { argv: ["touch", "/nowhere/x"] });
  dry(2, "http.request", { url: "http://127.0.0.1:1/", method: "POST" });
  dry(3, "http.request", { url: "http://127.0.0.1:1/" });
  dry(4, "agent.maintenance", { for: "1h", why: "a disk" });
  dry(5, "agent.maintenance", { end: true });
  dry(6, "master.say", { text: "$(id)" });
  await until(12);
  await executor.stop();
  const told = reports.toSorted((a, b) => (a.execution < b.execution ? -1 : 1));
  assert.deepEqual(
    told.map(({ outcome, changed, dry_run: isDry, message }) => [outcome, changed, isDry, message]),
    [
      ["succeeded", true, true, 'would run ["touch","/nowhere/x"] in /'],
      ["succeeded", true, true, "would send POST http://127.0.0.1:1/"],
      ["succeeded", false, true, "would send GET http://127.0.0.1:1/"],
      ["succeeded", true, true, "would put web1 into maintenance for 1h"],
      ["succeeded", false, true, "web1 is not in maintenance"],
      ["succeeded", true, true, 'would run ["printf","%s","$(id)"]'],
    ],
  );
});

test("an action of the user's own runs with its arguments as they are, and is refused by what is wrong with them, with its file, or with its command line", async () => {
  const hostile = "-x $(id) `id` '\"\n;";
  const ends = async (action: Execution["action"], args: Record<string, unknown>, commands: AllowedCommands["commands"]) => {
    const { executor, reports, until } = setting({ commands });
    executor.start(command(1, [], { action, args }));
    await until(2);
    await executor.stop();
    const { outcome, message, result } = reports[0]!;
    return [outcome, message ?? result?.["stdout"]];
  };
  assert.deepEqual(await ends("master.say", { text: hostile }, ["printf %s **"]), ["succeeded", hostile]);
  assert.deepEqual(await ends("master.say", { text: 1 }, "any"), ["refused", "arguments: text: expected string, got 1"]);
  assert.deepEqual(await ends("master.none", {}, "any"), ["refused", "there is no master.none"]);
  const reason = 'policy: no pattern of commands_local fits ["printf","%s","a"]';
  assert.deepEqual(await ends("master.say", { text: "a" }, ["echo **"]), ["refused", reason]);
  const nobody = "policy: master.say needs commands_local in master.yaml: a pattern that fits, or any";
  assert.deepEqual(await ends("master.say", { text: "a" }, []), ["refused", nobody]);
});

test("a command that a person gave a time to is ended when it is over, and has failed: expired is what never began", async () => {
  const { executor, kept, reports, until } = setting();
  executor.start(command(1, ["sleep", "600"], { expiresMs: 100 }));
  await until(2);
  await executor.stop();
  assert.deepEqual(kept, ["began 1", "failed 1"]);
  assert.match(reports[0]!.message ?? "", /^its time of 100 ms was over/);
});
