/**
 * What travels between agent and master: one MessagePack array a frame, `[version, kind, session, counter, body]`, size-capped and
 * checked at the door. Decoding never throws and never trusts: a frame is a typed message or a reason why it is none.
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { isActionName } from "./action.ts";
import { isOwnActionName } from "./own-action-name.ts";
import { NeedfireError } from "./errors.ts";
import { severities, type Severity } from "./event.ts";
import { frameFault } from "./frame-scan.ts";
import { agentIdPattern, digestPattern, epochPattern, executionIdPattern } from "./ids.ts";
import { managedFileSchema } from "./managed-file.ts";
import { pack, unpack } from "./pack.ts";
import { type Checked, problemsText, untypedDoorChecker } from "./schema.ts";

export const wireVersion = 1;
/** The largest frame that either side takes, in bytes. */
export const frameBytesMax = 1_048_576;
/** The same on the wire, where CURVE wraps a frame into a command that is 33 bytes longer; libzmq cuts a peer off that announces more. */
export const wireBytesMax = frameBytesMax + 33;
/** Events to a batch. */
export const batchEventsMax = 500;
/** Events of one agent that may be on their way unacknowledged take at most this many bytes, or are one. */
export const inFlightBytesMax = 2_097_152;
/** Bytes of content to a `blob` message. */
export const blobChunkBytes = 262_144;
/** Steps to a lease. */
const leaseStepsMax = 100;
/** Parts to a set of definitions. */
export const partsMax = 1_000;
/** The sets of definitions that an agent is sent. */
export const definitionSets = ["files", "beacons"] as const;
export type DefinitionSet = (typeof definitionSets)[number];

const token = { type: "string", pattern: "^[A-Za-z0-9_-]{1,100}$" } as const;
const agentId = { type: "string", pattern: agentIdPattern } as const;
const epoch = { type: "string", pattern: epochPattern } as const;
const digest = { type: "string", pattern: digestPattern } as const;
const offset = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER } as const;
const execution = { type: "string", pattern: executionIdPattern } as const;
const text = { type: "string", maxLength: 8192 } as const;
const strings = { type: "object", maxProperties: 200, additionalProperties: { type: "string", maxLength: 1_000 } } as const;

/** From 0 on. */
const part = { type: "integer", minimum: 0, maximum: partsMax - 1 } as const;
const parts = { type: "integer", minimum: 1, maximum: partsMax } as const;

function body<const P extends Record<string, JSONSchema>, const R extends (keyof P & string)[]>(properties: P, required: R) {
  return { type: "object", properties, required, additionalProperties: false } as const;
}

/** From agent to master. Until `hello` is accepted no other verb is heard. */
const fromAgent = {
  /** The first word of a connection: asks for a challenge. */
  knock: body({}, []),
  /** Who I am, and the proof: an HMAC under the secret that my key and the master's share (base64url). */
  hello: body({ agent: agentId, publicKey: { type: "string", minLength: 40, maxLength: 40 }, proof: token, epoch, token }, [
    "agent",
    "publicKey",
    "proof",
    "epoch",
  ]),
  /** After `marks`. What the host is, what it is called, which definitions it already has, and how many events wait in its spool. */
  facts: body({ facts: { type: "object", maxProperties: 200 }, labels: strings, beacons: text, files: text, spooled: offset }, [
    "facts",
    "labels",
    "beacons",
    "files",
  ]),
  /** All parts of a set of definitions are here. */
  taken: body({ set: { enum: definitionSets }, version: text }, ["set", "version"]),
  /** Its beacons have been told to say what is wrong, as `restate` asked. */
  restated: body({ id: text }, ["id"]),
  /**
   * A batch of one lane of the spool, in its order. `lane` comes first, so that it can be read without the rest. `after`: the number of
   * the event that came before it in this lane, 0 for none: when that is more than the master has, something in between is missing. `resumed`:
   * the lane's first batch of a session, or after a `rewind`: it goes on from what was acknowledged, so what is missing will not come.
   * Events (wire-event.ts) are checked one by one: a bad one must not hold up the rest.
   */
  events: body(
    {
      lane: { enum: severities },
      epoch,
      after: offset,
      resumed: { type: "boolean" },
      events: { type: "array", minItems: 1, maxItems: batchEventsMax },
    },
    ["lane", "epoch", "after", "events"],
  ),
  /** An `execute` has been written to the agent's execution journal (P3). */
  accepted: body({ execution }, ["execution"]),
  /** A `lease` with this time is on the agent's disk, or was begun there before; or why it is not taken. */
  leased: body({ execution, inMs: offset, refused: text }, ["execution", "inMs"]),
  blobGet: body({ digest, offset }, ["digest", "offset"]),
  ping: body({}, []),
  /** The agent stops: its session is over, and not because something broke. */
  bye: body({}, []),
} as const;

