/**
 * How fast rules run over recorded events: a hundred ordinary reactors over a journal that the master's own writer has written and its own
 * sealer sealed, in the thread in which a master does it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Batch } from "../packages/master/src/journal/journal.ts";
import { JournalWriter } from "../packages/master/src/journal/sqlite.ts";
import { Database } from "../packages/master/src/store/database.ts";
import { StoreWriter } from "../packages/master/src/store/sqlite.ts";
import { replayInThread } from "../packages/master/src/worker-replay.ts";
import { Sealer } from "../packages/master/src/worker-seal.ts";
import type { Figure } from "./figure.ts";
import { ruleEvent, ruleSet } from "./rule-set.ts";

const eventsDefault = 1_000_000;
const reactors = 100;
const batchEvents = 200;
const batchesPerCall = 25;
const rounds = 3;
const begin = Date.UTC(2026, 10, 22);
const types = ["cpu.normal", "log.matched", "user.login", "net.linked", "disk.normal", "package.changed"];
/** As the `ingest` bench: one event in ten is of a type that some reactor waits for; and, less kind, every one is. */
const heardEvery = { some: 10, all: 1 };
const heardText = {
  some: "one event in ten is of a type that a reactor waits for",
  all: "every event is, and one in ten fulfils a condition",
};

export async function replay({ count = eventsDefault }: { count?: number | undefined }): Promise<Figure[]> {
  const some = await measured(count, heardEvery.some);
  const all = await measured(count, heardEvery.all);
  const settings = { events: count, reactors, rounds, until: "from the start of its thread, with compiling, to the summary" };
  const perSecond = { bench: "replay", unit: "events/s", better: "more" } as const;
  // What is worked for an event says more on a machine that has other work, too.
  const perEvent = { bench: "replay", unit: "us", better: "less" } as const;
  const heard = (which: keyof typeof heardText) => ({ ...settings, heard: heardText[which] });
  return [
    { ...perSecond, metric: "replay_events_per_s", value: some.perSecond, aim: 200_000, settings: heard("some") },
    { ...perEvent, metric: "replay_cpu_per_event", value: some.cpuUs, settings: heard("some") },
    { ...perSecond, metric: "replay_all_heard_per_s", value: all.perSecond, settings: heard("all") },
    { ...perEvent, metric: "replay_all_heard_cpu_per_event", value: all.cpuUs, settings: heard("all") },
  ];
}

async function measured(count: number, every: number): Promise<{ perSecond: number; cpuUs: number }> {
  const directory = mkdtempSync(join(tmpdir(), "needfire-bench-"));
  try {
    await write(join(directory, "master.db"), count, every);
    const runs: { ms: number; cpuUs: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      const started = performance.now();
      const before = process.cpuUsage();
      const options = { database: join(directory, "master.db"), files: [{ file: "rules.yaml", text: ruleSet(0, reactors) }], sources: {} };
      const period = { since: 0, until: begin + 86_400_000, router: undefined };
      const { done } = await replayInThread(
        { ...options, ...period, diff: false, firings_max: 1_000 },
        () => {},
        new AbortController().signal,
      );
      const summary = await done;
      if (summary?.events !== count || summary.firings === 0) throw new Error(`it read ${summary?.events} events, and there are ${count}`);
      const { user, system } = process.cpuUsage(before);
      runs.push({ ms: performance.now() - started, cpuUs: user + system });
    }
    const middle = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(rounds / 2)]!;
    return { perSecond: (count / middle(runs.map(({ ms }) => ms))) * 1_000, cpuUs: middle(runs.map(({ cpuUs }) => cpuUs)) / count };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function write(file: string, count: number, every: number): Promise<void> {
  const database = new Database({ file, synchronous: "NORMAL" });
  const store = new StoreWriter(database, { now: begin });
  const journal = new JournalWriter(database, { partitionEventsMax: 100_000 });
  const sealer = new Sealer(file);
  for (let made = 0; made < count;) {
    const batches: Batch[] = [];
    for (; batches.length < batchesPerCall && made < count; made += batchEvents) {
      const agent = (made / batchEvents) % 1_000;
      const events = Array.from({ length: Math.min(batchEvents, count - made) }, (_value, index) => eventOf(made + index, every));
      batches.push({ agent: `host-${agent}`, epoch: "e1", lane: "normal", received: begin + made, events });
    }
    journal.append(batches);
    for (const partition of journal.partitions().filter(({ state }) => state === "closed"))
      journal.markSealed(partition.number, await sealer.seal({ ...partition }));
  }
  await sealer.stop();
  store.close();
}

function eventOf(number: number, every: number) {
  const { event } = ruleEvent(number, { reactors, spread: "few" });
  return number % every === 0 ? event : (event.with(1, types[number % types.length]!) as typeof event);
}
