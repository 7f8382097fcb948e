/** The `connection` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { parseRange } from "../address.ts";
import { type BeaconSpec, common, type Contradiction, interval } from "./spec.ts";

const addresses = {
  type: "array",
  items: { type: "string", maxLength: 64, description: "an address or a range, such as 10.0.0.0/8 or 2001:db8::/32" },
  minItems: 1,
  maxItems: 1_000,
} as const;
const ports = {
  type: "array",
  items: {
    type: ["integer", "string"],
    minimum: 0,
    maximum: 65_535,
    pattern: "^[0-9]{1,5}-[0-9]{1,5}$",
    description: "a port, or several: 8000-8999",
  },
  minItems: 1,
  maxItems: 1_000,
} as const;
const processes = {
  type: "array",
  items: { type: "string", minLength: 1, maxLength: 255, description: "a name or glob" },
  minItems: 1,
  maxItems: 100,
} as const;

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "connection" },
    watch: {
      type: "array",
      items: { enum: ["listening", "inbound", "outbound"] },
      minItems: 1,
      uniqueItems: true,
      default: ["listening"],
      description: "ports that are listened on, connections that others open to them, connections that this host opens",
    },
    protocols: { type: "array", items: { enum: ["tcp", "udp"] }, minItems: 1, uniqueItems: true, default: ["tcp", "udp"] },
    local_addresses: {
      ...addresses,
      description: "only these of the host's own addresses; a port that is open on all of them fits always",
    },
    local_ports: { ...ports, description: "only these of the host's own ports" },
    remote_addresses: { ...addresses, description: "only connections with these" },
    remote_ports: { ...ports, description: "only connections with these ports of the other side" },
    processes: { ...processes, description: "only those of processes with such a name" },
    exclude_local_ports: ports,
    exclude_remote_addresses: addresses,
    exclude_remote_ports: ports,
    exclude_processes: processes,
    loopback: { type: "boolean", default: false, description: "also what only the host itself can reach: ::1 and 127.0.0.0/8" },
    owner: { type: "boolean", default: true, description: "find out whose a new socket is: costs a look at all open files of the host" },
    interval: interval("10s"),
  },
  required: ["name", "type"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type ConnectionBeacon = FromSchema<typeof options>;

const owner = {
  user: { type: "string", description: "whose socket it is" },
  process: {
    type: "object",
    description: "that has it; of several one",
    properties: { pid: { type: "integer" }, name: { type: "string" } },
    required: ["pid", "name"],
    additionalProperties: false,
  },
} as const;
const end = { protocol: { enum: ["tcp", "udp"] }, local_address: { type: "string" }, local_port: { type: "integer" } } as const;
const lasted = { lasted_ms: { type: "number", description: "as far as this run of the beacon has seen" } } as const;

const connectionData = {
  type: "object",
  properties: {
    direction: { enum: ["inbound", "outbound"] },
    ...end,
    remote_address: { type: "string" },
    remote_port: { type: "integer" },
    ...owner,
    is_over: { type: "boolean", description: "it was opened and closed between two looks" },
    ...lasted,
  },
  required: ["direction", "protocol", "local_address", "local_port", "remote_address", "remote_port"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type ConnectionEventData = FromSchema<typeof connectionData>;

const portData = {
  type: "object",
  properties: { ...end, ...owner, ...lasted },
  required: ["protocol", "local_address", "local_port"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type PortEventData = FromSchema<typeof portData>;

const ssh: ConnectionEventData = {
  ...{ direction: "inbound", protocol: "tcp", local_address: "192.0.2.10", local_port: 22 },
  ...{ remote_address: "198.51.100.7", remote_port: 51_344, user: "root", process: { pid: 911, name: "sshd" } },
};
const port: PortEventData = {
  protocol: "tcp",
  local_address: "0.0.0.0",
  local_port: 4_444,
  user: "www-data",
  process: { pid: 4_711, name: "nc" },
};
const subject = "tcp 192.0.2.10:22 198.51.100.7:51344";

export const connection = {
  summary: "New and ended connections, and ports that are listened on, from the kernel's tables.",
  options,
  events: {
    "connection.opened": {
      description: "There is a connection that was not there at the last look.",
      severity: "normal",
      data: connectionData,
      example: { subject, data: ssh },
    },
    "connection.closed": {
      description: "A connection is no more.",
      severity: "low",
      data: connectionData,
      example: { subject, data: { ...ssh, lasted_ms: 61_020 } },
    },
    "port.opened": {
      description: "Something listens on a port that nothing listened on, also since before the agent was last stopped.",
      severity: "normal",
      data: portData,
      example: { subject: "tcp 0.0.0.0:4444", data: port },
    },
    "port.closed": {
      description: "Nothing listens on a port any more.",
      severity: "normal",
      data: portData,
      example: { subject: "tcp 0.0.0.0:4444", data: { ...port, lasted_ms: 86_400_120 } },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

const addressLists = ["local_addresses", "remote_addresses", "exclude_remote_addresses"] as const;
const portLists = ["local_ports", "remote_ports", "exclude_local_ports", "exclude_remote_ports"] as const;
const ofConnections = ["remote_addresses", "remote_ports", "exclude_remote_addresses", "exclude_remote_ports"] as const;

function contradiction(definition: ConnectionBeacon): Contradiction | undefined {
  for (const name of addressLists) {
    const wrong = definition[name]?.findIndex((text) => parseRange(text) === undefined) ?? -1;
    if (wrong >= 0)
      return { path: [name, wrong], message: `no address or range: "${definition[name]![wrong]!}"; such as 10.0.0.0/8 or 2001:db8::1` };
  }
  for (const name of portLists) {
    const wrong = definition[name]?.findIndex((port) => portRange(port) === undefined) ?? -1;
    if (wrong >= 0)
      return { path: [name, wrong], message: `no ports: "${definition[name]![wrong]!}"; from the lower to the higher, 65535 at most` };
  }
  const idle =
    definition.watch.includes("listening") && definition.watch.length === 1 ? ofConnections.find((name) => name in definition) : undefined;
  if (idle !== undefined) return { path: [idle], message: `${idle} is about connections: watch "inbound" or "outbound", too` };
  if (!definition.owner && (definition.processes !== undefined || definition.exclude_processes !== undefined))
    return { path: ["owner"], message: '"processes" needs to know whose a socket is: take "owner: false" away' };
  return undefined;
}

/** From and to. Undefined: it is none. */
export function portRange(port: number | string): [number, number] | undefined {
  const [from = Number.NaN, to = from] = String(port).split("-").map(Number);
  return from <= to && to <= 65_535 ? [from, to] : undefined;
}