/** From master to agent. */
export const masterMessageSchemas = {
  challenge: body({ challenge: token }, ["challenge"]),
  /**
   * The session's secret, which every later frame of the agent carries; how many events may be on their way; how often to ping; over what
   * time agents spread their return when the master goes away.
   */
  welcome: body(
    {
      session: token,
      creditEvents: { type: "integer", minimum: 1 },
      heartbeatMs: { type: "integer", minimum: 10 },
      reconnectSpreadMs: { type: "integer", minimum: 0, maximum: 60_000 },
    },
    ["session", "creditEvents", "heartbeatMs"],
  ),
  /**
   * Follows `welcome`, and goes before everything else: the last number that the master has of each lane of the hello's epoch. When it has
   * numbers that the agent never sent, the agent's spool was put back to an earlier state, and a new numbering must begin (P1).
   */
  marks: body({ epoch, critical: offset, high: offset, normal: offset, low: offset }, ["epoch", ...severities]),
  /** The key waits for `needfire keys accept`. */
  pending: body({ fingerprint: text }, ["fingerprint"]),
  refused: body({ reason: text }, ["reason"]),
  /** Everything of the epoch's lane up to `sequence` is committed (P1); `creditEvents` from now on. */
  ack: body({ lane: { enum: severities }, epoch, sequence: offset, creditEvents: { type: "integer", minimum: 1 } }, [
    "lane",
    "epoch",
    "sequence",
    "creditEvents",
  ]),
  /** Something that was sent could not be taken: send everything that is not acknowledged anew. */
  rewind: body({}, []),
  /**
   * `priority`: the lane in which its result comes back (P8). `expiresInMs`: how long from now on it may still be begun. `behindMs`: where it stands among
   * what waits there and is not critical, as if it had come so much later (shared/rank.ts). `again`: it was sent
   * before the agent began its present numbering; if the agent has no record of it, the record is lost, and it must not be begun (P3).
   * `secrets`: values that are in the arguments, and in nothing that the agent keeps or says. `dryRun`: say what would be done, change nothing.
   */
  execute: body(
    {
      execution,
      action: text,
      args: { type: "object" },
      secrets: { type: "array", items: { type: "string" } },
      priority: { enum: severities },
      expiresInMs: offset,
      behindMs: { type: "integer" },
      again: { type: "boolean" },
      dryRun: { type: "boolean" },
    },
    ["execution", "action", "args", "priority"],
  ),
  /**
   * What the agent is to do by itself, `inMs` from now on, whether or not the master is there then: steps one after the other while they
   * succeed, as commands with ids that follow each other, from `execution` on. A lease that comes again is the same, with its time set anew.
   * Ends with a `cancel` of what would be its next command. An agent that does not know this kind says nothing, and gets commands in their time.
   */
  lease: body(
    {
      execution,
      inMs: offset,
      priority: { enum: severities },
      steps: {
        type: "array",
        minItems: 1,
        maxItems: leaseStepsMax,
        items: body({ action: text, args: { type: "object" } }, ["action", "args"]),
      },
    },
    ["execution", "inMs", "priority", "steps"],
  ),
  /** A command, delivered or not, is not wanted any more: what has not begun must not, what runs is ended. */
  cancel: body({ execution, action: text }, ["execution", "action"]),
  /** Its beacons are to say once more what is not as it should be. The wish has a name, and is made until it is confirmed. */
  restate: body({ id: text }, ["id"]),
  /** Beacon definitions, and managed files, for this agent; `version` names the set, which is whole when all its parts are there. */
  beacons: body({ version: text, part, parts, definitions: { type: "array", maxItems: 10_000, items: { type: "object" } } }, [
    "version",
    "part",
    "parts",
    "definitions",
  ]),
  files: body({ version: text, part, parts, files: { type: "array", maxItems: 100_000, items: managedFileSchema } }, [
    "version",
    "part",
    "parts",
    "files",
  ]),
  /** Bytes of a blob from `offset` on; `total` is its size, or -1 when the master does not have it. `bytes` is binary. */
  blob: body({ digest, offset, total: { type: "integer" }, bytes: {} }, ["digest", "offset", "total", "bytes"]),
  pong: body({}, []),
} as const;

