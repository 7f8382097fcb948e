/**
 * The agent's end of the bus: the one module that owns its socket. Connects, proves who it is, keeps the session alive, and comes back
 * with jittered backoff. Every connection has a fresh secret routing id (P6), so a new socket is made for each.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { errorText } from "@needfire/shared/errors";
import { helloProof, type KeyPair, routingIdBytes, sharedSecret } from "@needfire/shared/identity";
import { type AgentMessage, decodeFromMaster, encode, type MasterBody, type MasterMessage, wireBytesMax } from "@needfire/shared/wire";
import { curveKeyPair, Dealer } from "zeromq";
import { Outbox } from "./outbox.ts";

export type LinkState =
  | { state: "connecting" }
  | { state: "joined"; creditEvents: number }
  | { state: "pending"; fingerprint: string }
  | { state: "refused"; reason: string }
  | { state: "down"; reason: string };

export interface LinkOptions {
  /** `host:port` */
  address: string;
  masterKey: string;
  keys: KeyPair;
  agent: string;
  /** Of the spool's numbering, as it is when it is asked for. */
  epoch(): string;
  token: string | undefined;
  reconnectMinMs: number;
  reconnectMaxMs: number;
  log: Logger;
  onState(state: LinkState): void;
  onMessage(message: MasterMessage): void;
}

/** How long the master may take from the first word to `welcome` or `pending`. */
const greetingMs = 10_000;
/** How long the last word may take to leave when the agent stops. */
const farewellMs = 500;
/** So many heartbeats without a word, and the connection is given up. */
const silentHeartbeats = 3;

type Ended = { reason: string; refused?: boolean };

export class Link {
  readonly #options: LinkOptions;
  readonly #secret: Buffer;
  #connection: Connection | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#secret = sharedSecret(options.keys, options.masterKey);
  }

  /** Hands a message to the present session. False when there is none, or too much waits: the caller keeps what it must not lose. */
  send(message: AgentMessage): boolean {
    return this.#connection?.send(message) ?? false;
  }

  /** Gives the present connection up and makes another. */
  reconnect(reason: string): void {
    this.#connection?.end(reason);
  }

  /** Connects again and again until `signal` says to stop. */
  async run(signal: AbortSignal): Promise<void> {
    const { reconnectMinMs, reconnectMaxMs, onState, log } = this.#options;
    let attempt = 0;
    while (!signal.aborted) {
      onState({ state: "connecting" });
      const connection = new Connection(this.#options, this.#secret);
      this.#connection = connection;
      const ended = await connection.converse(signal);
      this.#connection = undefined;
      if (signal.aborted) break;
      attempt = connection.joined ? 0 : attempt + 1;

      onState(ended.refused === true ? { state: "refused", reason: ended.reason } : { state: "down", reason: ended.reason });
      const waitMs = reconnectWaitMs(
        { attempt, refused: ended.refused === true, spreadMs: connection.reconnectSpreadMs, reconnectMinMs, reconnectMaxMs },
        Math.random,
      );
      log.info({ reason: ended.reason, waitMs: Math.round(waitMs) }, "the link is down");
      await delay(waitMs, undefined, { signal }).catch(() => {});
    }
  }
}

interface Retry {
  /** 0 after a connection that was welcomed. */
  attempt: number;
  refused: boolean;
  /** Over what time the agents of that connection's master spread their return. */
  spreadMs: number;
  reconnectMinMs: number;
  reconnectMaxMs: number;
}

/** Agents that lost their master together do not come back together: jitter on every wait, and the spread before the first attempt. */
export function reconnectWaitMs({ attempt, refused, spreadMs, reconnectMinMs, reconnectMaxMs }: Retry, random: () => number): number {
  const ceiling = refused ? reconnectMaxMs : Math.min(reconnectMaxMs, reconnectMinMs * 2 ** Math.min(attempt, 20));
  const spread = attempt === 0 && !refused ? spreadMs * random() : 0;
  return ceiling * (0.5 + random() / 2) + spread;
}

