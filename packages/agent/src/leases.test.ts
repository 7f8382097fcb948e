import assert from "node:assert/strict";
import { copyFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import pino from "pino";
import type { Outcome } from "@needfire/shared/action";
import { executionId, taskOfExecution } from "@needfire/shared/ids";
import type { AgentBody, MasterBody } from "@needfire/shared/wire";
import { Leases } from "./leases.ts";
import type { Spool } from "./spool.ts";
import { all, openSpool, start, temporaryDirectory } from "./spool-fixture.ts";

const task = "t-0123456789abcdef";
const id = (number: number) => executionId(task, number);
const hour = 3_600_000;

function lease(
  first: number,
  { inMs = hour, steps = ["a"], of = task }: { inMs?: number; steps?: string[]; of?: string } = {},
): MasterBody<"lease"> {
  const called = steps.map((argv) => ({ action: "command.run", args: { argv: [argv] } }));
  return { execution: executionId(of, first), inMs, priority: "high", steps: called };
}

/** Lives of an agent on one host, one after the other, each with what the one before left on the disk. */
class Lives {
  /** By the time since boot, and by the wall clock. */
  up = 1_000_000;
  wall = start;
  boot = "first";
  readonly answers: AgentBody<"leased">[] = [];
  /** How often each command was run, in all lives. */
  readonly ran = new Map<string, number>();
  readonly order: string[] = [];
  /** Why an action is refused. */
  refuses: string | undefined;
  /** The disk takes nothing. */
  full = false;
  get file(): string {
    return join(this.#directory, "spool.db");
  }

  spool!: Spool;
  leases!: Leases;
  #running: MasterBody<"execute">[] = [];
  #directory = "";
  readonly #t: TestContext;

  constructor(t: TestContext) {
    this.#t = t;
    this.#live(temporaryDirectory(t));
  }

  #live(directory: string): void {
    this.#directory = directory;
    this.#running = [];
    const spool = openSpool(directory, { clock: { now: () => this.wall } });
    this.#t.after(() => {
      this.leases.stop();
      spool.close();
    });
    this.spool = spool;
    this.interrupted = spool.reportInterrupted();
    this.leases = new Leases({
      spool,
      executor: {
        take: (command) => this.execute(command),
        refuses: () => this.refuses,
        isAtWork: (of) => this.#running.some(({ execution }) => taskOfExecution(execution) === of),
      },
      answer: (answer) => this.answers.push(answer),
      clock: { now: () => this.wall },
      boot: { boot: this.boot, now: () => this.up },
      log: pino({ enabled: false }),
    });
    spool.onNewEpoch(() => this.leases.keepAnew());
    this.leases.start();
  }

  interrupted: string[] = [];

  /** As the executor does it, with a program that runs until it is told to end. */
  execute(command: MasterBody<"execute">): boolean {
    if (this.full) return false;
    if (!this.spool.begin(command)) return true;
    if (command.again === true) this.#finish(command, "interrupted");
    else {
      this.ran.set(command.execution, (this.ran.get(command.execution) ?? 0) + 1);
      this.order.push((command.args["argv"] as string[])[0]!);
      this.#running.push(command);
    }
    return true;
  }

  cancel(execution: string): void {
    const command = { execution, action: "command.run", args: {}, priority: "high" } as const;
    if (this.spool.begin(command)) this.#finish(command, "cancelled");
  }

  end(outcome: Outcome = "succeeded"): void {
    const command = this.#running.shift();
    if (command !== undefined) this.#finish(command, outcome);
  }

  get isRunning(): boolean {
    return this.#running.length > 0;
  }

  #finish({ execution, action, priority }: MasterBody<"execute">, outcome: Outcome): void {
    const report = { execution, action, outcome, changed: true, started: this.wall, ended: this.wall };
    this.spool.finish(report, { priority });
    this.leases.ended(report);
  }

  /** `up`: what passes in truth. `wall`: to where somebody sets the clock meanwhile. */
  pass(up: number, wall = this.wall + up): void {
    this.up += up;
    this.wall = wall;
    this.leases.look();
  }

  /** The agent is killed and starts again; with another boot the host was down for so long. `harm`: what becomes of its files meanwhile. */
  crash({
    rebooted = false,
    downMs = 0,
    harm = () => {},
  }: { rebooted?: boolean; downMs?: number; harm?: (directory: string) => void } = {}): void {
    this.leases.stop();
    const next = temporaryDirectory(this.#t);
    for (const name of readdirSync(this.#directory)) copyFileSync(join(this.#directory, name), join(next, name));
    harm(next);
    this.wall += downMs;
    this.up = rebooted ? 5_000 : this.up + downMs;
    if (rebooted) this.boot += "+";
    this.#live(next);
  }

  results(): string[] {
    return all(this.spool)
      .filter(({ type }) => type === "execution.finished")
      .map(({ data }) => `${String(data["execution"]).split(".")[1]} ${String(data["outcome"])}`);
  }
}

test("a lease is done when its time has come, its steps one after the other, and is forgotten with the last one", (t) => {
  const host = new Lives(t);
  host.leases.take(lease(3, { steps: ["a", "b"] }));
  assert.deepEqual(host.answers, [{ execution: id(3), inMs: hour }]);
  host.pass(hour - 1);
  assert.deepEqual(host.order, []);
  host.pass(1);
  assert.deepEqual(host.order, ["a"]);
  host.pass(hour);
  assert.deepEqual(host.order, ["a"], "the first one is still at work");
  host.end();
  host.leases.look();
  host.end();
  assert.deepEqual([host.order, host.results(), host.spool.leases()], [["a", "b"], ["3 succeeded", "4 succeeded"], []]);
});

test("what follows a step that did not succeed is not done", (t) => {
  for (const outcome of ["failed", "refused", "cancelled", "interrupted"] as const) {
    const host = new Lives(t);
    host.leases.take(lease(3, { steps: ["a", "b"] }));
    host.pass(hour);
    host.end(outcome);
    host.pass(hour);
    assert.deepEqual([host.order, host.spool.leases()], [["a"], []]);
  }
});

test("no setting of the clock makes a lease early or late, also when the agent is killed in between", (t) => {
  for (const wall of [start - 10 * hour, start + 10 * hour]) {
    const host = new Lives(t);
    host.leases.take(lease(3));
    host.pass(hour / 2, wall);
    host.crash({ downMs: 1_000 });
    host.pass(hour / 2 - 1_001);
    assert.deepEqual(host.order, []);
    host.pass(1);
    assert.deepEqual(host.order, ["a"]);
  }
});

test("over a restart of the host the wall clock counts, and where that is wrong what it had left", (t) => {
  const late = new Lives(t);
  late.leases.take(lease(3));
  late.crash({ rebooted: true, downMs: 2 * hour });
  assert.deepEqual(late.order, ["a"], "it came due while the host was down");
  const quick = new Lives(t);
  quick.leases.take(lease(3));
  quick.crash({ rebooted: true, downMs: hour / 2 });
  quick.pass(hour / 2 - 1);
  assert.deepEqual(quick.order, []);
  quick.pass(1);
  assert.deepEqual(quick.order, ["a"]);
  const wrong = new Lives(t);
  wrong.leases.take(lease(3));
  wrong.crash({ rebooted: true, downMs: -30 * 365 * 24 * hour });
  wrong.pass(hour - 1);
  assert.deepEqual(wrong.order, []);
  wrong.pass(1);
  assert.deepEqual(wrong.order, ["a"], "a clock that begins in 1970");
});

test("P3: an agent that is killed between a step's begin and its end reports it as interrupted, and does nothing more of the lease", (t) => {
  const host = new Lives(t);
  host.leases.take(lease(3, { steps: ["a", "b"] }));
  host.pass(hour);
  host.crash();
  host.pass(hour);
  assert.deepEqual([host.interrupted, host.order, host.spool.leases()], [[id(3)], ["a"], []]);
  assert.deepEqual(host.results(), ["3 interrupted"]);
});

test("an agent that is killed between two steps goes on with the second one", (t) => {
  const host = new Lives(t);
  host.leases.take(lease(3, { steps: ["a", "b"] }));
  host.pass(hour);
  host.end();
  host.crash();
  assert.deepEqual([host.order, host.interrupted], [["a", "b"], []]);
});

test("P3: a command that the master sends is the lease's own: it runs once, and the rest follows", (t) => {
  const host = new Lives(t);
  const { steps, ...rest } = lease(3, { steps: ["a", "b"] });
  host.leases.take({ ...rest, steps });
  host.execute({ execution: id(3), action: "command.run", args: { argv: ["a"] }, priority: "high" });
  host.end();
  host.leases.look();
  host.execute({ execution: id(4), action: "command.run", args: { argv: ["b"] }, priority: "high" });
  host.end();
  host.pass(hour);
  host.leases.take({ ...rest, steps });
  host.pass(hour);
  assert.deepEqual([host.order, host.answers.length, host.spool.leases()], [["a", "b"], 2, []]);
});

test("a cancellation takes a lease back, also one that came before it", (t) => {
  const host = new Lives(t);
  host.leases.take(lease(3));
  host.cancel(id(3));
  host.cancel(id(7));
  host.leases.take(lease(7));
  host.pass(hour);
  assert.deepEqual([host.order, host.results(), host.answers.length], [[], ["3 cancelled", "7 cancelled"], 2]);
});

test("a lease that is given again is one lease, due as it was said last", (t) => {
  const host = new Lives(t);
  host.leases.take(lease(3));
  host.pass(hour / 2);
  host.leases.take(lease(3, { inMs: hour }));
  host.pass(hour / 2);
  assert.deepEqual(host.order, []);
  host.crash();
  host.pass(hour / 2);
  assert.deepEqual(host.order, ["a"]);
});

test("what is taken back waits for a command of its task that is still at work", (t) => {
  const host = new Lives(t);
  host.execute({ execution: id(1), action: "command.run", args: { argv: ["block"] }, priority: "high" });
  host.leases.take(lease(3));
  host.pass(hour);
  assert.deepEqual(host.order, ["block"]);
  host.end();
  host.leases.look();
  assert.deepEqual(host.order, ["block", "a"]);
});

test("what the policy refuses is refused when it is given, and nothing is kept of it", (t) => {
  const host = new Lives(t);
  host.refuses = "policy: no";
  host.leases.take(lease(3));
  host.leases.take(lease(9_999, { steps: ["a", "b"] }));
  host.pass(hour);
  assert.deepEqual([host.answers[0], host.order, host.spool.leases()], [{ execution: id(3), inMs: hour, refused: "policy: no" }, [], []]);
  host.refuses = undefined;
  host.leases.take(lease(9_999, { steps: ["a", "b"] }));
  assert.match(host.answers.at(-1)!.refused!, /no numbers left/);
});

test("P4: what leases take has a limit, and what is over it is refused", (t) => {
  const host = new Lives(t);
  const large = "x".repeat(500_000);
  for (let number = 1; number <= 40; number++) host.leases.take(lease(number, { steps: [large] }));
  const refused = host.answers.filter((answer) => answer.refused !== undefined);
  assert.equal(refused.length, 40 - 33);
  assert.match(refused[0]!.refused!, /would take more than 16777216 bytes/);
  // There is room again for as much as went.
  host.cancel(id(1));
  host.leases.take(lease(41, { steps: [large] }));
  host.leases.take(lease(42, { steps: [large] }));
  assert.deepEqual(
    host.answers.slice(-2).map((answer) => answer.refused === undefined),
    [true, false],
  );
});

test("a disk that takes nothing when a lease is due makes it late, and not lost", (t) => {
  const host = new Lives(t);
  host.leases.take(lease(3));
  host.full = true;
  host.pass(hour);
  host.full = false;
  host.pass(1_000);
  assert.deepEqual(host.order, ["a"]);
});

test("P3: of a spool that has lost its end, what is due is given up, and what is not due is kept", (t) => {
  const host = new Lives(t);
  host.leases.take(lease(3));
  host.leases.take(lease(5, { inMs: 3 * hour }));
  // Only the mark beside the file knows of this one.
  const { spool, file } = host;
  const harm = (directory: string) => {
    spool.begin({ execution: id(1), action: "command.run", priority: "high" });
    copyFileSync(`${file}-mark`, join(directory, "spool.db-mark"));
  };
  host.crash({ downMs: 2 * hour, harm });
  assert.deepEqual([host.order, host.results()], [[], ["3 interrupted"]]);
  host.pass(hour);
  assert.deepEqual(host.order, ["a"]);
});

test("a file of the spool that is set aside takes no leases with it that this life holds, and none of them counts as begun", (t) => {
  const host = new Lives(t);
  host.leases.take(lease(3, { steps: ["a", "b"] }));
  host.leases.take(lease(7));
  assert.ok(!/t-[0-9a-f]{16}\.[0-9]{1,4}/.test(bytesOf(host)), "what looks like a command's id counts as one that was begun");
});

function bytesOf(host: Lives): string {
  const { file } = host;
  return ["", "-wal"].map((suffix) => (existsSync(file + suffix) ? readFileSync(file + suffix, "latin1") : "")).join("");
}

const move = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("lease" as const), which: fc.nat(2), inMs: fc.constantFrom(0, 1_000, hour) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("time" as const),
      up: fc.constantFrom(500, 1_000, hour),
      set: fc.constantFrom(0, 0, -hour, hour),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("end" as const), outcome: fc.constantFrom<Outcome>("succeeded", "succeeded", "failed") }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("execute" as const, "cancel" as const), which: fc.nat(2), step: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("crash" as const), rebooted: fc.boolean(), downMs: fc.constantFrom(0, hour) }) },
);

