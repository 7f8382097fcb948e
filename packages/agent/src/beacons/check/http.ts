/**
 * The `http` beacon: asks URLs and tells when one is down, slow, or up again. Each check is a connection of its own, for nothing else shows that
 * a client can still get through.
 */
import { readFileSync } from "node:fs";
import { errorText } from "@needfire/shared/errors";
import { compilePattern } from "@needfire/shared/pattern";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { type Exchange, exchange, type Received } from "./http-exchange.ts";
import { familyNumber, sharedLookup } from "./lookup.ts";
import { type Answer, startReachability } from "./reachability.ts";
import { Stopwatch } from "./stopwatch.ts";
import { Trust } from "./trust.ts";

type HttpDefinition = DefinitionOf<"http">;

const redirections = new Set([301, 302, 303, 307, 308]);
/** What is for one server must not be sent to another that it names. */
const personal = new Set(["authorization", "cookie", "proxy-authorization"]);

export function start(definition: HttpDefinition, context: BeaconContext): RunningBeacon {
  const judge = judgeOf(definition);
  const fixed = {
    family: familyNumber[definition.family],
    lookup: sharedLookup(definition.family),
    trust: new Trust(definition.tls),
    bodyBytesMax: definition.body_bytes_max,
    ...(definition.socket === undefined ? {} : { socketPath: definition.socket }),
  };
  const targets = definition.urls.map((url) => ({
    subject: url,
    data: { url },
    check: (signal: AbortSignal) => new Check(definition, { ...fixed, signal }, judge).follow(new URL(url)),
  }));
  return startReachability(definition, context, targets);
}

/** One look at one URL, through all that it is redirected to. */
class Check {
  readonly #definition: HttpDefinition;
  readonly #fixed: Omit<Exchange, "watch" | "own" | "request">;
  readonly #judge: (received: Received) => Verdict;
  readonly #headers: ReturnType<typeof headersOf>;
  readonly #begun = performance.now();

  constructor(definition: HttpDefinition, fixed: Omit<Exchange, "watch" | "own" | "request">, judge: (received: Received) => Verdict) {
    this.#definition = definition;
    this.#fixed = fixed;
    this.#judge = judge;
    this.#headers = headersOf(definition);
  }

  async follow(from: URL): Promise<Answer> {
    const { method, body, redirects: redirectsMax } = this.#definition;
    let request: Exchange["request"] = { url: from, method, headers: this.#headers.all, ...(body === undefined ? {} : { body }) };
    for (let redirects = 0; ; redirects++) {
      const watch = new Stopwatch();
      const told = (address: { address?: string }) => ({
        latencyMs: performance.now() - this.#begun,
        data: { redirects, ...address, timings: watch.timings },
      });
      const received = await exchange({ ...this.#fixed, request, own: request.url.origin === from.origin, watch });
      if (received.kind === "stopped") return { ...told(received.address), ok: false, reason: received.reason, message: received.message };
      const answer = { ...told(received.address), data: { status: received.status, ...told(received.address).data } };
      const { location } = received;
      if (location === undefined || !redirections.has(received.status) || redirectsMax === 0)
        return { ...answer, ...this.#judge(received) };
      if (redirects === redirectsMax)
        return { ...answer, ok: false, reason: "redirects", message: `it is redirected more than ${redirects} times` };
      const next = urlOf(location, request.url);
      if (next === undefined)
        return { ...answer, ok: false, reason: "redirects", message: "it is redirected to what is no http or https URL" };
      request = this.#redirected(request, next, { status: received.status, own: next.origin === from.origin });
    }
  }

  /** As browsers do it: a request with a body is sent again only where the status says so. */
  #redirected(request: Exchange["request"], url: URL, { status, own }: { status: number; own: boolean }): Exchange["request"] {
    const headers = own ? this.#headers.all : this.#headers.harmless;
    const again = status === 307 || status === 308 || request.method === "GET" || request.method === "HEAD";
    return again ? { ...request, url, headers } : { url, method: "GET", headers };
  }
}

type Verdict = { ok: true } | { ok: false; reason: string; message: string };

function judgeOf({ status: wanted, contains, match, exclude }: HttpDefinition): (received: Received) => Verdict {
  const ranges = wanted.map((each) => String(each).split("-").map(Number)).map(([low, high = low]) => [low!, high!] as const);
  const needed = match === undefined ? undefined : compilePattern(match);
  const unwanted = exclude === undefined ? undefined : compilePattern(exclude);
  const bad = (reason: string, message: string): Verdict => ({ ok: false, reason, message });
  return ({ status, body }) => {
    if (!ranges.some(([low, high]) => status >= low && status <= high)) return bad("status", `the status is ${status}`);
    if (contains !== undefined && !body.includes(contains)) return bad("body", 'the body does not have the text of "contains"');
    if (needed?.test(body) === false) return bad("body", 'the body does not match "match"');
    return unwanted?.test(body) === true ? bad("body", 'the body matches "exclude"') : { ok: true };
  };
}

/** Those from files are read for each check, so that a new secret is taken at once. `harmless`: for a server that it is redirected to. */
function headersOf({ headers }: HttpDefinition): Record<"all" | "harmless", Record<string, string>> {
  const all: Record<string, string> = { "user-agent": "needfire", "accept-encoding": "identity" };
  const harmless = { ...all };
  for (const [name, value] of Object.entries(headers)) {
    const key = name.toLowerCase();
    all[key] = typeof value === "string" ? value : secretOf(name, value.file);
    if (typeof value === "string" && !personal.has(key) && key !== "host") harmless[key] = value;
  }
  return { all, harmless };
}

function secretOf(name: string, file: string): string {
  try {
    return readFileSync(file, "latin1").split(/\r?\n/, 1)[0]!;
  } catch (error) {
    throw new Error(`the header "${name}" cannot be read: ${errorText(error)}`, { cause: error });
  }
}

function urlOf(location: string, from: URL): URL | undefined {
  const url = URL.parse(location, from.href);
  if (url === null) return undefined;
  return url.protocol === "http:" || url.protocol === "https:" ? url : undefined;
}
