/**
 * What travels between agent and master: one MessagePack array a frame, `[version, kind, session, counter, body]`, size-capped and
 * checked at the door. Decoding never throws and never trusts: a frame is a typed message or a reason why it is none.
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { Packr } from "msgpackr";
import { isActionName } from "./action.ts";
import { NeedfireError } from "./errors.ts";
import { agentEventSchema } from "./event.ts";
import { frameFault } from "./frame-scan.ts";
import { agentIdPattern, digestPattern, epochPattern, executionIdPattern } from "./ids.ts";
import { managedFileSchema } from "./managed-file.ts";
import { type Checked, doorChecker, problemsText, untypedDoorChecker } from "./schema.ts";

export const wireVersion = 1;
/** The largest frame that either side takes, in bytes. */
export const frameBytesMax = 1_048_576;
/** The same on the wire, where CURVE wraps a frame into a command that is 33 bytes longer; libzmq cuts a peer off that announces more. */
export const wireBytesMax = frameBytesMax + 33;
/** Events to a batch. */
export const batchEventsMax = 500;
/** Bytes of content to a `blob` message. */
export const blobChunkBytes = 262_144;

const token = { type: "string", pattern: "^[A-Za-z0-9_-]{1,100}$" } as const;
const agentId = { type: "string", pattern: agentIdPattern } as const;
const epoch = { type: "string", pattern: epochPattern } as const;
const digest = { type: "string", pattern: digestPattern } as const;
const offset = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER } as const;
const execution = { type: "string", pattern: executionIdPattern } as const;
const text = { type: "string", maxLength: 8192 } as const;
const strings = { type: "object", maxProperties: 200, additionalProperties: { type: "string", maxLength: 1_000 } } as const;

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
  /** What the host is, what it is called, and which definitions it already has. */
  facts: body({ facts: { type: "object", maxProperties: 200 }, labels: strings, beacons: text, files: text }, [
    "facts",
    "labels",
    "beacons",
    "files",
  ]),
  /** A batch in the spool's order. Events are checked one by one: a bad one must not hold up the rest. */
  events: body({ epoch, events: { type: "array", minItems: 1, maxItems: batchEventsMax } }, ["epoch", "events"]),
  /** An `execute` has been written to the agent's execution journal (P3). */
  accepted: body({ execution }, ["execution"]),
  blobGet: body({ digest, offset }, ["digest", "offset"]),
  ping: body({}, []),
  /** The agent stops: its session is over, and not because something broke. */
  bye: body({}, []),
} as const;

/** From master to agent. */
const fromMaster = {
  challenge: body({ challenge: token }, ["challenge"]),
  /** The session's secret, which every later frame of the agent carries; how many events may be on their way; how often to ping. */
  welcome: body({ session: token, creditEvents: { type: "integer", minimum: 1 }, heartbeatMs: { type: "integer", minimum: 10 } }, [
    "session",
    "creditEvents",
    "heartbeatMs",
  ]),
  /** The key waits for `needfire keys accept`. */
  pending: body({ fingerprint: text }, ["fingerprint"]),
  refused: body({ reason: text }, ["reason"]),
  /** Everything of the epoch up to `sequence` is committed (P1). */
  ack: body({ epoch, sequence: offset }, ["epoch", "sequence"]),
  execute: body({ execution, action: text, args: { type: "object" } }, ["execution", "action", "args"]),
  /** All beacon definitions, and all managed files, for this agent; `version` names the set. */
  beacons: body({ version: text, definitions: { type: "array", maxItems: 10_000, items: { type: "object" } } }, ["version", "definitions"]),
  files: body({ version: text, files: { type: "array", maxItems: 100_000, items: managedFileSchema } }, ["version", "files"]),
  /** Bytes of a blob from `offset` on; `total` is its size, or -1 when the master does not have it. `bytes` is binary. */
  blob: body({ digest, offset, total: { type: "integer" }, bytes: {} }, ["digest", "offset", "total", "bytes"]),
  pong: body({}, []),
} as const;

