/**
 * A real CPU load, the whole way: the agent's beacon says once that it is there and once that it is over, and a reactor gathers evidence
 * meanwhile. Real processes that burn.
 *
 * Whatever else this machine does is load, too. So the test waits for a calm beacon, and where others raise it all the same, counts from
 * the last time that it was calm: there is one `cpu.high` from then on, and its answer, whoever began. The count ends with the first
 * `cpu.normal` after the load. Only where others keep all cores busy all the time, which the test measures itself, there is no such end.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { availableParallelism, cpus } from "node:os";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { EventView } from "@needfire/shared/api";
import { Testbed, until } from "./testbed.ts";

const above = 97;
const clearBelow = 95;
const intervalMs = 500;
const forMs = 1_000;
/** How long the load goes on after it was noticed: many readings, any of which could be told anew. */
const burnOnMs = 4_000;
/** The beacon must clear within so many quiet stretches of its own length; the readings of two observers are never quite the same. */
const quietStretches = 5;
const calmLimitMs = 20_000;
const clearLimitMs = 45_000;

test("a load on all cores is told once, answered with evidence, and told once when it is over", async (context) => {
  const bed = await Testbed.start({}, (made) => {
    made.beacon(
      "cpu",
      `name: cpu\ntype: cpu\nabove: ${above}\nclear_below: ${clearBelow}\nfor: ${forMs}ms\ninterval: ${intervalMs}ms\nseverity: high\n`,
    );
    made.reactor(
      "evidence",
      `name: evidence\non: cpu.high\nwhen: event.data.percent >= event.data.above\ndo:\n  - command.run: { argv: [ps, -eo, "pcpu,args", --sort=-pcpu], output_bytes_max: 131072 }\n`,
    );
  });
  const burners: ChildProcess[] = [];
  const said = async (): Promise<EventView[]> =>
    (await bed.client.events({ type: "cpu.*", agent: "web1", limit: 10_000 })).events.toReversed();
  try {
    await bed.addAgent("web1");
    await bed.watching("web1", "cpu");
    const isHigh = async () => (await said()).at(-1)?.type === "cpu.high";
    const calm = new Quiet();
    await calm.observe(calmLimitMs, async () => calm.stretches > 0 && !(await isHigh()));
    const calmUpTo = (await said()).findLastIndex(({ type }) => type === "cpu.normal") + 1;
    const oursAlone = !(await isHigh());

    // More than one for each core, so that none of them is free at any time.
    for (let number = 0; number < availableParallelism() * 2; number++)
      burners.push(
        spawn(process.execPath, ["-e", "for (const end = Date.now() + 100_000; Date.now() < end; );", "needfire-test-burner"], {
          stdio: "ignore",
        }),
      );
    const since = async () => (await said()).slice(calmUpTo);
    await until("cpu.high is told", async () => (await since()).length > 0);
    await delay(burnOnMs);
    const during = await since();
    assert.deepEqual(
      during.map(({ type }) => type),
      ["cpu.high"],
    );
    const [high] = during;
    const { percent, above: told, cores, lasted_ms: lastedMs } = high!.data as Record<string, number>;
    assert.ok(percent! > above && percent! <= 100, String(percent));
    assert.deepEqual([told, cores, high!.severity, high!.beacon], [above, availableParallelism(), "high", "cpu"]);
    assert.ok(lastedMs! >= forMs, String(lastedMs));

    const [task] = await bed.tasks((tasks) => tasks.some(({ event, state }) => event === high!.id && state === "resolved"), "evidence");
    assert.equal(task!.event, high!.id);
    assert.match(String(task!.executions[0]!.result!["stdout"]), oursAlone ? /needfire-test-burner/ : /%CPU/);

    await Promise.all(burners.map(end));
    const quiet = new Quiet();
    const cleared = async () => (await since()).at(-1)?.type === "cpu.normal";
    await quiet.observe(clearLimitMs, async () => quiet.stretches >= quietStretches || (await cleared()));
    if (!(await cleared()) && quiet.stretches < quietStretches)
      return context.skip(`the load was told once, but other programs keep all cores busy after it: ${quiet.told()}`);
    const all = await since();
    const untilNormal = all.slice(0, all.findIndex(({ type }) => type === "cpu.normal") + 1);
    assert.deepEqual(
      untilNormal.map(({ type }) => type),
      ["cpu.high", "cpu.normal"],
      quiet.told(),
    );
    assert.ok(Number(untilNormal[1]!.data["percent"]) < clearBelow);
    assert.equal((await bed.client.tasks({ reactor: "evidence", limit: 1_000 })).tasks.filter(({ event }) => event === high!.id).length, 1);
  } finally {
    await Promise.all(burners.map(end));
    await bed.stop();
  }
});

/** This test's own measure of the machine: how many stretches of `forMs`, and two readings more, were quiet in a row. */
class Quiet {
  stretches = 0;
  elapsedMs = 0;
  readonly #readings: number[] = [];
  #quietMs = 0;

  /** Reads the load at the beacon's pace until `done`, or until the limit. */
  async observe(limitMs: number, done: () => Promise<boolean>): Promise<void> {
    const begun = performance.now();
    for (let last = ticks(); this.elapsedMs < limitMs;) {
      await delay(intervalMs);
      const now = ticks();
      const busy = (100 * (now.busy - last.busy)) / Math.max(1, now.all - last.all);
      last = now;
      this.elapsedMs = performance.now() - begun;
      this.#readings.push(busy);
      // A few per cent under the beacon's threshold, since its readings are of other moments.
      this.#quietMs = busy < clearBelow - 5 ? this.#quietMs + intervalMs : 0;
      this.stretches = Math.floor(this.#quietMs / (forMs + 2 * intervalMs));
      if (await done()) return;
    }
  }

  told(): string {
    const mean = this.#readings.reduce((sum, reading) => sum + reading, 0) / Math.max(1, this.#readings.length);
    return `${Math.round(mean)} % in the mean over ${Math.round(this.elapsedMs / 1_000)} s`;
  }
}

function ticks(): { busy: number; all: number } {
  const times = cpus().map(({ times: { user, nice, sys, irq, idle } }) => ({ busy: user + nice + sys + irq, idle }));
  const busy = times.reduce((sum, core) => sum + core.busy, 0);
  return { busy, all: busy + times.reduce((sum, core) => sum + core.idle, 0) };
}

async function end(burner: ChildProcess): Promise<void> {
  if (burner.exitCode !== null || burner.signalCode !== null) return;
  const exited = new Promise((resolve) => burner.once("exit", resolve));
  burner.kill("SIGKILL");
  await exited;
}