test("P3: whatever interleaves (leases that come twice, commands of the master's, cancellations, ends, crashes, restarts of the host, set clocks), each step runs once at most, in order, and a lease of which nothing failed is done", (t) => {
  const of = (which: number) => `t-000000000000000${which}`;
  fc.assert(
    fc.property(fc.array(move, { maxLength: 30 }), (moves) => {
      const host = new Lives(t);
      const given = new Set<number>();
      for (const next of moves) {
        if (next.kind === "time") host.pass(next.up, host.wall + next.up + next.set);
        if (next.kind === "end") host.end(next.outcome);
        if (next.kind === "crash") host.crash(next);
        if (next.kind === "cancel") host.cancel(executionId(of(next.which), 2));
        if (next.kind === "lease") {
          given.add(next.which);
          host.leases.take(lease(2, { inMs: next.inMs, steps: [`${next.which} a`, `${next.which} b`], of: of(next.which) }));
        }
        // The second one is sent when the first has succeeded.
        if (next.kind === "execute" && given.has(next.which) && (next.step === 0 || isSucceeded(host, executionId(of(next.which), 2)))) {
          const args = { argv: [`${next.which} ${next.step === 0 ? "a" : "b"}`] };
          const execution = executionId(of(next.which), 2 + next.step);
          host.execute({ execution, action: "command.run", args, priority: "high" });
        }
      }
      for (let round = 0; round < 20; round++) {
        host.pass(hour);
        while (host.isRunning) host.end();
      }
      for (const [execution, times] of host.ran) assert.equal(times, 1, `${execution} ran more than once`);
      for (const which of given) {
        const [a, b] = [2, 3].map((number) => executionId(of(which), number)) as [string, string];
        assert.ok(!host.ran.has(b) || isSucceeded(host, a), "the second step without the first");
        assert.ok(endOf(host, a) !== undefined, "a lease that was never done");
        if (isSucceeded(host, a)) assert.ok(endOf(host, b) !== undefined, "its rest was never done");
      }
      assert.deepEqual(host.spool.leases(), []);
      host.leases.stop();
      host.spool.close();
    }),
    { numRuns: 60 },
  );
});

function endOf({ spool }: Lives, execution: string): string | undefined {
  const found = all(spool).find(({ type, data }) => type === "execution.finished" && data["execution"] === execution);
  return found && String(found.data["outcome"]);
}

function isSucceeded(host: Lives, execution: string): boolean {
  return endOf(host, execution) === "succeeded";
}
