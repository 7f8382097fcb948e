/**
 * A limit for `ingest.ts`: frames of a given size through libzmq with CURVE between two processes, as fast as they go, thrown away on
 * arrival. Run as a program it is the sender.
 */
import { spawn } from "node:child_process";
import { curveKeyPair, Dealer, Router } from "zeromq";

const warmUpMs = 500;

/** Frames a second. */
export async function bareLink({ bytes, seconds }: { bytes: number; seconds: number }): Promise<number> {
  const { publicKey, secretKey } = curveKeyPair();
  const socket = new Router({ curveServer: true, curveSecretKey: secretKey, linger: 0 });
  await socket.bind("tcp://127.0.0.1:*");
  const sender = spawn(process.execPath, [import.meta.filename, socket.lastEndpoint ?? "", publicKey, String(bytes)], { stdio: "inherit" });
  let from: number | undefined;
  let frames = 0;
  const begun = performance.now();
  for await (const [, frame] of socket) {
    const now = performance.now();
    if (frame === undefined || (from === undefined && now - begun < warmUpMs)) continue;
    from ??= now;
    frames++;
    if (now - from > seconds * 1_000) break;
  }
  sender.kill("SIGKILL");
  const perSecond = (frames / (performance.now() - from!)) * 1_000;
  socket.close();
  return perSecond;
}

if (process.argv[1] === import.meta.filename) {
  const [address = "", masterKey = "", bytes = "0"] = process.argv.slice(2);
  const { publicKey, secretKey } = curveKeyPair();
  const socket = new Dealer({ curveServerKey: masterKey, curvePublicKey: publicKey, curveSecretKey: secretKey });
  socket.connect(address);
  const frame = Buffer.alloc(Number(bytes), 7);
  for (;;) await socket.send(Buffer.from(frame));
}
