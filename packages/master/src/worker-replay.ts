/**
 * The thread of one replay: read-only connections of its own to journal and store, a rule engine of its own, and nothing that acts. It is
 * started for each, and ends with it.
 */
import { dirname, join } from "node:path";
import { NeedfireError } from "@needfire/shared/errors";
import type { Event } from "@needfire/shared/event";
import type { ReplayRequest, ReplaySummary } from "@needfire/shared/api-replay";
import { loadReactors } from "@needfire/shared/reactor";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { loadRouter, plainRoute } from "@needfire/shared/router";
import { Rules } from "@needfire/shared/rules/rules";
import type { Reactor, Seen, World } from "@needfire/shared/rules/types";
import { problemText } from "@needfire/shared/yaml-file";
import { causeOf, originBy } from "./origin.ts";
import { Recorded } from "./journal/recorded.ts";
import { Replay, type ReplayLine, told } from "./replay.ts";
import { Past } from "./store/past.ts";
import { type Remote, startThread } from "./thread.ts";

/** Problems that are told of files that cannot be replayed. */
const problemsToldMax = 20;

/** Times: ms since the epoch. */
export interface ReplayThreadOptions extends Pick<ReplayRequest, "files" | "sources" | "diff" | "firings_max"> {
  /** The master's database. */
  database: string;
  since: number;
  until: number;
  /** The router in force. */
  router: { file: string; text: string } | undefined;
}

interface Replayer {
  /** Undefined: it was cancelled. */
  run(): Promise<ReplaySummary | undefined>;
}

/** Throws `BAD_REQUEST` when the reactors cannot be compiled. */
export function open(options: ReplayThreadOptions, notify: (lines: ReplayLine[]) => void): Replayer & { close(): Promise<void> } {
  const { database, since, until, diff, firings_max: firingsMax } = options;
  const index = new ReactorIndex(compiled(options));
  const past = new Past(database);
  const recorded = new Recorded(database, { since, until });
  const agentView = (id: string) => past.agentView(id);
  const cancelled = new AbortController();
  const replay = new Replay({
    index,
    rules: new Rules(index, { agentView, route: routerOf(options.router), silence: () => undefined }, { records: told }),
    recorded,
    until,
    agentView,
    seenOf: (event) => seenOf(event, past),
    made: diff ? past.made(since, until) : undefined,
    firingsMax,
    say: notify,
    now: () => performance.now(),
    signal: cancelled.signal,
  });
  let running: Promise<unknown> = Promise.resolve();
  return {
    run: () => {
      const run = replay.run();
      running = run.catch(() => {});
      return run;
    },
    close: async () => {
      cancelled.abort();
      await running;
      recorded.close();
      past.close();
    },
  };
}

/** Runs a replay in a thread of its own until it is done or `signal` says so: then the answer is undefined. Throws what `open` throws. */
export async function replayInThread(
  options: ReplayThreadOptions,
  say: (lines: ReplayLine[]) => void,
  signal: AbortSignal,
): Promise<{ done: Promise<ReplaySummary | undefined> }> {
  const thread = await startThread<Replayer>({
    module: new URL(import.meta.url),
    options,
    onNotice: (lines) => say(lines as ReplayLine[]),
    // Its death fails the question that it was asked.
    onDeath: () => {},
  });
  return { done: finished(thread, signal) };
}

async function finished(
  { remote, stop }: { remote: Remote<Replayer>; stop(): Promise<void> },
  signal: AbortSignal,
): Promise<ReplaySummary | undefined> {
  const end = () => void stop();
  signal.addEventListener("abort", end, { once: true });
  try {
    return signal.aborted ? undefined : await remote.run();
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  } finally {
    signal.removeEventListener("abort", end);
    await stop();
  }
}

function compiled({ files, sources }: ReplayThreadOptions): Reactor[] {
  const reactors: Reactor[] = [];
  const problems: string[] = [];
  for (const { file, text } of files) {
    const loaded = loadReactors(file, text, {
      file: (path) => sources[join(dirname(file), path)],
      env: (name) => process.env[name],
    });
    if (loaded.ok) reactors.push(...loaded.reactors);
    else problems.push(...loaded.problems.map(problemText));
  }
  if (problems.length === 0) return reactors;
  throw new NeedfireError("BAD_REQUEST", problems.slice(0, problemsToldMax).join("\n"));
}

/** As the operator has classified; by severity where there is no router. */
function routerOf(router: ReplayThreadOptions["router"]): World["route"] {
  const loaded = router === undefined ? undefined : loadRouter(router.file, router.text);
  if (loaded?.ok === true) return loaded.route;
  return plainRoute;
}

function seenOf(event: Event, past: Past): Seen {
  const id = causeOf(event);
  return { event, ...originBy(event, id === undefined ? undefined : past.cause(id)) };
}
