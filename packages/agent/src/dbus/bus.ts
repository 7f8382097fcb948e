/**
 * A connection to a D-Bus message bus: says who we are (SASL EXTERNAL: the kernel vouches for the user id), calls methods, hears signals.
 * Our own, since what there is for Node is not kept any more or brings a dozen packages along for what takes three files here.
 *
 * One connection, for one owner, until it is closed or fails: it never connects again by itself. Calls and what waits to be written are
 * bounded (P4).
 */
import { connect, type Socket } from "node:net";

import { encodeMessage, type Message, MessageReader } from "./message.ts";

const callMsMax = 25_000;
const callsMax = 1_000;
/** Lines of the handshake are a few dozen bytes. */
const lineBytesMax = 4_096;

const busName = "org.freedesktop.DBus";

export interface BusOptions {
  /** The path of the bus's socket. */
  socket: string;
  signal: AbortSignal;
  onSignal(message: Message): void;
  /** Once, when the connection is of no use any more, unless it was ended by `signal`. */
  onClose(error: Error): void;
  /** A call of a method of ours; by itself none is answered. */
  onCall?: (message: Message) => void;
}

export interface Call {
  destination: string;
  path: string;
  interface: string;
  member: string;
  signature?: string;
  body?: unknown[];
}

/** The other side answered with an error. `name`: such as org.freedesktop.DBus.Error.ServiceUnknown. */
export class DbusError extends Error {
  constructor(name: string, message: string) {
    super(`${name}: ${message}`);
    this.name = name;
  }
}

interface Waiting {
  resolve(body: unknown[]): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

/** Resolves when the bus has taken us in. */
export async function connectBus(options: BusOptions): Promise<Bus> {
  const socket = connect({ path: options.socket });
  const abort = () => socket.destroy();
  options.signal.addEventListener("abort", abort, { once: true });
  if (options.signal.aborted) abort();
  try {
    const rest = await authenticate(socket);
    const bus = new Bus(socket, options, rest);
    await bus.call({ destination: busName, path: "/org/freedesktop/DBus", interface: busName, member: "Hello" });
    return bus;
  } catch (error) {
    socket.destroy();
    throw new Error(`cannot connect to the message bus at ${options.socket}`, { cause: error });
  }
}

/** Resolves with what came behind the handshake. */
function authenticate(socket: Socket): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  let heard = Buffer.alloc(0);
  const timer = setTimeout(() => reject(new Error(`no answer in ${callMsMax / 1_000} s`)), callMsMax);
  const onData = (chunk: Buffer) => {
    heard = Buffer.concat([heard, chunk]);
    const end = heard.indexOf("\r\n");
    if (end < 0 && heard.length > lineBytesMax) return reject(new Error("the answer to the handshake has no end"));
    if (end < 0) return;
    const line = heard.toString("latin1", 0, Math.min(end, lineBytesMax));
    if (!line.startsWith("OK ")) return reject(new Error(`it does not let us in: ${line.slice(0, 200)}`));
    socket.write("BEGIN\r\n");
    resolve(heard.subarray(end + 2));
  };
  socket.on("data", onData);
  socket.once("error", reject);
  const onClose = () => reject(new Error("it closed the connection"));
  socket.once("close", onClose);
  const user = Buffer.from(String(process.getuid?.() ?? 0)).toString("hex");
  socket.write(`\0AUTH EXTERNAL ${user}\r\n`);
  return promise.finally(() => {
    clearTimeout(timer);
    socket.off("data", onData).off("error", reject).off("close", onClose);
    socket.on("error", () => undefined); // "close" follows, and says it
  });
}

export class Bus {
  readonly #socket: Socket;
  readonly #options: BusOptions;
  readonly #reader = new MessageReader();
  readonly #waiting = new Map<number, Waiting>();
  #serial = 0;
  #ended: Error | undefined;

  constructor(socket: Socket, options: BusOptions, heard: Buffer) {
    this.#socket = socket;
    this.#options = options;
    let failure: Error | undefined;
    socket.on("error", (error) => (failure = error));
    socket.on("close", () => this.#end(failure ?? new Error("the message bus closed the connection")));
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    if (heard.length > 0) this.#take(heard);
  }

  /** Resolves with the values of the answer. */
  call({ signature = "", body = [], ...call }: Call): Promise<unknown[]> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (this.#waiting.size >= callsMax) return Promise.reject(new Error(`${callsMax} calls wait for the message bus`));
    const { promise, resolve, reject } = Promise.withResolvers<unknown[]>();
    const serial = this.send({ type: "call", ...call, signature, body });
    const late = () => this.#settle(serial)?.reject(new Error(`${call.member}: no answer in ${callMsMax / 1_000} s`));
    this.#waiting.set(serial, { resolve, reject, timer: setTimeout(late, callMsMax) });
    return promise;
  }

  /** Signals that fit the rule come to us from here on. */
  async match(rule: string): Promise<void> {
    await this.call({
      ...{ destination: busName, path: "/org/freedesktop/DBus", interface: busName, member: "AddMatch" },
      ...{ signature: "s", body: [rule] },
    });
  }

  /** Returns the message's serial. */
  send(message: Omit<Message, "serial">): number {
    this.#serial = this.#serial >= 0xffff_ffff ? 1 : this.#serial + 1;
    this.#socket.write(encodeMessage({ ...message, serial: this.#serial }));
    return this.#serial;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    let messages: Message[];
    try {
      messages = this.#reader.push(chunk);
    } catch (error) {
      this.#socket.destroy(error as Error);
      return;
    }
    for (const message of messages) this.#receive(message);
  }

  #receive(message: Message): void {
    switch (message.type) {
      case "return":
        return this.#settle(message.replySerial)?.resolve(message.body);
      case "error":
        return this.#settle(message.replySerial)?.reject(new DbusError(message.errorName ?? "error", String(message.body[0] ?? "")));
      case "signal":
        return this.#options.onSignal(message);
      case "call":
        return this.#options.onCall?.(message);
      case "invalid":
        return undefined; // a type of a later protocol: to be ignored
    }
  }

  #settle(serial: number | undefined): Waiting | undefined {
    const waiting = this.#waiting.get(serial ?? 0);
    if (waiting === undefined) return undefined;
    this.#waiting.delete(serial ?? 0);
    clearTimeout(waiting.timer);
    return waiting;
  }

  #end(error: Error): void {
    this.#ended = error;
    for (const serial of this.#waiting.keys()) this.#settle(serial)?.reject(error);
    if (!this.#options.signal.aborted) this.#options.onClose(error);
  }
}
