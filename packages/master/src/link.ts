/**
 * The master's end of the bus: the one module that owns its socket and the queue to it. Frames in, frames out; knows nothing of what
 * they mean.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { errorText, NeedfireError, systemCode } from "@needfire/shared/errors";
import type { KeyPair } from "@needfire/shared/identity";
import { wireBytesMax } from "@needfire/shared/wire";
import { curveKeyPair, Router } from "zeromq";
import { Queue } from "./queue.ts";
import { zapDomain } from "./zap.ts";

export interface LinkOptions {
  listen: string;
  keys: KeyPair;
  handshakeTimeoutMs: number;
  log: Logger;
  onFrame(routingId: Buffer, frame: Buffer): void;
  /** A frame could not be delivered: the peer is gone, or so slow that its queue is full. */
  onUndelivered(routingId: Buffer, reason: "gone" | "slow"): void;
}

/** Frames that wait to be handed to libzmq. Only blobs and commands to very many agents at once come near it. */
const outboxFramesMax = 100_000;
/** How long a port may take to be free again, and how often to look. */
const rebindMs = 5_000;
const rebindPauseMs = 20;
/** Frames that libzmq holds for one slow peer. */
const peerFramesMax = 1_000;

export class Link {
  readonly #options: LinkOptions;
  #socket: Router;
  /** What is urgent overtakes what is not (P8). */
  readonly #urgent = new Queue<[Buffer, Buffer]>();
  readonly #outbox = new Queue<[Buffer, Buffer]>();
  #writing = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#socket = this.#open();
  }

  /** Binds, and resolves with the port. Throws `ADDRESS_IN_USE`. */
  async start(): Promise<number> {
    const { listen } = this.#options;
    try {
      await this.#socket.bind(listen);
    } catch (error) {
      throw new NeedfireError("ADDRESS_IN_USE", `cannot listen on ${listen}: ${errorText(error)}. Is another master running there?`, {
        cause: error,
      });
    }
    void this.#read(this.#socket);
    return Number(/:(\d+)$/.exec(this.#socket.lastEndpoint ?? "")?.[1]);
  }

  /** Drops every connection, with whatever libzmq held of them, and listens anew at the same address. */
  async reset(): Promise<void> {
    const endpoint = this.#socket.lastEndpoint ?? this.#options.listen;
    this.#socket.close();
    this.#urgent.clear();
    this.#outbox.clear();
    this.#socket = this.#open();
    // libzmq gives the port back in its own time.
    for (const giveUp = performance.now() + rebindMs; ; await delay(rebindPauseMs)) {
      try {
        await this.#socket.bind(endpoint);
        break;
      } catch (error) {
        if (performance.now() > giveUp)
          throw new NeedfireError("ADDRESS_IN_USE", `cannot listen on ${endpoint} again: ${errorText(error)}`, { cause: error });
      }
    }
    void this.#read(this.#socket);
  }

  #open(): Router {
    return new Router({
      curveServer: true,
      curveSecretKey: this.#options.keys.secretKey,
      zapDomain,
      mandatory: true,
      // A second connection cannot take over a routing id that is in use.
      handover: false,
      maxMessageSize: wireBytesMax,
      handshakeInterval: this.#options.handshakeTimeoutMs,
      // A peer that is gone without a word: the kernel finds out. ZMTP's own heartbeats would cost as much as all else at rest.
      tcpKeepalive: 1,
      tcpKeepaliveIdle: 30,
      tcpKeepaliveInterval: 10,
      tcpKeepaliveCount: 3,
      sendHighWaterMark: peerFramesMax,
      receiveHighWaterMark: peerFramesMax,
      sendTimeout: 0,
      linger: 0,
      backlog: 4_096,
    });
  }

  /** Queues a frame. False when too many wait: the caller keeps what must not be lost. */
  send(routingId: Buffer, frame: Buffer, urgent = false): boolean {
    const queue = urgent ? this.#urgent : this.#outbox;
    if (queue.length >= outboxFramesMax) return false;
    queue.push([routingId, frame]);
    if (!this.#writing) void this.#drain();
    return true;
  }

  stop(): void {
    this.#socket.close();
  }

  async #read(socket: Router): Promise<void> {
    for await (const [routingId, frame, ...more] of socket) {
      // Ours are of one frame; what comes in more is not ours.
      if (frame !== undefined && more.length === 0) this.#options.onFrame(routingId!, frame);
    }
  }

  /** One writer: zeromq.js refuses a second send while one waits. */
  async #drain(): Promise<void> {
    this.#writing = true;
    const take = () => this.#urgent.shift() ?? this.#outbox.shift();
    for (let next = take(); next !== undefined && !this.#socket.closed; next = take()) {
      try {
        await this.#socket.send(next);
      } catch (error) {
        const code = systemCode(error);
        if (code === "EHOSTUNREACH") this.#options.onUndelivered(next[0], "gone");
        else if (code === "EAGAIN") this.#options.onUndelivered(next[0], "slow");
        else if (!this.#socket.closed) this.#options.log.error({ error: errorText(error) }, "a frame could not be sent");
      }
    }
    this.#writing = false;
  }
}

export function generateKeyPair(): KeyPair {
  return curveKeyPair();
}
