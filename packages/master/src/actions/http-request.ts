/**
 * `http.request`: one request, and what was answered, as far as it is asked for. It follows no redirect: what a header holds in secret goes
 * to the address that the author wrote, and nowhere else. Cookies that are set are not told, since they are secrets as a rule.
 */
import { type ClientRequest, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { durationMs } from "@needfire/shared/duration";
import { errorText } from "@needfire/shared/errors";
import { type OwnContext, type OwnEnding, would } from "./action.ts";

type Args = ActionArgs<"http.request">;
type Result = ActionResult<"http.request">;

/** Node's timers go no further. */
const timeoutMsMax = 2 ** 31 - 1;
const withoutEffect: readonly string[] = ["GET", "HEAD"];
const redirects: readonly number[] = [301, 302, 303, 307, 308];

export async function run(args: Args, { signal, dryRun }: OwnContext): Promise<OwnEnding<Result>> {
  if (args.body !== undefined && args.json !== undefined) return failed("body and json: one of them is what is sent", false);
  const mayChange = !withoutEffect.includes(args.method);
  if (dryRun) return would(`send ${args.method} ${args.url}`, mayChange);
  const limit = AbortSignal.timeout(Math.min(durationMs(args.timeout), timeoutMsMax));
  const started = performance.now();
  try {
    const answer = await ask(args, AbortSignal.any([signal, limit]));
    const result: Result = { ...answer, duration_ms: Math.round((performance.now() - started) * 1_000) / 1_000 };
    const problem = problemOf(args, result);
    if (problem !== undefined) return { ...failed(problem, mayChange), result };
    return { outcome: "succeeded", changed: mayChange, result };
  } catch (error) {
    if (signal.aborted) return failed(`${String(signal.reason)} before the answer had come`, mayChange);
    if (limit.aborted) return failed(`there was no whole answer within ${args.timeout}`, mayChange);
    return failed(errorText(error), mayChange);
  }
}

function failed(message: string, changed: boolean): OwnEnding<Result> {
  return { outcome: "failed", changed, message };
}

function problemOf({ expect }: Args, { status, headers }: Result): string | undefined {
  if (expect.length === 0 ? status >= 200 && status < 300 : expect.includes(status)) return undefined;
  const wanted = expect.length === 0 ? "200 to 299" : expect.join(", ");
  const moved = redirects.includes(status) && headers["location"] !== undefined;
  return `the answer was ${status}, expected ${wanted}${moved ? `; it points to ${headers["location"]}: write that address` : ""}`;
}

async function ask(args: Args, signal: AbortSignal): Promise<Omit<Result, "duration_ms">> {
  const response = await responseOf(args, signal);
  const { text, note } = await bodyOf(response, args.body_bytes_max);
  return {
    status: response.statusCode ?? 0,
    headers: headersOf(response),
    body: text,
    ...(note === undefined ? {} : { body_note: note }),
  };
}

function responseOf(args: Args, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const url = new URL(args.url);
    const sent = args.json === undefined ? args.body : JSON.stringify(args.json);
    const hasType = Object.keys(args.headers).some((name) => name.toLowerCase() === "content-type");
    const headers = {
      "user-agent": "needfire",
      ...(args.json === undefined || hasType ? {} : { "content-type": "application/json" }),
      ...(sent === undefined ? {} : { "content-length": String(Buffer.byteLength(sent)) }),
      ...args.headers,
    };
    const start = url.protocol === "https:" ? requestHttps : requestHttp;
    // No agent: a connection of its own that ends with it.
    const request: ClientRequest = start(url, { method: args.method, headers, signal, agent: false });
    request.once("error", reject).once("response", resolve).end(sent);
  });
}

/** The first bytes, as far as the limit goes; more is not even waited for. */
async function bodyOf(response: IncomingMessage, bytesMax: number): Promise<{ text: string; note?: string }> {
  const kept: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    kept.push(chunk.subarray(0, bytesMax - bytes));
    bytes += chunk.length;
    if (bytes > bytesMax) break; // which ends the connection
  }
  const isCut = bytes > bytesMax;
  // A character that the cut went through is left out; other bytes that are no UTF-8 become U+FFFD.
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.concat(kept), { stream: isCut });
  return isCut ? { text, note: `the first ${bytesMax} bytes are shown` } : { text };
}

function headersOf({ headers }: IncomingMessage): Record<string, string> {
  const told = Object.entries(headers).filter(([name, value]) => value !== undefined && name !== "set-cookie");
  return Object.fromEntries(told.map(([name, value]) => [name, [value].flat().join(", ")]));
}
