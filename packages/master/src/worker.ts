/**
 * The far side of `thread.ts`: opens the object that it is told to and calls its methods one by one, in the order of the questions.
 */
import { parentPort, workerData } from "node:worker_threads";
import { errorText, NeedfireError } from "@needfire/shared/errors";
import type { Answer, Call } from "./thread.ts";

type Methods = Record<string, ((...args: unknown[]) => unknown) | undefined>;

const { module, options } = workerData as { module: string; options: object };
const { open } = (await import(module)) as { open(options: object): Methods };
let opened: Methods | undefined;

parentPort!.on("message", ({ id, method, args }: Call) => {
  let answer: Answer;
  try {
    answer = { id, value: call(method, args) };
  } catch (error) {
    answer = { id, error: { message: errorText(error), code: codeOf(error) } };
  }
  parentPort!.postMessage(answer);
});

function call(method: string, args: unknown[]): unknown {
  if (method === "open") {
    opened = open(options);
    return undefined;
  }
  if (method === "close") return opened?.["close"]?.();
  return opened![method]!(...args);
}

const sqliteFull = 13;

function codeOf(error: unknown): string | undefined {
  if (error instanceof NeedfireError) return error.code;
  if (error instanceof Error && "errcode" in error && (Number(error.errcode) & 0xff) === sqliteFull) return "DISK_FULL";
  return undefined;
}
