/**
 * What every beacon that asks something over the network has (`http`, `tcp`, `dns`): how long an answer may take, how many answers in a row
 * count, and what its `.down`, `.slow` and `.up` events say beside what is its own.
 */
import type { JSONSchema } from "json-schema-to-ts";
import { durationMs } from "../duration.ts";
import { absolutePath, type BeaconSpec, type Contradiction, duration, interval } from "./spec.ts";

/** How many a beacon may ask; each is a timer and a connection now and then. */
export const targetsMax = 1_000;

export function reachabilityOptions<const T extends string>({ timeout }: { timeout: T }) {
  return {
    interval: interval("30s"),
    timeout: { ...duration, default: timeout, description: "what has not answered in full by then has failed; 1ms to 5m" },
    attempts: {
      type: "integer",
      minimum: 1,
      maximum: 100,
      default: 2,
      description: "how many times in a row it must fail to count as down, or be slow to count as slow",
    },
    successes: {
      type: "integer",
      minimum: 1,
      maximum: 100,
      default: 1,
      description: "how many times in a row it must answer to be up again",
    },
    slow_above: { ...duration, description: "an answer that takes longer is slow; without it none is" },
    clear_below: {
      ...duration,
      description: "what is slow is up again when it answers faster than this; must not be over `slow_above`; default: the same",
    },
  } as const;
}

/** Which addresses of a name are tried. */
export const family = {
  enum: ["any", "4", "6"],
  default: "any",
  description: "connect over IPv4 or IPv6 only; any: as the system prefers, the other one if that does not answer",
} as const;

export const tlsProperties = {
  ca: { ...absolutePath, description: "a PEM file on the agent's host: certificates to trust instead of those that the host trusts" },
  server_name: { type: "string", minLength: 1, maxLength: 253, description: "the name to ask for and to check; default: the host's" },
  certificate: { ...absolutePath, description: "a PEM file on the agent's host: the client's certificate, with its chain" },
  key: { ...absolutePath, description: "a PEM file on the agent's host: the key of `certificate`" },
  insecure: { type: "boolean", default: false, description: "take any certificate" },
} as const;

const timing = { type: "number", description: "ms" } as const;

/** Reasons that both kinds of connections have. */
export const connectionReasons = ["dns", "connect", "tls", "timeout", "closed"] as const;

export const timings = {
  type: "object",
  properties: {
    dns_ms: { ...timing, description: "until the name had an address" },
    connect_ms: { ...timing, description: "until the connection stood, from there" },
    tls_ms: { ...timing, description: "until TLS stood, from there" },
    answer_ms: { ...timing, description: "until the first byte of the answer, from there" },
    rest_ms: { ...timing, description: "until the end of what was read, from there" },
  },
  additionalProperties: false,
  description: "where the time went, as far as it came",
} as const;

/** Data of an event about a state of reachability. `own`: what the type adds; `reasons`: why it can be down. */
function reachabilityData<const P extends Readonly<Record<string, JSONSchema>>>(
  own: P,
  required: readonly string[],
  reasons: readonly string[],
) {
  return {
    type: "object",
    properties: {
      ...own,
      from: { enum: ["up", "slow", "down"], description: "what it was before" },
      since: { type: "number", description: "when that which is told began, by the host's clock: ms since the epoch" },
      lasted_ms: { type: "number", description: "how long it had been what it was before" },
      latency_ms: { type: "number", description: "what the last answer took, or how long it was waited for" },
      slow_above_ms: { type: "number" },
      checks: { type: "integer", description: "how many in a row said so" },
      reason: { enum: reasons, description: "why it failed" },
      message: { type: "string", description: "the same in words" },
    },
    required: [...required, "from", "since", "lasted_ms", "latency_ms", "checks"],
    additionalProperties: false,
  } as const satisfies JSONSchema;
}

interface ReachabilitySpec {
  kind: string;
  /** Such as "the URL". */
  what: string;
  own: Readonly<Record<string, JSONSchema>>;
  required: readonly string[];
  reasons: readonly string[];
  example: { subject: string; own: Record<string, unknown>; down: Record<string, unknown>; fine: Record<string, unknown> };
}

