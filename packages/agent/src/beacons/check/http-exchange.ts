/** One request and its answer, on a connection of its own: no pool, no cache, no redirect; of the body as much as was asked for. */
import { type ClientRequest, type IncomingMessage, request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import { systemCode } from "@needfire/shared/errors";
import { networkErrorText, type Stopwatch } from "./stopwatch.ts";
import type { Trust } from "./trust.ts";

const headerBytesMax = 65_536;

export interface Exchange {
  request: { url: URL; method: string; headers: Record<string, string>; body?: string };
  bodyBytesMax: number;
  family: number;
  lookup: LookupFunction;
  socketPath?: string;
  trust: Trust;
  /** To the server that the definition names: only that one is shown a client's certificate and asked for by another name. */
  own: boolean;
  watch: Stopwatch;
  signal: AbortSignal;
}

export interface Received {
  kind: "received";
  status: number;
  location: string | undefined;
  body: string;
  address: { address?: string };
}

type Stopped = { kind: "stopped"; reason: string; message: string; address: { address?: string } };

export async function exchange(options: Exchange): Promise<Received | Stopped> {
  const { watch, signal, bodyBytesMax } = options;
  const request = send(options);
  let address: { address?: string } = {};
  // Whatever it throws once it is over is of no interest.
  request.on("error", () => undefined);
  request.once("socket", (socket) => {
    watch.follow(socket);
    socket.once("connect", () => (address = socket.remoteAddress === undefined ? {} : { address: socket.remoteAddress }));
  });
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once("response", resolve).once("error", reject);
      // Also after what Node takes for no error, such as a change of the protocol that nobody asked for.
      request.once("close", () => reject(new Error("the connection was closed without an answer")));
    });
    watch.mark("answer");
    const body = await bodyOf(response, bodyBytesMax);
    watch.mark("rest");
    return { kind: "received", status: response.statusCode ?? 0, location: response.headers.location, body, address };
  } catch (error) {
    return { kind: "stopped", ...reasonOf(error), address };
  } finally {
    request.destroy();
  }

  function reasonOf(error: unknown): { reason: string; message: string } {
    if (!systemCode(error)?.startsWith("HPE_")) return watch.trouble(error, { tls: options.request.url.protocol === "https:", signal });
    return { reason: "protocol", message: `what came is no HTTP: ${networkErrorText(error)}` };
  }
}

function send({ request, family, lookup, socketPath, trust, own, signal }: Exchange): ClientRequest {
  const { url, method, body } = request;
  const headers = body === undefined ? request.headers : { ...request.headers, "content-length": String(Buffer.byteLength(body)) };
  const way = socketPath === undefined ? {} : { socketPath };
  const common = { method, headers, family, lookup, signal, agent: false, maxHeaderSize: headerBytesMax, ...way } as const;
  return (url.protocol === "https:" ? tlsRequest(url, { ...common, ...trust.options(own) }) : plainRequest(url, common)).end(body);
}

/** As text; what is no UTF-8 becomes U+FFFD. */
async function bodyOf(response: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= bytesMax) break;
  }
  return Buffer.concat(chunks).subarray(0, bytesMax).toString();
}
