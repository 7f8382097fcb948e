/**
 * Asks the master for pieces of managed content and matches the answers to the questions. A lost answer is asked for again; a lost
 * session fails the question, and the next definitions ask anew.
 */
import { NeedfireError } from "@needfire/shared/errors";
import type { AgentMessage, MasterBody } from "@needfire/shared/wire";

export interface Piece {
  bytes: Uint8Array;
  total: number;
}

const answerMs = 10_000;

export class BlobFetch {
  readonly #send: (message: AgentMessage) => boolean;
  readonly #questions = new Map<
    string,
    { promise: Promise<Piece>; resolve(piece: Piece): void; reject(error: Error): void; timer: NodeJS.Timeout }
  >();

  constructor(send: (message: AgentMessage) => boolean) {
    this.#send = send;
  }

  /** Throws `PEER_GONE` when the master cannot be asked or does not answer, `NOT_FOUND` when it does not have the content. */
  fetch(digest: string, offset: number): Promise<Piece> {
    const key = `${digest}:${offset}`;
    // A managed file and a command may want the same piece at one time.
    const asked = this.#questions.get(key);
    if (asked !== undefined) return asked.promise;
    const { promise, resolve, reject } = Promise.withResolvers<Piece>();
    const timer = setTimeout(() => this.#fail(key, "the master did not answer"), answerMs);
    this.#questions.set(key, { promise, resolve, reject, timer });
    if (!this.#send({ kind: "blobGet", body: { digest, offset } })) this.#fail(key, "there is no session");
    return promise;
  }

  answer({ digest, offset, total, bytes }: MasterBody<"blob">): void {
    const key = `${digest}:${offset}`;
    const question = this.#questions.get(key);
    if (question === undefined) return;
    this.#questions.delete(key);
    clearTimeout(question.timer);
    if (total < 0) question.reject(new NeedfireError("NOT_FOUND", `the master has no content with the digest ${digest}`));
    else question.resolve({ bytes: bytes as Uint8Array, total });
  }

  /** The session ended: nobody will answer. */
  failAll(): void {
    for (const key of this.#questions.keys()) this.#fail(key, "the session ended");
  }

  #fail(key: string, reason: string): void {
    const question = this.#questions.get(key);
    if (question === undefined) return;
    this.#questions.delete(key);
    clearTimeout(question.timer);
    question.reject(new NeedfireError("PEER_GONE", `managed content could not be fetched: ${reason}`));
  }
}
