/**
 * The API of Docker and Podman on their unix socket: one answer, or a stream of lines. Everything that comes is bounded; what is no JSON is an
 * error, never a guess.
 */
import { type IncomingMessage, request } from "node:http";

/** A list of thousands of containers fits in. */
const answerBytesMax = 64 * 1024 * 1024;
const answerMsMax = 30_000;
/** One event: the labels of a container are in it. */
const lineCharactersMax = 1_048_576;

export class Engine {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async get(path: string, signal: AbortSignal): Promise<unknown> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(answerMsMax)]);
    const response = await this.#open(path, limit);
    let text = "";
    for await (const piece of response as AsyncIterable<string>) {
      text += piece;
      if (text.length > answerBytesMax) throw new Error(`the answer to ${path.split("?")[0]} is longer than ${answerBytesMax} bytes`);
    }
    return JSON.parse(text) as unknown;
  }

  /** Every line until the other side ends it. `opened`: it has begun to answer. Rejects when it breaks off. */
  async lines(path: string, { signal, line, opened }: { signal: AbortSignal; line(text: string): void; opened?(): void }): Promise<void> {
    const response = await this.#open(path, signal);
    opened?.();
    const lines = new Lines(line);
    for await (const piece of response as AsyncIterable<string>) lines.push(piece);
  }

  async #open(path: string, signal: AbortSignal): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      // The API asks for no other host; there is none.
      const headers = { host: "engine", connection: "close" };
      const sent = request({ socketPath: this.#socketPath, path, headers, agent: false, signal });
      sent
        .once("response", resolve)
        .on("error", reject)
        .once("close", () => reject(new Error("the connection was closed")))
        .end();
    });
    if (response.statusCode === 200) return response.setEncoding("utf8");
    response.destroy();
    throw new Error(`it answered ${response.statusCode} to ${path.split("?")[0]}`);
  }
}

/** Lines out of pieces; one that is too long is left out, so that what follows is not lost with it. */
export class Lines {
  readonly #take: (line: string) => void;
  #rest = "";
  #isTooLong = false;

  constructor(take: (line: string) => void) {
    this.#take = take;
  }

  push(piece: string): void {
    const [first, ...others] = piece.split("\n");
    this.#add(first!);
    for (const other of others) {
      this.#end();
      this.#add(other);
    }
  }

  #add(text: string): void {
    this.#isTooLong ||= this.#rest.length + text.length > lineCharactersMax;
    this.#rest = this.#isTooLong ? "" : this.#rest + text;
  }

  #end(): void {
    if (!this.#isTooLong && this.#rest.trim() !== "") this.#take(this.#rest);
    this.#rest = "";
    this.#isTooLong = false;
  }
}
