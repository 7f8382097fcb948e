/**
 * A peer on the bus that does what it is told, honest or not: for tests of the gate. Speaks frames directly, without the agent.
 */
import { randomBytes } from "node:crypto";
import type { EventDraft, Severity } from "@needfire/shared/event";
import { helloProof, type KeyPair, sharedSecret } from "@needfire/shared/identity";
import { type AgentMessage, decodeFromMaster, encode, type MasterMessage } from "@needfire/shared/wire";
import { type WireEvent, wireEvent } from "@needfire/shared/wire-event";
import { curveKeyPair, Dealer } from "zeromq";

export interface PeerOptions {
  address: string;
  masterKey: string;
  keys?: KeyPair;
  routingId?: Buffer;
  /** Its numbering of events, as `hello` names it. */
  epoch?: string;
}

export class BusPeer {
  readonly keys: KeyPair;
  readonly routingId: Buffer;
  readonly socket: Dealer;
  /** Everything that the master said, in order. */
  readonly heard: MasterMessage[] = [];
  /** Every frame that this peer sent, in order. */
  readonly sent: Buffer[] = [];
  session = "";
  counter = 0;
  refusedByZap = false;
  readonly #masterKey: string;
  readonly #epoch: string;
  #wake = Promise.withResolvers<void>();

  constructor({ address, masterKey, keys = curveKeyPair(), routingId = freshRoutingId(), epoch = "e1" }: PeerOptions) {
    this.keys = keys;
    this.routingId = routingId;
    this.#masterKey = masterKey;
    this.#epoch = epoch;
    this.socket = new Dealer({
      routingId: routingId as unknown as string,
      curveServerKey: masterKey,
      curvePublicKey: keys.publicKey,
      curveSecretKey: keys.secretKey,
      reconnectInterval: -1,
      linger: 0,
    });
    this.socket.events.on("handshake:error:auth", () => {
      this.refusedByZap = true;
      this.#wake.resolve();
    });
    this.socket.connect(`tcp://${address}`);
    void this.#read();
  }

  async send(
    message: AgentMessage,
    envelope = { session: this.session, counter: this.session === "" ? 0 : ++this.counter },
  ): Promise<void> {
    await this.sendRaw(encode(message, envelope));
  }

  async sendRaw(frame: Buffer): Promise<void> {
    this.sent.push(frame);
    await this.socket.send(frame);
  }

  /** The next message of a kind, or undefined when none comes within `waitMs`. */
  async expect<K extends MasterMessage["kind"]>(kind: K, waitMs = 5_000): Promise<Extract<MasterMessage, { kind: K }> | undefined> {
    const giveUp = performance.now() + waitMs;
    for (;;) {
      const at = this.heard.findIndex((message) => message.kind === kind);
      if (at >= 0) return this.heard.splice(at, 1)[0] as Extract<MasterMessage, { kind: K }>;
      const left = giveUp - performance.now();
      if (left <= 0) return undefined;
      this.#wake = Promise.withResolvers();
      const timer = setTimeout(() => this.#wake.resolve(), left);
      await this.#wake.promise;
      clearTimeout(timer);
    }
  }

  async challenge(): Promise<Buffer> {
    await this.send({ kind: "knock", body: {} }, { session: "", counter: 0 });
    const message = await this.expect("challenge");
    if (message === undefined) throw new Error("the master gave no challenge");
    return Buffer.from(message.body.challenge, "base64url");
  }

  /** A `hello` as any agent, with any key in it; proven with this peer's own secret key. */
  helloFor(agent: string, challenge: Buffer, claim: { publicKey?: string; token?: string } = {}): AgentMessage {
    const publicKey = claim.publicKey ?? this.keys.publicKey;
    const proof = helloProof(sharedSecret(this.keys, this.#masterKey), { routingId: this.routingId, challenge, agent, publicKey });
    return {
      kind: "hello",
      body: {
        agent,
        publicKey,
        proof: proof.toString("base64url"),
        epoch: this.#epoch,
        ...(claim.token === undefined ? {} : { token: claim.token }),
      },
    };
  }

  /** The honest way in. Resolves with what the master answered. */
  async join(agent: string, token?: string): Promise<"welcome" | "pending" | "refused" | "zap"> {
    const challenge = await Promise.race([this.challenge(), this.#refused()]);
    if (challenge === undefined) return "zap";
    await this.send(this.helloFor(agent, challenge, token === undefined ? {} : { token }), { session: "", counter: 0 });
    const answers = ["welcome", "pending", "refused"] as const;
    for (;;) {
      const answer = this.heard.find((message) => (answers as readonly string[]).includes(message.kind));
      if (answer?.kind === "welcome") this.session = answer.body.session;
      if (answer !== undefined) return answer.kind as (typeof answers)[number];
      this.#wake = Promise.withResolvers();
      await this.#wake.promise;
    }
  }

  close(): void {
    if (!this.socket.closed) this.socket.close();
  }

  async #refused(): Promise<undefined> {
    while (!this.refusedByZap && !this.socket.closed) await new Promise((done) => setTimeout(done, 10));
    return undefined;
  }

  async #read(): Promise<void> {
    for await (const [frame] of this.socket) {
      const decoded = decodeFromMaster(frame!);
      if (decoded.ok) this.heard.push(decoded.message);
      this.#wake.resolve();
    }
  }
}

/** A batch of events as an agent sends it; `events` may be anything. */
export function eventsMessage(
  events: unknown[],
  { lane = "low" as Severity, epoch = "e1", after = 0, resumed = false } = {},
): Extract<AgentMessage, { kind: "events" }> {
  return { kind: "events", body: { lane, epoch, after, ...(resumed ? { resumed } : {}), events } };
}

/** A plain event with a number. */
export function plainEvent(sequence: number, given: Partial<EventDraft> = {}): WireEvent {
  return wireEvent(sequence, { type: "x.y", time: 1, severity: "low", data: {}, ...given });
}

export function freshRoutingId(): Buffer {
  const id = randomBytes(16);
  if (id[0] === 0) id[0] = 1;
  return id;
}