/** `KIND.down`, `KIND.slow` and `KIND.up`. */
export function reachabilityEvents<const K extends string>({
  kind,
  what,
  own,
  required,
  reasons,
  example,
}: ReachabilitySpec & { kind: K }) {
  const data = reachabilityData(own, required, reasons);
  const { subject } = example;
  const base = { ...example.own, since: 1_772_359_200_000 };
  const event = (description: string, severity: "high" | "normal", more: Record<string, unknown>) => ({
    ...{ description, severity, data },
    example: { subject, data: { ...base, ...more } },
  });
  return {
    [`${kind}.down`]: event(`${what} has failed \`attempts\` times in a row. Told once, until it answers again.`, "high", {
      ...{ from: "up", lasted_ms: 86_400_000, latency_ms: 10_002.1, checks: 2 },
      ...example.down,
    }),
    [`${kind}.slow`]: event(
      `${what} has taken longer than \`slow_above\` \`attempts\` times in a row, or answers again, but slowly.`,
      "normal",
      {
        ...{ from: "up", lasted_ms: 3_600_000, latency_ms: 812.4, slow_above_ms: 500, checks: 2 },
        ...example.fine,
      },
    ),
    [`${kind}.up`]: event(`${what} answers again, or in time again: \`from\` says what it was.`, "normal", {
      ...{ from: "down", lasted_ms: 184_000, latency_ms: 41.3, checks: 1 },
      ...example.fine,
    }),
  } as unknown as { [N in `${K}.${"down" | "slow" | "up"}`]: BeaconSpec["events"][string] };
}

const timeoutMs = { min: 1, max: 300_000 };

export function reachabilityContradiction(definition: {
  timeout: string;
  slow_above?: string | undefined;
  clear_below?: string | undefined;
}): Contradiction | undefined {
  const { timeout, slow_above: slowAbove, clear_below: clearBelow } = definition;
  const ms = durationMs(timeout);
  if (ms < timeoutMs.min || ms > timeoutMs.max) return { path: ["timeout"], message: `a timeout is 1ms to 5m, got "${timeout}"` };
  if (slowAbove !== undefined && durationMs(slowAbove) >= ms)
    return { path: ["slow_above"], message: `slow_above (${slowAbove}) is not under timeout (${timeout}): nothing would ever be slow` };
  if (clearBelow === undefined) return undefined;
  if (slowAbove === undefined)
    return { path: ["clear_below"], message: "clear_below says when what is slow is not slow any more: it needs slow_above" };
  if (durationMs(clearBelow) <= durationMs(slowAbove)) return undefined;
  return { path: ["clear_below"], message: `clear_below (${clearBelow}) is over slow_above (${slowAbove}): it would never stay slow` };
}

export const addresses = {
  type: "array",
  items: {
    type: "string",
    pattern: "^(\\[[0-9a-zA-Z:.%]+\\]|[^\\s:/@\\[\\]]+):[0-9]{1,5}$",
    maxLength: 300,
    description: "host:port; an IPv6 address stands in brackets",
  },
  minItems: 1,
  maxItems: targetsMax,
  description: "each is looked at for itself, and is the subject of its events",
} as const;

export function addressesContradiction(key: string, addresses: readonly string[]): Contradiction | undefined {
  for (const [index, address] of addresses.entries()) {
    const port = Number(address.slice(address.lastIndexOf(":") + 1));
    if (port < 1 || port > 65_535) return { path: [key, index], message: `a port is 1 to 65535, got "${address}"` };
  }
  return twice(key, addresses);
}

/** Two of the same would be one subject with two states. */
export function twice(key: string, values: readonly string[]): Contradiction | undefined {
  const index = values.findIndex((value, at) => values.indexOf(value) !== at);
  return index < 0 ? undefined : { path: [key, index], message: `"${values[index]}" stands here twice` };
}
