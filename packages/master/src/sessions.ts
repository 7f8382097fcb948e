/**
 * The gate of the bus: who is on the other side of each routing id, and which verbs it may use. A routing id is bound to an agent by a
 * proven `hello` (P6); every frame after it must carry the session's secret and a rising counter, so that neither a forged id, nor a
 * replayed frame, nor the routing id of a closed session gets anything done. The first that an agent hears after its welcome is what the
 * journal has of it (P1).
 */
import { randomBytes } from "node:crypto";
import type { Logger } from "pino";
import { errorText } from "@needfire/shared/errors";
import type { Severity } from "@needfire/shared/event";
import { challengeBytes, fingerprint, type KeyPair, proofHolds, sharedSecret } from "@needfire/shared/identity";
import { type AgentBody, type AgentMessage, decodeFromAgent, encode, glance, type MasterMessage } from "@needfire/shared/wire";
import type { Keys } from "./keys.ts";
import type { Link } from "./link.ts";
import { reconnectSpreadMs, silentHeartbeats } from "./presence.ts";
import type { KeyRecord } from "./store/store.ts";

/** A bound connection. `id` is the routing id in hexadecimal. */
export interface Session {
  readonly id: string;
  readonly agent: string;
  readonly publicKey: string;
  /** The agent's numbering of events; a new one when its spool is. */
  readonly epoch: string;
  readonly secret: string;
  counter: number;
  /** By the wall clock, for people. */
  lastHeard: number;
  /** The last frame that `tick` knows of, and how long none has come since, by the monotonic clock. */
  seenCounter: number;
  silentMs: number;
  /** It said that it stops. */
  saidBye: boolean;
}

type Peer =
  | { state: "challenged"; challenge: Buffer }
  | { state: "pending"; agent: string; publicKey: string; epoch: string }
  | { state: "bound"; session: Session };

export interface SessionsOptions {
  keys: Keys;
  own: KeyPair;
  link: () => Pick<Link, "send">;
  heartbeatMs: number;
  /** What an agent may have on its way, in events. */
  creditEvents(): number;
  clock: { now(): number };
  log: Logger;
  /** What a bound session may say, verb by verb. */
  handlers: {
    [K in Exclude<AgentMessage["kind"], "knock" | "hello" | "ping" | "bye" | "events">]: (session: Session, body: AgentBody<K>) => void;
  };
  /** The last number of each lane that the journal has, or is about to have, of an agent's epoch. */
  marks(agent: string, epoch: string): Promise<Record<Severity, number>>;
  /** A batch of events, unread but for its lane. */
  onEvents(session: Session, lane: Severity, frame: Buffer): void;
  onOpen(session: Session): void;
  onClose(session: Session, reason: string): void;
  /** A session took the place of one that was alive, and it is of another numbering. */
  onOtherNumbering(agent: string): void;
}

