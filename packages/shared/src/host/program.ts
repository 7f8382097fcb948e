/**
 * Runs a program with a stated environment, a time limit and capped output, in a process group that ends with it. It never reads what the
 * program says, and never makes shell text: what an ending means is its callers' to judge. The only importer of execa. It stands in `shared`,
 * which else does no I/O, since agent and master both run programs, and import nothing of each other (docs/decisions/0037).
 */
import { userInfo } from "node:os";
import type { Readable } from "node:stream";

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** From SIGTERM to SIGKILL. */
const graceMs = 5_000;
/** How long output is awaited after the program ended: a service that it left behind may hold the pipes open for ever. */
const drainMs = 500;
const pollMs = 50;
/** Node's timers go no further. */
const timeoutMsMax = 2 ** 31 - 1;

export interface Program {
  argv: string[];
  cwd: string;
  /** All of it: see `environment`. */
  env: Record<string, string>;
  stdin?: string | undefined;
  timeoutMs: number;
  /** Of stdout, and of stderr. */
  outputBytesMax: number;
  /** Ends it, as the time limit does. */
  signal: AbortSignal;
  /** Who runs it, without any other group of theirs; missing: who runs this process. */
  as?: { uid: number; gid: number } | undefined;
}

/** `text`: the first bytes of a stream, as far as the cap goes. */
export interface Output {
  text: string;
  bytes: number;
  keptBytes: number;
}

export type Ran =
  | { kind: "not_started"; message: string }
  | {
      kind: "ended";
      exitCode: number | null;
      endedBy: string | null;
      timedOut: boolean;
      cancelled: boolean;
      durationMs: number;
      stdout: Output;
      stderr: Output;
    };

export async function runProgram({ argv, cwd, env, stdin, timeoutMs, outputBytesMax, signal, as }: Program): Promise<Ran> {
  const [file, ...rest] = argv;
  if (file === undefined) return { kind: "not_started", message: "argv is empty" };
  if ([...argv, cwd, ...Object.entries(env).flat()].some((text) => text.includes("\0")))
    return { kind: "not_started", message: `cannot start ${file}: its arguments hold a NUL byte` };
  // Not at the top: it takes 4 MB and 75 ms, and most agents never run a program.
  const { execa } = await import("execa");
  if (signal.aborted) return { kind: "not_started", message: String(signal.reason) };
  const started = performance.now();
  const program = execa(file, rest, {
    cwd,
    env,
    extendEnv: false,
    ...(stdin === undefined ? { stdin: "ignore" } : { input: stdin }),
    ...as,
    timeout: Math.min(timeoutMs, timeoutMsMax),
    cancelSignal: signal,
    // Its own process group, and every signal to all of it: what the program started must end with it.
    killDescendants: true,
    killSignal: "SIGTERM",
    forceKillAfterDelay: graceMs,
    // execa would end a program that says too much; here the rest is counted and left out.
    buffer: false,
    reject: false,
    stripFinalNewline: false,
    preferLocal: false,
  });
  const stdout = capture(program.stdout, outputBytesMax);
  const stderr = capture(program.stderr, outputBytesMax);
  program.nodeChildProcess.once("exit", () => {
    setTimeout(() => {
      program.stdout.destroy();
      program.stderr.destroy();
    }, drainMs).unref();
  });
  const { exitCode, signal: endedBy, timedOut, isCanceled, code, shortMessage } = await program;
  const durationMs = performance.now() - started;
  if (program.pid === undefined) return { kind: "not_started", message: cannotStart(file, cwd, code, shortMessage) };
  if (timedOut || isCanceled) await endGroup(program.pid);
  return {
    kind: "ended",
    exitCode: exitCode ?? null,
    endedBy: endedBy ?? null,
    timedOut,
    cancelled: isCanceled,
    durationMs,
    stdout: stdout(),
    stderr: stderr(),
  };
}

/** What a program gets when nothing is inherited: enough to find others, plain language, and what is `added`. */
export function environment(added: Record<string, unknown> = {}, home = userInfo().homedir): Record<string, string> {
  const own = Object.entries(added).map(([name, value]) => [name, String(value)]);
  return { PATH: path, LANG: "C.UTF-8", HOME: home, ...Object.fromEntries(own) };
}

function cannotStart(file: string, cwd: string, code: string | undefined, reason: string | undefined): string {
  switch (code) {
    case "ENOENT":
      return `cannot start ${file}: there is no such program, or no directory ${cwd}`;
    case "EACCES":
      return `cannot start ${file}: it may not be executed`;
    case "E2BIG":
      return `cannot start ${file}: its arguments are too long for this system`;
    default:
      return `cannot start ${file}: ${reason ?? code ?? "unknown reason"}`;
  }
}

/** Keeps the first bytes of a stream, and counts the others. */
function capture(stream: Readable, bytesMax: number): () => Output {
  const kept: Buffer[] = [];
  let keptBytes = 0;
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (keptBytes === bytesMax) return;
    const part = chunk.subarray(0, bytesMax - keptBytes);
    kept.push(part);
    keptBytes += part.length;
  });
  stream.on("error", () => undefined); // destroyed after the program ended, or the program's end itself: what was read counts
  return () => {
    // A character that the cut went through is left out; other bytes that are no UTF-8 become U+FFFD.
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.concat(kept), { stream: bytes > keptBytes });
    return { text, bytes, keptBytes };
  };
}

/**
 * After the program itself ended on SIGTERM: what it started has the rest of the time to end, too, and then no choice. (execa only waits
 * for those that hold the pipes.)
 */
async function endGroup(pid: number): Promise<void> {
  const until = performance.now() + graceMs;
  while (groupLives(pid)) {
    if (performance.now() > until) return void kill(pid, "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function groupLives(pid: number): boolean {
  return kill(pid, 0);
}

function kill(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-group, signal);
  } catch {
    return false; // nobody is left
  }
}
