/**
 * The far side of `thread.ts`: opens the object that it is told to and calls its methods in the order of the questions.
 */
import { parentPort, workerData } from "node:worker_threads";
import { errorText, NeedfireError } from "@needfire/shared/errors";
import { isDiskTrouble } from "./disk-trouble.ts";
import type { Answer, Call } from "./thread.ts";

type Methods = Record<string, ((...args: unknown[]) => unknown) | undefined>;

const { module, options } = workerData as { module: string; options: object };
const { open } = (await import(module)) as { open(options: object, notify: (notice: unknown) => void): Methods | Promise<Methods> };
let opened: Methods | undefined;

parentPort!.on("message", ({ id, method, args }: Call) => {
  try {
    const value = call(method, args);
    if (value instanceof Promise)
      value.then(
        (settled) => answer({ id, value: settled }),
        (error: unknown) => fail(id, error),
      );
    else answer({ id, value });
  } catch (error) {
    fail(id, error);
  }
});

function call(method: string, args: unknown[]): unknown {
  if (method === "open") return openServed();
  if (method === "close") return opened?.["close"]?.();
  return opened![method]!(...args);
}

async function openServed(): Promise<void> {
  opened = await open(options, (notice) => answer({ notice }));
}

function fail(id: number, error: unknown): void {
  answer({ id, error: { message: errorText(error), code: codeOf(error) } });
}

function answer(message: Answer): void {
  parentPort!.postMessage(message);
}

function codeOf(error: unknown): string | undefined {
  if (error instanceof NeedfireError) return error.code;
  if (isDiskTrouble(error)) return "DISK_FULL";
  return undefined;
}
