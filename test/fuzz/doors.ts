/**
 * Every door through which bytes or values of the other side come in, and an honest example of everything that comes through it. The one
 * place to change when the wire does.
 */
import type { EventDraft } from "@needfire/shared/event";
import { type AgentMessage, decodeFromAgent, decodeFromMaster, encode, glance, type MasterMessage } from "@needfire/shared/wire";
import { checkWireEvent, eventData, wireEvent } from "@needfire/shared/wire-event";

/** What a door said: taken as this kind, or refused for this reason. */
export type Verdict = { taken: string } | { refused: string };

/** `judge` must not throw, whatever it is given. `kinds`: all that it may take. */
export interface Door {
  name: string;
  kinds: string[];
  judge(frame: Buffer): Verdict;
}

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
    body: { facts: { os: "linux", cores: 4, deep: { list: [1, { a: "b" }] } }, labels: { role: "web" }, beacons: "", files: "v1" },
  },
  {
    kind: "events",
    body: { lane: "high", epoch: "mi4k2x", after: 3, resumed: true, events: [wireEvent(7, draft), wireEvent(8, result)] },
  },
  { kind: "taken", body: { set: "files", version: "v1" } },
  { kind: "accepted", body: { execution } },
  { kind: "blobGet", body: { digest, offset: 262_144 } },
  { kind: "ping", body: {} },
  { kind: "bye", body: {} },
];

const managed = { path: "/etc/motd", digest, size: 5, mode: 0o644, owner: "root", group: "root", secret: false };
const fromMaster: MasterMessage[] = [
  { kind: "challenge", body: { challenge: "abc" } },
  { kind: "welcome", body: { session: "s", creditEvents: 2_000, heartbeatMs: 5_000, reconnectSpreadMs: 500 } },
  { kind: "pending", body: { fingerprint: "3f9a-1c0b" } },
  { kind: "refused", body: { reason: "revoked" } },
  { kind: "ack", body: { lane: "low", epoch: "mi4k2x", sequence: 2 ** 40, creditEvents: 500 } },
  { kind: "rewind", body: {} },
  { kind: "execute", body: { execution, action: "file.restore", args: { path: "/etc/motd" }, priority: "high", expiresInMs: 9 } },
  { kind: "cancel", body: { execution, action: "file.restore" } },
  { kind: "beacons", body: { version: "1", part: 0, parts: 1, definitions: [{ name: "etc", type: "file", paths: ["/etc"] }] } },
  { kind: "files", body: { version: "1", part: 1, parts: 2, files: [managed] } },
  { kind: "blob", body: { digest, offset: 0, total: 3, bytes: Buffer.from([1, 2, 3]) } },
  { kind: "pong", body: {} },
];

const envelope = { session: "c2VjcmV0LXNlc3Npb24", counter: 42 };

/** Honest frames of every kind, of both directions. */
export function examples(): Buffer[] {
  return [...fromAgent, ...fromMaster].map((message) => encode(message, envelope));
}

export const doors: Door[] = [
  {
    name: "from agent",
    kinds: fromAgent.map(({ kind }) => kind),
    judge(frame) {
      const decoded = decodeFromAgent(frame);
      const seen = glance(frame);
      if (!decoded.ok) return { refused: decoded.reason };
      // The gate acts on what it sees at a glance.
      if (seen.ok && (seen.kind !== decoded.message.kind || seen.envelope.counter !== decoded.envelope.counter))
        throw new Error(`a ${decoded.message.kind} looks like a ${seen.kind} at a glance`);
      const { kind, body } = decoded.message;
      // Each event of a batch has a door of its own.
      if (kind === "events") for (const each of body.events) judgeEvent(each);
      mustBeTakenAgain(decoded, decodeFromAgent(encode(decoded.message, decoded.envelope)));
      return { taken: kind };
    },
  },
  {
    name: "from master",
    kinds: fromMaster.map(({ kind }) => kind),
    judge(frame) {
      const decoded = decodeFromMaster(frame);
      if (!decoded.ok) return { refused: decoded.reason };
      mustBeTakenAgain(decoded, decodeFromMaster(encode(decoded.message, decoded.envelope)));
      return { taken: decoded.message.kind };
    },
  },
];

function judgeEvent(value: unknown): void {
  const checked = checkWireEvent(value);
  if (!checked.ok) return;
  const data = eventData(checked.event[7]);
  if (typeof data !== "object" || data === null || Array.isArray(data)) throw new Error("an event was taken whose data is no map");
  // Whatever is taken can be shown.
  JSON.stringify(data);
}

/** What was taken fits the schema: its own encoding is taken as the same kind. */
function mustBeTakenAgain(
  first: { message: { kind: string } },
  again: { ok: true; message: { kind: string } } | { ok: false; reason: string },
): void {
  if (!again.ok) throw new Error(`a ${first.message.kind} was taken, and refused when it was encoded again: ${again.reason}`);
  if (again.message.kind !== first.message.kind) throw new Error(`a ${first.message.kind} became a ${again.message.kind}`);
}
