/**
 * ZAP (https://rfc.zeromq.org/spec/27/): libzmq asks here about every connection's key after the CURVE handshake and before any byte of
 * the peer's is parsed. Answers from memory.
 */
import type { Logger } from "pino";
import { z85Encode } from "@needfire/shared/identity";
import { Router } from "zeromq";

export const zapDomain = "needfire";

export interface Zap {
  stop(): void;
}

/** One per process: the address is libzmq's own. `mayConnect` gets the peer's public key in Z85. */
export async function startZap(mayConnect: (publicKey: string) => boolean, log: Logger): Promise<Zap> {
  const socket = new Router({ linger: 0 });
  await socket.bind("inproc://zeromq.zap.01");
  void answer(socket, mayConnect, log);
  return { stop: () => socket.close() };
}

async function answer(socket: Router, mayConnect: (publicKey: string) => boolean, log: Logger): Promise<void> {
  for await (const frames of socket) {
    const blank = frames.findIndex((frame) => frame.length === 0);
    const [version, request, , address, , mechanism, key] = frames.slice(blank + 1);
    const admitted = mechanism?.toString() === "CURVE" && key?.length === 32 && mayConnect(z85Encode(key));
    if (!admitted) log.debug({ address: address?.toString() }, "ZAP refused a key");
    const verdict = admitted ? ["200", "OK"] : ["400", "refused"];
    await socket.send([...frames.slice(0, blank + 1), version!, request!, ...verdict, "", Buffer.alloc(0)]);
  }
}
