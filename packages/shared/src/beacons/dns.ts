/** The `dns` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { reachabilityContradiction, reachabilityEvents, reachabilityOptions, targetsMax, twice } from "./reachability.ts";
import { type BeaconSpec, common, type Contradiction, texts } from "./spec.ts";

/** Answers that an event names, and characters of each. */
export const answersToldMax = 100;
export const answerCharactersMax = 500;

const wanted = {
  ...texts(4_096),
  minItems: 1,
} as const;

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "dns" },
    names: {
      type: "array",
      items: { type: "string", pattern: "^[^\\s.]{1,63}(\\.[^\\s.]{1,63})*\\.?$", maxLength: 254 },
      minItems: 1,
      maxItems: targetsMax,
      description: "as they stand in the DNS: no search domains, no /etc/hosts",
    },
    record: { enum: ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"], default: "A" },
    servers: {
      type: "array",
      items: {
        type: "string",
        pattern: "^([0-9]{1,3}(\\.[0-9]{1,3}){3}(:[0-9]{1,5})?|[0-9a-fA-F]*:[0-9a-fA-F:.]+|\\[[0-9a-fA-F:.]+\\](:[0-9]{1,5})?)$",
        maxLength: 100,
        description: "an IP address, or one with a port: 192.0.2.53:5353, [2001:db8::53]:5353",
      },
      default: [],
      maxItems: 100,
      description: "each is asked for each name, and told for itself; none: those of the host (/etc/resolv.conf)",
    },
    equals: { ...wanted, description: "exactly these must be the answers, in any order" },
    contains: { ...wanted, description: "these must be among the answers" },
    watch: { type: "boolean", default: false, description: "tell `dns.changed` when there are other answers than before" },
    ...reachabilityOptions({ timeout: "5s" }),
  },
  required: ["name", "type", "names"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type DnsBeacon = FromSchema<typeof options>;

const answers = {
  type: "array",
  items: { type: "string" },
  description: `sorted; ${answersToldMax} of them at most, each of ${answerCharactersMax} characters at most`,
} as const;

const asked = {
  name: { type: "string" },
  record: { type: "string" },
  server: { type: "string", description: "missing: the host's own" },
} as const;

const example = { name: "shop.example.com", record: "A", server: "192.0.2.53" };
const subject = "shop.example.com A @192.0.2.53";

export const dns = {
  summary: "Names in the DNS: whether servers answer, in time, with what they should, and when the answers change.",
  options,
  events: {
    ...reachabilityEvents({
      kind: "dns",
      what: "A name",
      own: { ...asked, answers, missing: answers, unexpected: answers },
      required: ["name", "record"],
      reasons: ["not_found", "no_data", "server_failure", "refused", "connect", "timeout", "malformed", "answers"],
      example: {
        subject,
        own: example,
        down: { reason: "not_found", message: "the name does not exist (ENOTFOUND)", latency_ms: 3.2 },
        fine: { answers: ["192.0.2.10", "192.0.2.11"] },
      },
    }),
    "dns.changed": {
      description: "There are other answers than before (`watch: true`).",
      severity: "normal",
      data: {
        type: "object",
        properties: { ...asked, before: answers, after: answers, added: answers, removed: answers },
        required: ["name", "record", "before", "after", "added", "removed"],
        additionalProperties: false,
      },
      example: {
        subject,
        data: { ...example, before: ["192.0.2.10"], after: ["203.0.113.66"], added: ["203.0.113.66"], removed: ["192.0.2.10"] },
      },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

function contradiction(definition: DnsBeacon): Contradiction | undefined {
  const { names, servers } = definition;
  for (const [index, server] of servers.entries()) {
    const problem = serverProblem(server);
    if (problem !== undefined) return { path: ["servers", index], message: problem };
  }
  if (names.length * Math.max(1, servers.length) > targetsMax)
    return { path: ["names"], message: `every name is asked of every server: that is more than ${targetsMax} together` };
  return twice("names", names) ?? twice("servers", servers) ?? reachabilityContradiction(definition);
}

function serverProblem(server: string): string | undefined {
  const [, four, bracketed, port] = /^(?:([0-9]+(?:\.[0-9]+){3})|\[(.+)\])(?::([0-9]+))?$/.exec(server) ?? [];
  const isAddress =
    four === undefined ? URL.canParse(`http://[${bracketed ?? server}]/`) : four.split(".").every((part) => Number(part) < 256);
  if (!isAddress) return `"${server}" is no IP address`;
  return port !== undefined && (Number(port) < 1 || Number(port) > 65_535) ? `a port is 1 to 65535, got "${server}"` : undefined;
}
