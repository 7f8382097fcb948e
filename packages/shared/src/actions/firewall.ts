/** Actions on the host's packet filter. */
import type { JSONSchema } from "json-schema-to-ts";
import { durationPattern } from "../duration.ts";
import type { ActionSpec } from "./spec.ts";

const which = {
  address: {
    type: "string",
    title: "an address or a network such as 192.0.2.7, 198.51.100.0/24 or 2001:db8::/48",
    pattern: "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
    maxLength: 49,
    description: "an IPv4 or IPv6 address, or a network",
  },
  ports: {
    type: "array",
    items: { type: "integer", minimum: 1, maximum: 65_535 },
    minItems: 1,
    maxItems: 100,
    description: "only what is sent to these ports of this host; without it everything that comes from there",
  },
  protocols: {
    type: "array",
    items: { enum: ["tcp", "udp"] },
    minItems: 1,
    maxItems: 2,
    default: ["tcp", "udp"],
    description: "of `ports`",
  },
} as const;

const blockArgs = {
  type: "object",
  properties: {
    ...which,
    for: {
      type: "string",
      title: "a duration such as 1h",
      pattern: durationPattern,
      description: "how long: the kernel ends it, also while the agent is down; without it until `firewall.unblock`",
    },
    force: { type: "boolean", default: false, description: "also the master's address, this host's own, and loopback" },
  },
  required: ["address"],
  additionalProperties: false,
} as const satisfies JSONSchema;
const blockResult = {
  type: "object",
  properties: {
    address: { type: "string" },
    ports: { type: "array", items: { type: "integer" } },
    left_ms: { type: "integer", description: "how long it will be blocked; absent: until it is unblocked" },
  },
  required: ["address"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const unblockArgs = { type: "object", properties: which, required: ["address"], additionalProperties: false } as const satisfies JSONSchema;
const unblockResult = {
  type: "object",
  properties: { address: { type: "string" }, ports: { type: "array", items: { type: "integer" } } },
  required: ["address"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export const firewallActions = {
  "firewall.block": {
    runsOn: "agent",
    summary:
      "Drop what comes from an address or a network, in nftables' table `inet needfire`. What empties the packet filter (`nft flush ruleset`, a reload of Debian's nftables.service, a restart of the host) ends it.",
    args: blockArgs,
    result: blockResult,
  },
  "firewall.unblock": {
    runsOn: "agent",
    summary: "End a block before its time. The address and the ports are those of the block.",
    args: unblockArgs,
    result: unblockResult,
  },
} as const satisfies Record<string, ActionSpec>;
