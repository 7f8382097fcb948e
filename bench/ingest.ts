/**
 * How many events a second a master takes for good: through CURVE, checked, committed with FULL, acknowledged, and matched against a hundred
 * reactors. The senders run beside it on the same machine. In the same run, two limits: the same rows written straight into SQLite, and
 * the same frames through bare libzmq.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseJoinString } from "@needfire/shared/identity";
import { Testbed } from "../test/testbed.ts";
import type { Figure } from "./figure.ts";
import { ingestDraft, ingestReactors, matchEvery, reactorCount } from "./ingest-events.ts";
import { bareLink } from "./bare-link.ts";
import { bareRows } from "./bare-rows.ts";

const agents = 8;
const batch = 500;
const warmUpMs = 3_000;
const defaultSeconds = 10;

export async function ingest({ count: seconds = defaultSeconds }: { count?: number | undefined }): Promise<Figure[]> {
  const some = await run({ heardEvery: 10, seconds });
  const all = await run({ heardEvery: 1, seconds });
  const rows = bareRows({ batch, seconds: Math.min(seconds, 5), draft: (index) => ingestDraft(index, 1) });
  const frames = await bareLink({ bytes: some.bytesPerFrame, seconds: Math.min(seconds, 5) });
  const settings = {
    agents,
    batch_events: batch,
    event_bytes: Math.round(some.bytesPerFrame / batch),
    reactors: reactorCount,
    matches: `1 in ${matchEvery}`,
    synchronous: "FULL",
    encryption: "CURVE",
    seconds,
    senders: "one process on the same machine",
  };
  const figure = (metric: string, value: number, unit: string, more: Partial<Figure> = {}, what: object = {}): Figure => ({
    bench: "ingest",
    metric,
    value,
    unit,
    settings: { ...settings, ...what },
    ...more,
  });
  const framesLimit = frames * batch;
  const oneInTen = { conditions: "one event in ten is of a type that a reactor waits for, and its condition is evaluated" };
  return [
    figure("events_per_s", some.perSecond, "events/s", { aim: 250_000, better: "more" }, oneInTen),
    figure("events_per_s_all_heard", all.perSecond, "events/s", {}, { conditions: "one is evaluated for every event" }),
    figure("journal_events", some.journal, "events", {}, { what: "in the journal at the end, all that were acknowledged among them" }),
    figure("sqlite_rows_per_s", rows, "rows/s", {}, { what: "the same rows straight into SQLite, one process, nothing else" }),
    figure("of_sqlite", some.perSecond / rows, "x"),
    figure("libzmq_events_per_s", framesLimit, "events/s", {}, { what: "the same frames through bare libzmq with CURVE, thrown away" }),
    figure("of_libzmq", some.perSecond / framesLimit, "x"),
  ];
}

interface Run {
  perSecond: number;
  bytesPerFrame: number;
  journal: number;
}

async function run({ heardEvery, seconds }: { heardEvery: number; seconds: number }): Promise<Run> {
  const bed = await Testbed.start({ heartbeat: "5s" }, (made) => made.reactor("load", ingestReactors()));
  let load: ChildProcess | undefined;
  try {
    const { join_string: joinString } = await bed.client.createToken({ uses: agents });
    const { address, masterKey, token = "" } = parseJoinString(joinString);
    load = spawn(
      process.execPath,
      [join(import.meta.dirname, "ingest-load.ts"), address, masterKey, token, String(agents), String(batch), String(heardEvery)],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const samples: { at: number; acknowledged: number }[] = [];
    let bytesPerFrame = 0;
    for await (const line of createInterface({ input: load.stdout! })) {
      const said = JSON.parse(line) as { bytes_per_frame?: number; at: number; acknowledged: number };
      if (said.bytes_per_frame !== undefined) {
        bytesPerFrame = said.bytes_per_frame;
        continue;
      }
      samples.push(said);
      if (said.at - samples[0]!.at >= warmUpMs + seconds * 1_000) break;
    }
    load.kill("SIGKILL");
    const measured = samples.filter(({ at }) => at - samples[0]!.at >= warmUpMs);
    const [first] = measured;
    const last = measured.at(-1)!;
    const perSecond = ((last.acknowledged - first!.acknowledged) / (last.at - first!.at)) * 1_000;
    const { events: journal } = await bed.client.status();
    if (journal < last.acknowledged) throw new Error(`${last.acknowledged} events were acknowledged and ${journal} are in the journal`);
    return { perSecond, bytesPerFrame, journal };
  } finally {
    load?.kill("SIGKILL");
    await bed.stop();
  }
}
