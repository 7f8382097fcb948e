/** Where the time of one exchange over the network goes: name, connection, TLS, answer. What it has come to tells why it failed. */
import type { Socket } from "node:net";
import { systemCode } from "@needfire/shared/errors";

const stages = ["dns", "connect", "tls", "answer", "rest"] as const;
type Stage = (typeof stages)[number];

export class Stopwatch {
  readonly #begun = performance.now();
  #last = this.#begun;
  #reached = new Set<Stage>();
  readonly timings: Record<string, number> = {};

  /** Marks what a new socket comes to. */
  follow(socket: Socket): void {
    socket.once("lookup", () => this.mark("dns"));
    socket.once("connect", () => this.mark("connect"));
    socket.once("secureConnect", () => this.mark("tls"));
  }

  mark(stage: Stage): void {
    if (this.#reached.has(stage)) return;
    const now = performance.now();
    this.#reached.add(stage);
    this.timings[`${stage}_ms`] = tenths(now - this.#last);
    this.#last = now;
  }

  get elapsedMs(): number {
    return performance.now() - this.#begun;
  }

  /** Why an exchange failed, by how far it had come and by what the system says. */
  trouble(error: unknown, { tls, signal }: { tls: boolean; signal: AbortSignal }): { reason: string; message: string } {
    if (signal.aborted) return { reason: "timeout", message: `no answer within the time, waited for ${this.#waitedFor(tls)}` };
    const message = networkErrorText(error);
    if (isNameTrouble(error)) return { reason: "dns", message };
    if (!this.#reached.has("connect")) return { reason: "connect", message };
    return { reason: tls && !this.#reached.has("tls") ? "tls" : "closed", message };
  }

  #waitedFor(tls: boolean): string {
    if (!this.#reached.has("connect")) return "a connection";
    if (tls && !this.#reached.has("tls")) return "TLS";
    return this.#reached.has("answer") ? "the rest of the answer" : "an answer";
  }
}

export function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}

function isNameTrouble(error: unknown): boolean {
  return error instanceof Error && "syscall" in error && error.syscall === "getaddrinfo";
}

/** An error of a connection that was tried at several addresses has no text of its own. */
export function networkErrorText(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map((each) => networkErrorText(each)).join("; ");
  if (!(error instanceof Error)) return String(error);
  return error.message === "" ? (systemCode(error) ?? error.name) : error.message;
}
