/** Actions on the host as a whole, and on the agent itself. */
import type { JSONSchema } from "json-schema-to-ts";
import { durationPattern } from "../duration.ts";
import { agentIdPattern } from "../ids.ts";
import { type ActionSpec, timeout } from "./spec.ts";

const nothing = { type: "object", properties: {}, additionalProperties: false } as const satisfies JSONSchema;

const sysctlArgs = {
  type: "object",
  properties: {
    key: {
      type: "string",
      title: "a key such as net.ipv4.ip_forward",
      // Parts are file names below /proc/sys: never empty, never one that begins with a dot.
      pattern: "^[A-Za-z0-9_-][A-Za-z0-9_:@-]*([./][A-Za-z0-9_-][A-Za-z0-9_:@-]*)+$",
      maxLength: 255,
      description: "with dots; with slashes where a part has dots itself: net/ipv4/conf/eth0.1/forwarding",
    },
    value: {
      type: "string",
      title: "one line of text",
      pattern: "^[^\\u0000-\\u0008\\u000a-\\u001f]*$",
      minLength: 1,
      maxLength: 4096,
      description: "as it is written into /proc/sys; several numbers with spaces between them",
    },
    persist: { type: "boolean", default: false, description: "also after a restart of the host: in /etc/sysctl.d/90-needfire.conf" },
  },
  required: ["key", "value"],
  additionalProperties: false,
} as const satisfies JSONSchema;
const sysctlResult = {
  type: "object",
  properties: {
    key: { type: "string" },
    before: { type: "string" },
    after: { type: "string" },
    persisted: { type: "boolean", description: "the file of the agent's own says so" },
  },
  required: ["key", "before", "after", "persisted"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const factsResult = {
  type: "object",
  properties: { facts: { type: "object" } },
  required: ["facts"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const maintenanceArgs = {
  type: "object",
  title: "for and why, or end: true alone",
  properties: {
    for: { type: "string", title: "a duration such as 2h", pattern: durationPattern, description: "it ends by itself after so long" },
    why: { type: "string", minLength: 1, maxLength: 1_000, description: "for whoever finds the host so" },
    end: { enum: [true], description: "instead: it is over, before its time; a host that is in none stays as it is" },
    agent: { type: "string", title: "an agent's id", pattern: agentIdPattern, description: "default: the host that the event is about" },
  },
  oneOf: [
    { required: ["for", "why"], properties: { for: {}, why: {}, end: false } },
    { required: ["end"], properties: { end: {}, for: false, why: false } },
  ],
  additionalProperties: false,
} as const satisfies JSONSchema;
const maintenanceResult = {
  type: "object",
  properties: {
    agent: { type: "string" },
    until: { type: "number", description: "when it ends, in ms since the epoch; none: it is over" },
  },
  required: ["agent"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const rebootArgs = {
  type: "object",
  properties: { timeout: timeout("10m", "how long the host may take until it goes down; then it has failed") },
  additionalProperties: false,
} as const satisfies JSONSchema;
const rebootResult = {
  type: "object",
  properties: {
    boot: { type: "string", description: "the id of the boot that ended: the kernel's, and when the host's first process was started" },
    booted: { type: "string", description: "the id of the one that followed" },
    took_ms: { type: "number", description: "from the asking until the agent was back" },
  },
  required: ["boot", "booted", "took_ms"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export const hostActions = {
  "sysctl.set": {
    runsOn: "agent",
    summary: "Set a parameter of the kernel, now and with `persist` for good.",
    args: sysctlArgs,
    result: sysctlResult,
  },
  "agent.facts": {
    runsOn: "agent",
    summary: "Gather the host's facts anew, and report them to the master: targets and conditions see them from then on.",
    args: nothing,
    result: factsResult,
  },
  "agent.maintenance": {
    runsOn: "master",
    summary: "Put a host into maintenance, or end it: it is watched and everything is recorded, but no reactor acts on it.",
    args: maintenanceArgs,
    result: maintenanceResult,
  },
  "host.reboot": {
    runsOn: "agent",
    summary: "Restart the host. It has succeeded when the agent is back, in another boot.",
    args: rebootArgs,
    result: rebootResult,
  },
} as const satisfies Record<string, ActionSpec>;