type Messages<T extends Record<string, JSONSchema>> = { [K in keyof T & string]: { kind: K; body: FromSchema<T[K]> } }[keyof T & string];
export type AgentMessage = Messages<typeof fromAgent>;
export type MasterMessage = Messages<typeof masterMessageSchemas>;
export type AgentBody<K extends AgentMessage["kind"]> = Extract<AgentMessage, { kind: K }>["body"];
export type MasterBody<K extends MasterMessage["kind"]> = Extract<MasterMessage, { kind: K }>["body"];

/** `session` and `counter` are empty and 0 before `welcome`, and on everything that the master sends. */
export interface Envelope {
  session: string;
  counter: number;
}

export type Decoded<M> = { ok: true; envelope: Envelope; message: M } | { ok: false; reason: string };

/** Throws `FRAME_TOO_LARGE`: the sender must make its messages fit. */
export function encode(message: AgentMessage | MasterMessage, envelope: Envelope = { session: "", counter: 0 }): Buffer {
  const frame = encodeAgain(message, envelope);
  if (frame.length > frameBytesMax) {
    throw new NeedfireError(
      "FRAME_TOO_LARGE",
      `a ${message.kind} message of ${frame.length} bytes does not fit a frame of ${frameBytesMax}`,
    );
  }
  return frame;
}

/** A frame that is not for sending: one that was taken, changed. */
export function encodeAgain({ kind, body }: AgentMessage | MasterMessage, { session, counter }: Envelope): Buffer {
  return pack([wireVersion, kind, session, counter, body]);
}

type Checkers = Record<string, (value: unknown) => Checked<unknown>>;
const agentCheckers: Checkers = Object.fromEntries(Object.entries(fromAgent).map(([kind, schema]) => [kind, untypedDoorChecker(schema)]));
const masterCheckers: Checkers = Object.fromEntries(
  Object.entries(masterMessageSchemas).map(([kind, schema]) => [kind, untypedDoorChecker(schema)]),
);

export function decodeFromAgent(frame: Uint8Array): Decoded<AgentMessage> {
  return decode<AgentMessage>(frame, agentCheckers);
}

/** A frame that `decodeFromAgent` has taken before, in another thread: what was checked once is not checked again. */
export function decodeAgain(frame: Uint8Array): Decoded<AgentMessage> {
  const [, kind, session, counter, body] = unpack(frame) as [number, AgentMessage["kind"], string, number, never];
  return { ok: true, envelope: { session, counter }, message: { kind, body } };
}

export function decodeFromMaster(frame: Uint8Array): Decoded<MasterMessage> {
  const decoded = decode<MasterMessage>(frame, masterCheckers);
  if (!decoded.ok) return decoded;
  const { message } = decoded;
  const unknown = actionsOf(message).find((action) => !isActionName(action) && !isOwnActionName(action));
  if (unknown !== undefined) return { ok: false, reason: `there is no action "${unknown}"` };
  if (message.kind === "blob" && !(message.body.bytes instanceof Uint8Array)) return { ok: false, reason: "blob: bytes must be binary" };
  return decoded;
}

function actionsOf({ kind, body }: MasterMessage): string[] {
  if (kind === "execute") return [body.action];
  return kind === "lease" ? body.steps.map(({ action }) => action) : [];
}

