/** The `tcp` beacon: options and events. */
import type { JSONSchema } from "json-schema-to-ts";
import { pattern, patternProblem } from "../pattern.ts";
import {
  addresses,
  addressesContradiction,
  connectionReasons,
  family,
  reachabilityContradiction,
  reachabilityEvents,
  reachabilityOptions,
  timings,
  tlsProperties,
} from "./reachability.ts";
import { type BeaconSpec, common, type Contradiction } from "./spec.ts";

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "tcp" },
    addresses,
    send: { type: "string", minLength: 1, maxLength: 4_096, description: "a text to send once connected; not told in events" },
    expect: {
      ...pattern,
      description: "a regular expression (RE2) that what comes back must match, within the timeout; of it 64 KiB are read",
    },
    tls: {
      type: "object",
      properties: tlsProperties,
      additionalProperties: false,
      description: "speak TLS; `{}` is enough. Without it the connection is plain",
    },
    family,
    ...reachabilityOptions({ timeout: "5s" }),
  },
  required: ["name", "type", "addresses"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export const tcp = {
  summary: "Ports: whether they take connections, in time, with TLS and the right greeting if wanted.",
  options,
  events: reachabilityEvents({
    kind: "tcp",
    what: "A port",
    own: {
      address: { type: "string", description: "as in the definition" },
      connected_to: { type: "string", description: "the address of the connection" },
      timings,
    },
    required: ["address"],
    reasons: [...connectionReasons, "answer"],
    example: {
      subject: "db1.example.com:5432",
      own: { address: "db1.example.com:5432" },
      down: { reason: "connect", message: "connect ECONNREFUSED 192.0.2.20:5432", latency_ms: 2.1, timings: { dns_ms: 1.4 } },
      fine: { connected_to: "192.0.2.20", timings: { dns_ms: 1.4, connect_ms: 0.9 } },
    },
  }),
  contradiction,
} as const satisfies BeaconSpec;

function contradiction(
  definition: { addresses: readonly string[]; expect?: string } & Parameters<typeof reachabilityContradiction>[0],
): Contradiction | undefined {
  const problem = definition.expect === undefined ? undefined : patternProblem(definition.expect);
  if (problem !== undefined) return { path: ["expect"], message: problem };
  return addressesContradiction("addresses", definition.addresses) ?? reachabilityContradiction(definition);
}
