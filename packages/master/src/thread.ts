/**
 * Puts an object into a thread of its own and gives its methods back as promises: store work must not hold up the socket. One generic
 * host (`worker.ts`), so that an implementation of the journal or the store is a plain class that knows nothing of threads.
 */
import { Worker } from "node:worker_threads";
import { type ErrorCode, errorCodes, NeedfireError } from "@needfire/shared/errors";

/** The methods of `T`, each returning a promise. */
export type Remote<T> = {
  [K in keyof T as T[K] extends (...args: never[]) => unknown ? K : never]: T[K] extends (...args: infer A) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never;
};

export interface Thread<T> {
  readonly remote: Remote<T>;
  /** Lets what was asked for end, closes the object and ends the thread. */
  stop(): Promise<void>;
}

export interface Call {
  id: number;
  method: string;
  args: unknown[];
}
export type Answer =
  | { id: number; value: unknown }
  | { id: number; error: { message: string; code?: string | undefined } }
  | { notice: unknown };

/** Questions that may wait for one thread: some for each of tens of thousands of agents that come back at once. */
const questionsMax = 200_000;

export interface ThreadOptions {
  /** Exports `open(options, notify)`, which returns the object to serve (it may have a `close`). */
  module: URL;
  /** Plain data. */
  options: object;
  /** What the object says unasked. */
  onNotice?: (notice: unknown) => void;
  /** The thread ended without having been asked to. */
  onDeath(error: Error): void;
}

/** Starts a thread. Throws what `open` throws. */
export async function startThread<T extends object>({ module, options, onNotice, onDeath }: ThreadOptions): Promise<Thread<T>> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData: { module: module.href, options } });
  const questions = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let nextId = 1;
  let ended: Error | undefined;

  const ask = (method: string, args: unknown[]): Promise<unknown> => {
    if (ended !== undefined) return Promise.reject(ended);
    if (questions.size >= questionsMax)
      return Promise.reject(new NeedfireError("QUEUE_FULL", `more than ${questionsMax} questions wait for a storage thread`));
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const id = nextId++;
    questions.set(id, { resolve, reject });
    worker.postMessage({ id, method, args } satisfies Call);
    return promise;
  };
  const die = (error: Error, asked: boolean) => {
    if (ended !== undefined) return;
    ended = error;
    for (const question of questions.values()) question.reject(error);
    questions.clear();
    if (!asked) onDeath(error);
  };
  worker.on("message", (answer: Answer) => {
    if ("notice" in answer) return onNotice?.(answer.notice);
    const question = questions.get(answer.id);
    questions.delete(answer.id);
    if ("error" in answer) question?.reject(errorOf(answer.error));
    else question?.resolve(answer.value);
  });
  worker.on("error", (error) => die(new NeedfireError("THREAD_DIED", "a storage thread failed", { cause: error }), false));
  worker.on("exit", () => die(new NeedfireError("THREAD_DIED", "a storage thread ended"), false));

  try {
    await ask("open", []);
  } catch (error) {
    die(new NeedfireError("THREAD_DIED", "the storage thread could not open what it was to serve"), true);
    await worker.terminate();
    throw error;
  }
  const remote = new Proxy(
    {},
    { get: (_target, method) => (typeof method === "string" && method !== "then" ? (...args: unknown[]) => ask(method, args) : undefined) },
  );
  return {
    remote: remote as Remote<T>,
    stop: async () => {
      await ask("close", []).catch(() => {});
      die(new NeedfireError("THREAD_DIED", "the storage thread was stopped"), true);
      await worker.terminate();
    },
  };
}

function errorOf({ message, code }: { message: string; code?: string | undefined }): Error {
  return code !== undefined && Object.hasOwn(errorCodes, code) ? new NeedfireError(code as ErrorCode, message) : new Error(message);
}
