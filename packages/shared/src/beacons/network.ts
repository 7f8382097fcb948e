/** The `network` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { type BeaconSpec, common, type Contradiction, duration, interval, texts } from "./spec.ts";
import { thresholdContradiction, thresholdData, thresholdKeys } from "./threshold.ts";

const globs = texts(64);

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "network" },
    interfaces: { ...globs, default: ["*"], description: "globs on the names of interfaces; they need not be there yet" },
    exclude: { ...globs, default: ["lo", "veth*"], description: "globs on the names of interfaces" },
    above: { type: "number", exclusiveMinimum: 0, description: "megabits (10^6) a second, received or sent; default: not judged" },
    clear_below: { type: "number", minimum: 0, description: "must not be over `above`; default: the same" },
    for: { ...duration, default: "30s", description: "how long throughput or errors must stay over (or under) before it is said" },
    errors_above: { type: "number", minimum: 0, description: "errors and dropped packets a second; default: not judged" },
    link: { type: "boolean", default: true, description: "say when an interface gets or loses its link, comes or goes" },
    addresses: { type: "boolean", default: true, description: "say when an address comes or goes" },
    interval: interval("5s"),
  },
  required: ["name", "type"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const throughput = {
  type: "object",
  properties: {
    interface: { type: "string" },
    direction: { enum: ["received", "sent"] },
    mbit_per_s: { type: "number", description: "megabits (10^6) a second over the last interval" },
    packets_per_s: { type: "number" },
    link_mbit_per_s: { type: "number", description: "what the link can do, where the driver says so" },
    ...thresholdData,
  },
  required: ["interface", "direction", "mbit_per_s", "packets_per_s", ...thresholdKeys],
  additionalProperties: false,
} as const satisfies JSONSchema;

const errors = {
  type: "object",
  properties: {
    interface: { type: "string" },
    errors_per_s: { type: "number", description: "errors and dropped packets over the last interval" },
    counters: {
      type: "object",
      properties: {
        ...{ rx_errors: { type: "integer" }, tx_errors: { type: "integer" } },
        ...{ rx_dropped: { type: "integer" }, tx_dropped: { type: "integer" } },
      },
      additionalProperties: false,
      description: "as the kernel has counted since the interface came up",
    },
    ...thresholdData,
  },
  required: ["interface", "errors_per_s", "counters", ...thresholdKeys],
  additionalProperties: false,
} as const satisfies JSONSchema;

const link = {
  type: "object",
  properties: {
    interface: { type: "string" },
    state: {
      type: "string",
      description: "the kernel's `operstate`: up, down, lowerlayerdown, ...; `absent`: there is no such interface any more",
    },
    before: { type: "string" },
    hardware_address: { type: "string" },
    link_mbit_per_s: { type: "number" },
  },
  required: ["interface", "state", "before"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const address = {
  type: "object",
  properties: {
    interface: { type: "string" },
    address: { type: "string", description: "with the length of its prefix: 192.0.2.7/24" },
    family: { enum: ["IPv4", "IPv6"] },
  },
  required: ["interface", "address", "family"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const busy = {
  ...{ interface: "eth0", direction: "received", mbit_per_s: 941.2, packets_per_s: 81_240, link_mbit_per_s: 1_000 },
  ...{ above: 800, clear_below: 600, lasted_ms: 30_002 },
};
const failing = {
  ...{ interface: "eth0", errors_per_s: 14.2, counters: { rx_errors: 4_120, tx_errors: 0, rx_dropped: 17, tx_dropped: 0 } },
  ...{ above: 10, clear_below: 10, lasted_ms: 30_001 },
};
const lost = { interface: "eth0", state: "down", before: "up", hardware_address: "52:54:00:12:34:56" };
const given = { interface: "eth0", address: "192.0.2.7/24", family: "IPv4" };

export const network = {
  summary: "Interfaces: throughput and errors over a threshold, links that go down and come up, addresses that come and go.",
  options,
  events: {
    "network.high": {
      description: "Throughput in one direction has been over the threshold for the beacon's time. Told once, until `network.normal`.",
      severity: "normal",
      data: throughput,
      example: { subject: "eth0", data: busy },
    },
    "network.normal": {
      description: "Throughput in that direction is under the threshold again.",
      severity: "normal",
      data: throughput,
      example: { subject: "eth0", data: { ...busy, mbit_per_s: 120.5, packets_per_s: 11_020 } },
    },
    "network.errors": {
      description: "Errors and dropped packets have been over the threshold for the beacon's time. Told once, until `network.clean`.",
      severity: "normal",
      data: errors,
      example: { subject: "eth0", data: failing },
    },
    "network.clean": {
      description: "Errors and dropped packets are under the threshold again.",
      severity: "normal",
      data: errors,
      example: { subject: "eth0", data: { ...failing, errors_per_s: 0 } },
    },
    "network.down": {
      description: "An interface lost its link, or is gone.",
      severity: "normal",
      data: link,
      example: { subject: "eth0", data: lost },
    },
    "network.up": {
      description: "An interface has its link (again), or is new and has one.",
      severity: "normal",
      data: link,
      example: { subject: "eth0", data: { ...lost, state: "up", before: "down", link_mbit_per_s: 1_000 } },
    },
    "network.address_added": {
      description: "An interface has a new address.",
      severity: "normal",
      data: address,
      example: { subject: "eth0", data: given },
    },
    "network.address_removed": {
      description: "An interface has lost an address.",
      severity: "normal",
      data: address,
      example: { subject: "eth0", data: given },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

function contradiction({ above, clear_below: clearBelow }: FromSchema<typeof options>): Contradiction | undefined {
  if (above !== undefined) return thresholdContradiction({ above, ...(clearBelow === undefined ? {} : { clear_below: clearBelow }) });
  return clearBelow === undefined ? undefined : { path: ["clear_below"], message: 'without "above" there is nothing to clear' };
}
