/**
 * Questions about a long past: ten million events, written by the master's own writer and sealed by its own sealer, then asked about by a
 * process that has just started, over files that are not in memory.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { severities } from "@needfire/shared/event";
import { pack } from "@needfire/shared/pack";
import type { WireEvent } from "@needfire/shared/wire-event";
import type { Batch } from "../packages/master/src/journal/journal.ts";
import { JournalWriter } from "../packages/master/src/journal/sqlite.ts";
import { Database } from "../packages/master/src/store/database.ts";
import { Sealer } from "../packages/master/src/worker-seal.ts";
import { type Figure, figuresOf } from "./figure.ts";

const eventsDefault = 10_000_000;
const agents = 1_000;
const days = 30;
const dayMs = 86_400_000;
/** The end of the history. */
const end = Date.UTC(2026, 10, 22);
const batchEvents = 200;
const batchesPerCall = 25;
/** One event in so many has a cause: the one before it of the same agent. */
const effectEvery = 100;
const rounds = 5;
const epoch = "mi4k2x";

const types = ["file.changed", "file.drifted", "cpu.high", "cpu.normal", "service.failed", "log.matched", "disk.filling", "user.login"];
/** Some 300 bytes an event with the rest of it, as in the `ingest` bench. */
const text = "a line of a log that somebody wrote, with a user, an address and a port in it, and then some more of it";

export type Question = "agent_and_type" | "day_by_type" | "where_hour" | "chain";

export async function history({ count = eventsDefault }: { count?: number | undefined }): Promise<Figure[]> {
  const directory = mkdtempSync(join(tmpdir(), "needfire-bench-"));
  try {
    const written = await write(directory, count);
    const settings = { events: count, agents, days, synchronous: "NORMAL", page_cache: "without these files" };
    const page = (question: Question, metric: string): Figure => {
      const times = Array.from({ length: rounds }, () => {
        evict(directory);
        return ask(directory, question, written.cause);
      });
      const median = times.toSorted((a, b) => a.ms - b.ms)[Math.floor(rounds / 2)]!;
      return {
        bench: "history",
        metric,
        value: median.ms,
        unit: "ms",
        aim: 50,
        settings: { ...settings, rows: median.rows, process: "new" },
      };
    };
    const pages = [
      page("agent_and_type", "first_page_ms"),
      page("day_by_type", "day_by_type_ms"),
      page("where_hour", "where_hour_ms"),
      page("chain", "chain_ms"),
    ];
    const figure = figuresOf("history", settings);
    return [
      ...pages,
      figure("bytes_per_event", bytesIn(directory) / count, "B"),
      figure("append_events_per_s", count / written.appendSeconds, "/s"),
      figure("seal_events_per_s", written.sealed / written.sealSeconds, "/s"),
    ];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function write(directory: string, count: number) {
  const database = join(directory, "master.db");
  const journal = new JournalWriter(new Database({ file: database, synchronous: "NORMAL" }), { partitionEventsMax: 100_000 });
  const sealer = new Sealer(database);
  let cause = "";
  let appendSeconds = 0;
  let sealSeconds = 0;
  let sealed = 0;
  let written = 0;
  for (const batches of callsOf(count)) {
    const begun = performance.now();
    journal.append(batches);
    appendSeconds += (performance.now() - begun) / 1_000;
    written += batches.reduce((sum, { events }) => sum + events.length, 0);
    // Asked about is one in the middle: sealed long ago.
    if (written < count / 2) cause = batches.flatMap(({ events }) => events.flatMap((event) => event[6] ?? [])).at(-1) ?? cause;
    for (const partition of journal.partitions().filter(({ state }) => state === "closed")) {
      const sealing = performance.now();
      journal.markSealed(partition.number, await sealer.seal({ ...partition }));
      sealSeconds += (performance.now() - sealing) / 1_000;
      sealed += partition.events;
      process.stderr.write(`\r${Math.round((written / count) * 100)} % of ${count} events written and sealed`);
    }
  }
  process.stderr.write("\n");
  await sealer.stop();
  journal.close();
  return { cause, appendSeconds, sealSeconds, sealed };
}

/** The history, in calls of the writer. One agent after the other sends a batch, and time goes on evenly. */
function* callsOf(count: number): Generator<Batch[]> {
  const sequences = new Uint32Array(agents);
  const begin = end - days * dayMs;
  const eventMs = (days * dayMs) / count;
  for (let made = 0; made < count;) {
    const batches: Batch[] = [];
    for (; batches.length < batchesPerCall && made < count; made += batchEvents) {
      const agent = (made / batchEvents) % agents;
      const length = Math.min(batchEvents, count - made);
      const timeOf = (index: number) => begin + (made + index) * eventMs;
      const events = Array.from({ length }, (_value, index) => eventOf(agent, ++sequences[agent]!, timeOf(index)));
      batches.push({ agent: `host-${agent}`, epoch, lane: "normal", received: timeOf(length), events });
    }
    yield batches;
  }
}

function eventOf(agent: number, sequence: number, time: number): WireEvent {
  const subject = `/var/log/app-${sequence % 50}.log`;
  const cause = sequence % effectEvery === 0 ? `host-${agent}:${epoch}:${sequence - 1}` : null;
  const data = pack({ n: sequence, percent: (sequence * 31) % 1_000, path: subject, text });
  return [sequence, types[(sequence * 7) % types.length]!, time, severities[sequence % 4]!, subject, "logs", cause, data];
}

/** In a process of its own: nothing is open there, and nothing compiled. The time is from opening the reader to having the answer. */
function ask(directory: string, question: Question, cause: string): { ms: number; rows: number } {
  const program = fileURLToPath(new URL("history-ask.ts", import.meta.url));
  const answer = execFileSync(process.execPath, [program, join(directory, "master.db"), question, cause, String(end)], {
    encoding: "utf8",
  });
  return JSON.parse(answer) as { ms: number; rows: number };
}

/** Takes the files out of the page cache, and nobody else's. */
function evict(directory: string): void {
  for (const file of filesIn(directory)) execFileSync("dd", [`if=${file}`, "iflag=nocache", "count=0", "status=none"]);
}

function bytesIn(directory: string): number {
  return filesIn(directory).reduce((sum, file) => sum + statSync(file).size, 0);
}

function filesIn(directory: string): string[] {
  const paths = readdirSync(directory, { recursive: true, encoding: "utf8" }).map((name) => join(directory, name));
  return paths.filter((path) => statSync(path).isFile());
}