/** Peers that have knocked and not yet proven anything; the oldest are forgotten first. */
const challengedMax = 20_000;
/** The longest frame that is read of a peer that has not said a good `hello`. */
const strangerFrameBytesMax = 4_096;

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #byAgent = new Map<string, Session>();
  readonly #challenged = new Set<string>();
  /** One waiting connection a key: nothing tells of those that are gone, so a newer one takes the place of an older. */
  readonly #pendingByKey = new Map<string, string>();
  #ticked: number | undefined;
  /** Frames that were dropped at the gate, since the start. */
  dropped = 0;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  of(agent: string): Session | undefined {
    return this.#byAgent.get(agent);
  }

  get count(): number {
    return this.#byAgent.size;
  }

  /** The session behind a routing id. */
  at(routingId: Buffer): Session | undefined {
    const peer = this.#peers.get(routingId.toString("hex"));
    return peer?.state === "bound" ? peer.session : undefined;
  }

  all(): Session[] {
    return [...this.#byAgent.values()];
  }

  /** False when it cannot even be queued. Delivery is never certain: what must arrive is persisted and sent again. */
  send(session: Session, message: MasterMessage, urgent = false): boolean {
    return this.#options.link().send(addressOf(session.id), encode(message), urgent);
  }

  /** The one way in for every frame. Never throws. */
  hear(routingId: Buffer, frame: Buffer): void {
    const id = routingId.toString("hex");
    const peer = this.#peers.get(id);
    // Who has not proven anything gets no long frame read.
    if (peer?.state !== "bound" && frame.length > strangerFrameBytesMax) return this.#drop(id, `${frame.length} bytes before hello`);
    const seen = glance(frame);
    if (!seen.ok) return this.#drop(id, seen.reason);
    const { kind, envelope, lane } = seen;
    if (kind === "knock" || kind === "hello") return this.#greeted(id, peer, frame);
    if (peer?.state !== "bound" || !sameSecret(peer.session, envelope.session)) {
      this.#drop(id, `${kind} before hello`);
      // A bound session is not disturbed by somebody who guessed its routing id; an agent whom a restarted master forgot is helped.
      return peer === undefined ? this.#challenge(id) : undefined;
    }
    const { session } = peer;
    if (envelope.counter <= session.counter) return this.#drop(id, `a replay: frame ${envelope.counter} after ${session.counter}`);
    // Events are read on the engine's thread.
    const decoded = lane === undefined ? decodeFromAgent(frame) : undefined;
    if (decoded?.ok === false) return this.#drop(id, decoded.reason);
    session.counter = envelope.counter;
    session.lastHeard = this.#options.clock.now();
    if (decoded !== undefined) this.#dispatch(session, decoded.message);
    else this.#options.onEvents(session, lane!, frame);
  }

  #greeted(id: string, peer: Peer | undefined, frame: Buffer): void {
    const decoded = decodeFromAgent(frame);
    if (!decoded.ok) return this.#drop(id, decoded.reason);
    if (decoded.message.kind === "knock") return this.#challenge(id);
    if (decoded.message.kind === "hello") return this.#hello(id, peer, decoded.message.body);
  }

  /** The peer behind a routing id is gone. */
  gone(routingId: Buffer): void {
    const id = routingId.toString("hex");
    const peer = this.#peers.get(id);
    if (peer?.state === "bound") this.close(peer.session, "the connection is gone");
    else this.#forget(id);
  }

  /** Unbinds: from now on the connection is nobody's. */
  close(session: Session, reason: string): void {
    if (!this.#forget(session.id)) return;
    if (this.#byAgent.get(session.agent) === session) this.#byAgent.delete(session.agent);
    this.#options.log.info({ agent: session.agent, reason }, "a session ended");
    this.#options.onClose(session, reason);
  }

  /** A key's state changed: who waited is let in, who may no longer speak is cut off at once. */
  keyChanged(key: KeyRecord): void {
    // A copy: binding puts a peer in anew, and a Map would come by it again and again.
    for (const [id, peer] of [...this.#peers]) {
      if (peer.state === "challenged") continue;
      const { publicKey } = peer.state === "bound" ? peer.session : peer;
      if (publicKey !== key.publicKey) continue;
      if (key.state === "accepted") {
        const { epoch } = peer.state === "bound" ? peer.session : peer;
        this.#bind(id, { agent: key.id, publicKey: key.publicKey, epoch });
        continue;
      }
      this.#say(id, { kind: "refused", body: { reason: `this key was ${key.state}` } });
      if (peer.state === "bound") this.close(peer.session, `its key was ${key.state}`);
      else this.#forget(id);
    }
  }

  /**
   * Gives up sessions that have been silent for too long. `now`: by the monotonic clock; to be called at least twice in a heartbeat. A
   * master that stood still itself has heard nobody: of that time one heartbeat counts at most.
   */
  tick(now: number): void {
    const { heartbeatMs } = this.#options;
    const passedMs = Math.min(now - (this.#ticked ?? now), heartbeatMs);
    this.#ticked = now;
    for (const session of this.#byAgent.values()) {
      session.silentMs = session.counter === session.seenCounter ? session.silentMs + passedMs : 0;
      session.seenCounter = session.counter;
      if (session.silentMs > heartbeatMs * silentHeartbeats) this.close(session, `not heard for ${Math.round(session.silentMs)} ms`);
    }
  }

  #challenge(id: string): void {
    const peer = this.#peers.get(id);
    if (peer?.state === "bound") this.close(peer.session, "the peer knocked anew");
    const challenge = randomBytes(challengeBytes);
    this.#forget(id);
    this.#peers.set(id, { state: "challenged", challenge });
    this.#challenged.add(id);
    if (this.#challenged.size > challengedMax) this.#forget(this.#challenged.values().next().value!);
    this.#say(id, { kind: "challenge", body: { challenge: challenge.toString("base64url") } });
  }

  #hello(id: string, peer: Peer | undefined, hello: AgentBody<"hello">): void {
    if (peer?.state !== "challenged") return this.#drop(id, "hello without a challenge");
    // A challenge serves once, whatever comes of it.
    this.#forget(id);
    const { challenge } = peer;
    const { agent, publicKey, token, epoch } = hello;
    if (!this.#proven({ routingId: addressOf(id), challenge, agent, publicKey }, hello.proof)) {
      this.#drop(id, `hello as "${agent}" with a proof that does not hold`);
      return this.#say(id, { kind: "refused", body: { reason: "the proof does not hold" } });
    }
    this.#options.keys.admit({ agent, publicKey, token }).then(
      (admission) => {
        if (admission.kind === "accepted") return this.#bind(id, { agent, publicKey, epoch });
        if (admission.kind === "refused") return this.#say(id, { kind: "refused", body: { reason: admission.reason } });
        this.#wait(id, { state: "pending", agent, publicKey, epoch });
        this.#say(id, { kind: "pending", body: { fingerprint: fingerprint(publicKey) } });
      },
      (error: unknown) => this.#options.log.error({ agent, error: errorText(error) }, "an agent could not be admitted"),
    );
  }

  #wait(id: string, peer: Extract<Peer, { state: "pending" }>): void {
    const before = this.#pendingByKey.get(peer.publicKey);
    if (before !== undefined && before !== id) this.#forget(before);
    // It may have knocked anew meanwhile.
    this.#forget(id);
    this.#pendingByKey.set(peer.publicKey, id);
    this.#peers.set(id, peer);
  }

  #proven(claim: { routingId: Buffer; challenge: Buffer; agent: string; publicKey: string }, proof: string): boolean {
    try {
      return proofHolds(sharedSecret(this.#options.own, claim.publicKey), claim, Buffer.from(proof, "base64url"));
    } catch {
      return false; // not a key at all
    }
  }

  #bind(id: string, { agent, publicKey, epoch }: Pick<Session, "agent" | "publicKey" | "epoch">): void {
    // Authority is checked when it is used: the key may have been revoked while its admission was being written.
    const key = this.#options.keys.get(publicKey);
    if (key?.state !== "accepted") return;
    const before = this.#byAgent.get(agent);
    if (before !== undefined) {
      this.close(before, "the agent opened another session");
      if (before.epoch !== epoch) this.#options.onOtherNumbering(agent);
    }
    const { clock, creditEvents, heartbeatMs } = this.#options;
    const secret = randomBytes(16).toString("base64url");
    this.#forget(id);
    const silence = { counter: 0, lastHeard: clock.now(), seenCounter: 0, silentMs: 0, saidBye: false };
    const session: Session = { id, agent, publicKey: key.publicKey, epoch, secret, ...silence };
    this.#peers.set(id, { state: "bound", session });
    this.#byAgent.set(agent, session);
    this.#options.log.info({ agent }, "a session began");
    const spread = reconnectSpreadMs(this.#byAgent.size);
    this.#say(id, {
      kind: "welcome",
      body: { session: secret, creditEvents: creditEvents(), heartbeatMs, reconnectSpreadMs: spread },
    });
    this.#options.onOpen(session);
    void this.#tellMarks(session);
  }

  /** The agent says nothing before it has heard them. */
  async #tellMarks(session: Session): Promise<void> {
    const { agent, epoch } = session;
    const isOpen = () => this.#byAgent.get(agent) === session;
    try {
      const marks = await this.#options.marks(agent, epoch);
      if (isOpen() && !this.send(session, { kind: "marks", body: { epoch, ...marks } })) throw new Error("it takes no more");
    } catch (error) {
      if (isOpen()) this.close(session, `it could not be told what the journal has of it: ${errorText(error)}`);
    }
  }

  #dispatch(session: Session, message: AgentMessage): void {
    const { handlers } = this.#options;
    switch (message.kind) {
      case "ping":
        return this.#say(session.id, { kind: "pong", body: {} });
      case "bye":
        session.saidBye = true;
        return this.close(session, "the agent stopped");
      case "facts":
        return handlers.facts(session, message.body);
      case "accepted":
        return handlers.accepted(session, message.body);
      case "leased":
        return handlers.leased(session, message.body);
      case "taken":
        return handlers.taken(session, message.body);
      case "restated":
        return handlers.restated(session, message.body);
      case "blobGet":
        return handlers.blobGet(session, message.body);
      case "knock":
      case "hello":
      case "events":
        return; // heard before
    }
  }

  #say(id: string, message: MasterMessage): void {
    this.#options.link().send(addressOf(id), encode(message));
  }

  #forget(id: string): boolean {
    const peer = this.#peers.get(id);
    this.#challenged.delete(id);
    if (peer?.state === "pending") this.#pendingByKey.delete(peer.publicKey);
    return this.#peers.delete(id);
  }

  #drop(id: string, reason: string): void {
    this.dropped++;
    this.#options.log.debug({ peer: id, reason }, "a frame was dropped");
  }
}

/** The routing id. Ten thousand buffers take more room than it takes time to make one. */
function addressOf(id: string): Buffer {
  return Buffer.from(id, "hex");
}

function sameSecret(session: Session, secret: string): boolean {
  return session.secret === secret;
}
