/**
 * `POST /v1/replay`: a stream of JSON lines while a replay runs. Who hangs up ends it.
 */
import { PassThrough } from "node:stream";
import { replayBytesMax, replayRequest, type ReplayLine, type ReplayRequest } from "@needfire/shared/api-replay";
import { parseWhen } from "@needfire/shared/duration";
import { errorText, NeedfireError } from "@needfire/shared/errors";
import { hideMarks } from "@needfire/shared/secret";
import { replayInThread } from "../worker-replay.ts";
import type { Server } from "./http.ts";

/** Each keeps a processor busy. */
const replaysMax = 2;

export interface ReplayRouteOptions {
  /** The master's database. */
  database: string;
  clock: { now(): number };
  /** The router in force. */
  router(): { file: string; text: string } | undefined;
  /** A text without the values of secrets. */
  mask(text: string): string;
}

export function replayRoute(server: Server, { database, clock, router, mask }: ReplayRouteOptions): void {
  let running = 0;
  server.post("/v1/replay", { schema: { body: replayRequest }, bodyLimit: replayBytesMax }, async (request, reply) => {
    if (running >= replaysMax) throw new NeedfireError("CONFLICT", `${replaysMax} replays run already: wait until one has ended`);
    const period = periodOf(request.body, clock.now());
    const hungUp = new AbortController();
    reply.raw.once("close", () => hungUp.abort());
    const stream = new PassThrough();
    const say = (lines: readonly ReplayLine[]) => {
      if (!stream.destroyed) for (const line of lines) stream.write(`${mask(hideMarks(JSON.stringify(line)))}\n`);
    };
    running++;
    try {
      const { files, sources, diff, firings_max } = request.body;
      const { done } = await replayInThread(
        { database, files, sources, diff, firings_max, ...period, router: router() },
        say,
        hungUp.signal,
      );
      void done
        .then(
          (summary) => summary !== undefined && say([summary]),
          (error: unknown) => say([{ kind: "failed", message: errorText(error) }]),
        )
        .finally(() => {
          running--;
          stream.end();
        });
    } catch (error) {
      running--;
      throw error;
    }
    return reply.type("application/x-ndjson").send(stream);
  });
}

/** Throws `BAD_REQUEST`. */
function periodOf({ since, until }: ReplayRequest, now: number): { since: number; until: number } {
  const at = (name: string, text: string) => {
    const time = parseWhen(text, now);
    if (time !== undefined) return time;
    throw new NeedfireError("BAD_REQUEST", `--${name} ${text}: expected a duration such as 7d, or a time such as 2026-11-22T10:00:00Z`);
  };
  const period = { since: at("since", since), until: until === undefined ? now : at("until", until) };
  if (period.since > period.until) throw new NeedfireError("BAD_REQUEST", "--since is later than --until");
  return period;
}