type Messages<T extends Record<string, JSONSchema>> = { [K in keyof T & string]: { kind: K; body: FromSchema<T[K]> } }[keyof T & string];
export type AgentMessage = Messages<typeof fromAgent>;
export type MasterMessage = Messages<typeof fromMaster>;
export type AgentBody<K extends AgentMessage["kind"]> = Extract<AgentMessage, { kind: K }>["body"];
export type MasterBody<K extends MasterMessage["kind"]> = Extract<MasterMessage, { kind: K }>["body"];

/** `session` and `counter` are empty and 0 before `welcome`, and on everything that the master sends. */
export interface Envelope {
  session: string;
  counter: number;
}

export type Decoded<M> = { ok: true; envelope: Envelope; message: M } | { ok: false; reason: string };

// A key without a value is left out: MessagePack could only say `undefined` with an extension, and frames have none (frame-scan.ts).
// The library's types do not know `skipValues`.
const packing = { useRecords: false, moreTypes: false, mapsAsObjects: true, int64AsType: "number", skipValues: [undefined] } as const;
const packr = new Packr(packing);

/** Throws `FRAME_TOO_LARGE`: the sender must make its messages fit. */
export function encode(message: AgentMessage | MasterMessage, envelope: Envelope = { session: "", counter: 0 }): Buffer {
  const frame = packr.pack([wireVersion, message.kind, envelope.session, envelope.counter, message.body]);
  if (frame.length > frameBytesMax) {
    throw new NeedfireError(
      "FRAME_TOO_LARGE",
      `a ${message.kind} message of ${frame.length} bytes does not fit a frame of ${frameBytesMax}`,
    );
  }
  // msgpackr hands out slices of a buffer that it writes on into; libzmq keeps what it is given, so it gets a copy of its own.
  return Buffer.from(frame);
}

type Checkers = Record<string, (value: unknown) => Checked<unknown>>;
const agentCheckers: Checkers = Object.fromEntries(Object.entries(fromAgent).map(([kind, schema]) => [kind, untypedDoorChecker(schema)]));
const masterCheckers: Checkers = Object.fromEntries(Object.entries(fromMaster).map(([kind, schema]) => [kind, untypedDoorChecker(schema)]));

export function decodeFromAgent(frame: Uint8Array): Decoded<AgentMessage> {
  return decode<AgentMessage>(frame, agentCheckers);
}

export function decodeFromMaster(frame: Uint8Array): Decoded<MasterMessage> {
  const decoded = decode<MasterMessage>(frame, masterCheckers);
  if (!decoded.ok) return decoded;
  const { message } = decoded;
  if (message.kind === "execute" && !isActionName(message.body.action))
    return { ok: false, reason: `there is no action "${message.body.action}"` };
  if (message.kind === "blob" && !(message.body.bytes instanceof Uint8Array)) return { ok: false, reason: "blob: bytes must be binary" };
  return decoded;
}

function decode<M>(frame: Uint8Array, checkers: Checkers): Decoded<M> {
  if (frame.length > frameBytesMax) return { ok: false, reason: `a frame of ${frame.length} bytes is over the limit of ${frameBytesMax}` };
  const fault = frameFault(frame);
  if (fault !== undefined) return { ok: false, reason: `not plain MessagePack: ${fault}` };
  let parts: unknown;
  try {
    parts = packr.unpack(frame);
  } catch (error) {
    return { ok: false, reason: `not MessagePack: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (!Array.isArray(parts) || parts.length !== 5) return { ok: false, reason: "not an array of version, kind, session, counter and body" };
  const [version, kind, session, counter, value] = parts as unknown[];
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

const checkAgentEvent = doorChecker(agentEventSchema);
/** Checks one event of a batch. */
export function checkEvent(value: unknown): ReturnType<typeof checkAgentEvent> {
  return checkAgentEvent(value);
}