function decode<M>(frame: Uint8Array, checkers: Checkers): Decoded<M> {
  if (frame.length > frameBytesMax) return { ok: false, reason: `a frame of ${frame.length} bytes is over the limit of ${frameBytesMax}` };
  const fault = frameFault(frame);
  if (fault !== undefined) return { ok: false, reason: `not plain MessagePack: ${fault}` };
  let parts: unknown;
  try {
    parts = unpack(frame);
  } catch (error) {
    return { ok: false, reason: `not MessagePack: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (!Array.isArray(parts) || parts.length !== 5) return { ok: false, reason: "not an array of version, kind, session, counter and body" };
  return checkParts(parts, checkers);
}

/** Whether a batch of events has an envelope and a body as they should be. What is in the list of events is not looked at. */
export function checkBatch(envelope: readonly unknown[], body: unknown): boolean {
  return envelope[1] === "events" && checkParts([...envelope, body], agentCheckers).ok;
}

function checkParts<M>([version, kind, session, counter, value]: readonly unknown[], checkers: Checkers): Decoded<M> {
  // Only a number is repeated: a list would make a reason as long as the frame, and an object may not even become text.
  if (version !== wireVersion)
    return { ok: false, reason: `wire version ${typeof version === "number" ? version : "of no sense"}, this side speaks ${wireVersion}` };
  if (typeof session !== "string" || session.length > 100) return { ok: false, reason: "the session must be a short text" };
  if (typeof counter !== "number" || !Number.isSafeInteger(counter) || counter < 0)
    return { ok: false, reason: "the counter must be a whole number" };
  if (typeof kind !== "string" || !Object.hasOwn(checkers, kind)) return { ok: false, reason: "there is no such kind of message" };
  const checked = checkers[kind]!(value);
  if (!checked.ok) return { ok: false, reason: `${kind}: ${problemsText(checked.problems)}` };
  return { ok: true, envelope: { session, counter }, message: { kind, body: checked.value } as M };
}

export type Glance = { ok: true; kind: string; envelope: Envelope; lane: Severity | undefined } | { ok: false; reason: string };

/**
 * The envelope of an agent's frame, and the lane of a batch of events, without a look at the rest: what the gate needs to decide who goes
 * on with it. Reads a few dozen bytes. Never throws.
 */
export function glance(frame: Uint8Array): Glance {
  const reader = new GlanceReader(frame);
  if (reader.byte() !== 0x95) return { ok: false, reason: "not an array of version, kind, session, counter and body" };
  const version = reader.number();
  if (version !== wireVersion) return { ok: false, reason: `wire version ${String(version)}, this side speaks ${wireVersion}` };
  const kind = reader.text();
  const session = reader.text();
  const counter = reader.number();
  if (kind === undefined || session === undefined || counter === undefined) return { ok: false, reason: "its envelope cannot be read" };
  if (!Object.hasOwn(agentCheckers, kind)) return { ok: false, reason: "there is no such kind of message" };
  if (kind !== "events") return { ok: true, kind, envelope: { session, counter }, lane: undefined };
  if ((reader.byte() ?? 0) >> 4 !== 0x8 || reader.text() !== "lane") return { ok: false, reason: "events: the lane does not come first" };
  const lane = reader.text();
  if (!isSeverity(lane)) return { ok: false, reason: "events: there is no such lane" };
  return { ok: true, kind, envelope: { session, counter }, lane };
}

function isSeverity(value: string | undefined): value is Severity {
  return (severities as readonly (string | undefined)[]).includes(value);
}

/** Short texts and whole numbers from the beginning of a frame; undefined where there is something else. */
class GlanceReader {
  readonly #frame: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(frame: Uint8Array) {
    this.#frame = frame;
    this.#view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  }

  byte(): number | undefined {
    return this.#frame[this.#at++];
  }

  number(): number | undefined {
    const token = this.byte();
    if (token === undefined || token < 0x80) return token;
    const [bytes, read] = numberTokens[token] ?? [];
    if (bytes === undefined || read === undefined || this.#at + bytes > this.#frame.length) return undefined;
    const value = read(this.#view, this.#at);
    this.#at += bytes;
    return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  }

  text(): string | undefined {
    const token = this.byte();
    const length = token === 0xd9 ? this.byte() : token !== undefined && token >= 0xa0 && token < 0xc0 ? token & 0x1f : undefined;
    if (length === undefined || this.#at + length > this.#frame.length) return undefined;
    let text = "";
    for (const end = this.#at + length; this.#at < end; this.#at++) {
      const code = this.#frame[this.#at]!;
      if (code >= 0x80) return undefined; // kinds, secrets and lanes are ASCII
      text += String.fromCharCode(code);
    }
    return text;
  }
}

const numberTokens: Record<number, [bytes: number, read: (view: DataView, at: number) => number]> = {
  0xcb: [8, (view, at) => view.getFloat64(at)],
  0xcc: [1, (view, at) => view.getUint8(at)],
  0xcd: [2, (view, at) => view.getUint16(at)],
  0xce: [4, (view, at) => view.getUint32(at)],
  0xcf: [8, (view, at) => Number(view.getBigUint64(at))],
};
