/**
 * The `tcp` beacon: connects to ports and tells when one is down, slow, or up again. A port that says nothing is up as soon as the connection
 * stands (with `tls`: as soon as TLS does); with `expect` when it has said that.
 */
import { connect as plainConnect, type Socket } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { compilePattern, type Pattern } from "@needfire/shared/pattern";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { familyNumber, hostAndPort, serverName, sharedLookup } from "./lookup.ts";
import { type Answer, startReachability } from "./reachability.ts";
import { Stopwatch } from "./stopwatch.ts";
import { Trust } from "./trust.ts";

const replyBytesMax = 65_536;
/** What has come is matched again with each piece: one byte at a time would make that a burden. */
const replyPiecesMax = 200;

export function start(definition: DefinitionOf<"tcp">, context: BeaconContext): RunningBeacon {
  const { tls, send, family } = definition;
  const trust = tls === undefined ? undefined : new Trust(tls);
  const fixed = { family: familyNumber[family], lookup: sharedLookup(family) };
  const expected = definition.expect === undefined ? undefined : compilePattern(definition.expect);
  const targets = definition.addresses.map((address) => ({
    subject: address,
    data: { address },
    check: (signal: AbortSignal): Promise<Answer> => {
      const { host, port } = hostAndPort(address);
      const name = serverName(host);
      const open = () =>
        trust === undefined
          ? plainConnect({ host, port, ...fixed })
          : tlsConnect({ host, port, ...fixed, ...(name === undefined ? {} : { servername: name }), ...trust.options() });
      return talk(open(), { tls: trust !== undefined, send, expected, signal });
    },
  }));
  return startReachability(definition, context, targets);
}

interface Talk {
  tls: boolean;
  send: string | undefined;
  expected: Pattern | undefined;
  signal: AbortSignal;
}

async function talk(socket: Socket, { tls, send, expected, signal }: Talk): Promise<Answer> {
  const watch = new Stopwatch();
  let address: { connected_to?: string } = {};
  watch.follow(socket);
  socket.once("connect", () => (address = socket.remoteAddress === undefined ? {} : { connected_to: socket.remoteAddress }));
  const abort = () => void socket.destroy(new Error("aborted"));
  signal.addEventListener("abort", abort, { once: true });
  const told = () => ({ latencyMs: watch.elapsedMs, data: { ...address, timings: watch.timings } });
  // An error while nobody waits would end the process.
  socket.on("error", () => undefined);
  try {
    await once(socket, tls ? "secureConnect" : "connect");
    if (send !== undefined) socket.write(send);
    if (expected === undefined) return { ...told(), ok: true };
    const reply = await replyOf(socket, expected, watch);
    if (reply.matches) return { ...told(), ok: true };
    return { ...told(), ok: false, reason: "answer", message: reply.message };
  } catch (error) {
    return { ...told(), ok: false, ...watch.trouble(error, { tls, signal }) };
  } finally {
    signal.removeEventListener("abort", abort);
    socket.destroy();
  }
}

function once(socket: Socket, event: "connect" | "secureConnect"): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve()).once("error", reject);
    socket.once("close", () => reject(new Error("the connection was closed")));
  });
}

/** Reads until it matches, or cannot any more. */
async function replyOf(
  socket: Socket,
  expected: Pattern,
  watch: Stopwatch,
): Promise<{ matches: true } | { matches: false; message: string }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    watch.mark("answer");
    chunks.push(chunk);
    bytes += chunk.length;
    if (expected.test(Buffer.concat(chunks).subarray(0, replyBytesMax).toString())) return { matches: true };
    if (chunks.length >= replyPiecesMax)
      return { matches: false, message: `the first ${replyPiecesMax} pieces of what it said do not match "expect"` };
    if (bytes >= replyBytesMax) return { matches: false, message: `the first ${replyBytesMax} bytes that it said do not match "expect"` };
  }
  return { matches: false, message: bytes === 0 ? "it closed the connection and said nothing" : 'what it said does not match "expect"' };
}
