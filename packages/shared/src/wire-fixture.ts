/**
 * An honest example of every message of the bus, for the tests of its doors. The one place to change beside the schemas when the wire does.
 */
import type { EventDraft } from "./event.ts";
import type { AgentMessage, MasterMessage } from "./wire.ts";
import { wireEvent } from "./wire-event.ts";

const digest = "0123456789abcdef".repeat(4);
const execution = "t-3f9a1c0b27d40000.1";
const draft: EventDraft = {
  type: "file.changed",
  time: 1.5e12,
  severity: "high",
  subject: "/etc/motd",
  beacon: "etc",
  cause: execution,
  data: { path: "/etc/motd", nothing: null, list: [1, -2, 2.5, true], deep: { a: { b: ["c"] } } },
};
const result: EventDraft = {
  ...draft,
  type: "execution.finished",
  data: {
    execution,
    action: "command.run",
    outcome: "succeeded",
    changed: true,
    started: 1,
    ended: 2,
    result: { stdout: "x".repeat(300) },
  },
};

export const fromAgent: AgentMessage[] = [
  { kind: "knock", body: {} },
  { kind: "hello", body: { agent: "web1", publicKey: "x".repeat(40), proof: "abc", epoch: "mi4k2x", token: "t0" } },
  {
    kind: "facts",
    body: {
      facts: { os: "linux", cores: 4, deep: { list: [1, { a: "b" }] } },
      labels: { role: "web" },
      beacons: "",
      files: "v1",
      spooled: 3,
    },
  },
  {
    kind: "events",
    body: { lane: "high", epoch: "mi4k2x", after: 3, resumed: true, events: [wireEvent(7, draft), wireEvent(8, result)] },
  },
  { kind: "taken", body: { set: "files", version: "v1" } },
  { kind: "restated", body: { id: "s-0123abcd" } },
  { kind: "accepted", body: { execution } },
  { kind: "leased", body: { execution, inMs: 3_600_000 } },
  { kind: "leased", body: { execution, inMs: 0, refused: 'policy: deny.actions "*" forbids file.restore' } },
  { kind: "blobGet", body: { digest, offset: 262_144 } },
  { kind: "ping", body: {} },
  { kind: "bye", body: {} },
];

const managed = { path: "/etc/motd", digest, size: 5, mode: 0o644, owner: "root", group: "root", secret: false };
export const fromMaster: MasterMessage[] = [
  { kind: "challenge", body: { challenge: "abc" } },
  { kind: "welcome", body: { session: "s", creditEvents: 2_000, heartbeatMs: 5_000, reconnectSpreadMs: 500 } },
  { kind: "marks", body: { epoch: "mi4k2x", critical: 0, high: 12, normal: 2 ** 40, low: 3 } },
  { kind: "pending", body: { fingerprint: "3f9a-1c0b" } },
  { kind: "refused", body: { reason: "revoked" } },
  { kind: "ack", body: { lane: "low", epoch: "mi4k2x", sequence: 2 ** 40, creditEvents: 500 } },
  { kind: "rewind", body: {} },
  {
    kind: "execute",
    body: {
      execution,
      action: "file.restore",
      args: { path: "/etc/motd" },
      priority: "low",
      expiresInMs: 3_600_000,
      behindMs: -5_000,
      again: true,
    },
  },
  {
    kind: "lease",
    body: {
      execution,
      inMs: 3_600_000,
      priority: "high",
      steps: [
        { action: "firewall.unblock", args: { address: "192.0.2.7" } },
        { action: "file.restore", args: { path: "/etc/motd" } },
      ],
    },
  },
  { kind: "cancel", body: { execution, action: "file.restore" } },
  { kind: "beacons", body: { version: "1", part: 0, parts: 1, definitions: [{ name: "etc", type: "file", paths: ["/etc"] }] } },
  { kind: "files", body: { version: "1", part: 1, parts: 2, files: [managed] } },
  { kind: "blob", body: { digest, offset: 0, total: 3, bytes: Buffer.from([1, 2, 3]) } },
  { kind: "pong", body: {} },
];