/** One connection, from the first frame to the last. */
class Connection {
  joined = false;
  /** As the master said; 0 for a connection that it did not welcome. */
  reconnectSpreadMs = 0;
  readonly #options: LinkOptions;
  readonly #secret: Buffer;
  readonly #routingId = freshRoutingId();
  readonly #socket: Dealer;
  readonly #outbox = new Outbox();
  readonly #end = Promise.withResolvers<Ended>();
  #writing = false;
  /** What still comes is not heard: a welcome would begin a heartbeat that nobody ends. */
  #isOver = false;
  #session = "";
  #counter = 0;
  #lastHeard = performance.now();
  #silentMsMax = Infinity;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(options: LinkOptions, secret: Buffer) {
    this.#options = options;
    this.#secret = secret;
    this.#socket = new Dealer({
      routingId: this.#routingId as unknown as string,
      curveServerKey: options.masterKey,
      curvePublicKey: options.keys.publicKey,
      curveSecretKey: options.keys.secretKey,
      // Reconnecting is ours: libzmq would come back under the same routing id, at once and without jitter.
      reconnectInterval: -1,
      linger: 0,
      maxMessageSize: wireBytesMax,
      sendHighWaterMark: 1_000,
    });
  }

  send(message: AgentMessage): boolean {
    if (this.#session === "") return false;
    return this.#write(message);
  }

  /** What still comes by it is not heard. */
  end(reason: string): void {
    this.#session = "";
    this.#end.resolve({ reason });
  }

  async converse(signal: AbortSignal): Promise<Ended> {
    const stop = () => {
      this.#isOver = true;
      this.#end.resolve({ reason: "the agent is stopping" });
    };
    signal.addEventListener("abort", stop);
    this.#watch();
    const greeting = setTimeout(() => this.#end.resolve({ reason: "the master did not answer: is the master's key right?" }), greetingMs);
    try {
      this.#socket.connect(`tcp://${this.#options.address}`);
      this.#write({ kind: "knock", body: {} });
      void this.#read(greeting);
      return await this.#end.promise;
    } catch (error) {
      return { reason: errorText(error) };
    } finally {
      this.#isOver = true;
      signal.removeEventListener("abort", stop);
      clearTimeout(greeting);
      clearInterval(this.#heartbeat);
      if (signal.aborted && this.#session !== "") await this.#farewell();
      this.#session = "";
      if (!this.#socket.closed) this.#socket.close();
    }
  }

  /** Tells the master that this end is meant, and lets what is queued leave. */
  async #farewell(): Promise<void> {
    this.#write({ kind: "bye", body: {} });
    this.#socket.linger = farewellMs;
    const giveUp = AbortSignal.timeout(farewellMs);
    while (this.#writing && !giveUp.aborted) await delay(1);
  }

  #watch(): void {
    const end = (reason: string, refused = false) => this.#end.resolve({ reason, refused });
    const { events } = this.#socket;
    events.on("handshake:error:auth", () => end("the master refused this agent's key (rejected, revoked, or enrolment is closed)", true));
    events.on("handshake:error:protocol", () => end("the master does not speak CURVE, or its key is another one"));
    events.on("handshake:error:other", () => end("the handshake with the master failed"));
    events.on("disconnect", () => end(this.joined ? "the connection was cut" : "the connection was closed during the handshake"));
    events.on("close", () => end(`nobody answers at ${this.#options.address}`));
  }

  async #read(greeting: NodeJS.Timeout): Promise<void> {
    try {
      for await (const [frame] of this.#socket) {
        const silentMs = performance.now() - this.#lastHeard;
        // This process stood still (SIGSTOP, say): the master has given the session up, and what waited here may be long out of date.
        if (silentMs > this.#silentMsMax) return this.#endSilent(silentMs);
        this.#lastHeard = performance.now();
        const decoded = decodeFromMaster(frame!);
        if (this.#isOver) return;
        if (decoded.ok) this.#hear(decoded.message, greeting);
        else this.#options.log.warn({ reason: decoded.reason }, "a frame from the master was dropped");
      }
    } catch (error) {
      this.#end.resolve({ reason: errorText(error) });
    }
  }

  #hear(message: MasterMessage, greeting: NodeJS.Timeout): void {
    switch (message.kind) {
      case "challenge":
        return this.#hello(message.body.challenge);
      case "welcome":
        clearTimeout(greeting);
        return this.#welcome(message.body);
      case "pending":
        clearTimeout(greeting);
        return this.#options.onState({ state: "pending", fingerprint: message.body.fingerprint });
      case "refused":
        return this.#end.resolve({ reason: message.body.reason, refused: true });
      case "pong":
        return;
      default:
        if (this.#session !== "") this.#options.onMessage(message);
    }
  }

  #hello(challenge: string): void {
    // A challenge within a session means that the master does not know it any more: say hello anew, nothing is lost.
    this.#session = "";
    this.#outbox.clear();
    const { agent, keys, token } = this.#options;
    const epoch = this.#options.epoch();
    const claim = { routingId: this.#routingId, challenge: Buffer.from(challenge, "base64url"), agent, publicKey: keys.publicKey };
    const proof = helloProof(this.#secret, claim).toString("base64url");
    this.#write({ kind: "hello", body: { agent, publicKey: keys.publicKey, proof, epoch, ...(token === undefined ? {} : { token }) } });
  }

  #endSilent(silentMs: number): void {
    this.#end.resolve({ reason: `the master has not been heard for ${Math.round(silentMs)} ms` });
  }

  #welcome({ session, creditEvents, heartbeatMs, reconnectSpreadMs = 0 }: MasterBody<"welcome">): void {
    this.#session = session;
    this.reconnectSpreadMs = reconnectSpreadMs;
    this.#silentMsMax = heartbeatMs * silentHeartbeats;
    this.#counter = 0;
    this.joined = true;
    clearInterval(this.#heartbeat);
    this.#heartbeat = setInterval(() => {
      const silentMs = performance.now() - this.#lastHeard;
      if (silentMs > this.#silentMsMax) this.#endSilent(silentMs);
      else this.#write({ kind: "ping", body: {} });
    }, heartbeatMs);
    this.#options.onState({ state: "joined", creditEvents });
  }

  #write(message: AgentMessage): boolean {
    if (!this.#outbox.add(message)) return false;
    if (!this.#writing) void this.#drain();
    return true;
  }

  /** One writer: zeromq.js refuses a second send while one waits. */
  async #drain(): Promise<void> {
    this.#writing = true;
    try {
      for (let message = this.#outbox.take(); message !== undefined; message = this.#outbox.take()) {
        const frame = this.#frame(message);
        if (frame !== undefined) await this.#socket.send(frame);
      }
    } catch (error) {
      this.#end.resolve({ reason: errorText(error) });
    } finally {
      this.#writing = false;
    }
  }

  /** Made when it leaves, not before: the counter rises in the order of sending. */
  #frame(message: AgentMessage): Buffer | undefined {
    const counter = this.#session === "" ? 0 : this.#counter + 1;
    try {
      const frame = encode(message, { session: this.#session, counter });
      this.#counter = counter;
      return frame;
    } catch (error) {
      // Events are cut to fit when they are spooled; what else does not fit would not the next time either.
      this.#options.log.error({ kind: message.kind, error: errorText(error) }, "a message cannot be sent");
      return undefined;
    }
  }
}

/** libzmq keeps ids that begin with a zero byte for itself. */
function freshRoutingId(): Buffer {
  const id = randomBytes(routingIdBytes);
  if (id[0] === 0) id[0] = 1;
  return id;
}

export function generateKeyPair(): KeyPair {
  return curveKeyPair();
}
