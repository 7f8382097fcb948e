/**
 * `command.run`: runs a program with a stated environment, a time limit and capped output. Values never become shell text: without
 * `shell` there is no shell, and with it they are its positional parameters. The only importer of execa.
 */
import { userInfo } from "node:os";
import type { Readable } from "node:stream";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { durationMs } from "@needfire/shared/duration";
import { type Action, type Ending, failed } from "./action.ts";

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** From SIGTERM to SIGKILL. */
const graceMs = 5_000;
/** How long output is awaited after the program ended: a service that it left behind may hold the pipes open for ever. */
const drainMs = 500;
const pollMs = 50;

export const commandRun: Action<"command.run"> = async (args, { signal }) => {
  const env = environment(args.env);
  const [file, ...rest] = args.shell ? ["/bin/sh", "-c", args.argv[0] ?? "", "sh", ...args.argv.slice(1)] : args.argv;
  if (file === undefined) return failed("argv is empty");
  if ([...args.argv, args.cwd, ...Object.entries(env).flat()].some((text) => text.includes("\0")))
    return failed(`cannot start ${file}: its arguments hold a NUL byte`);
  // Not at the top: it takes 4 MB and 75 ms, and most agents never run a command.
  const { execa } = await import("execa");
  if (signal.aborted) return failed("the agent is stopping");
  const started = performance.now();
  const program = execa(file, rest, {
    cwd: args.cwd,
    env,
    extendEnv: false,
    input: args.stdin,
    timeout: Math.min(durationMs(args.timeout), 2 ** 31 - 1),
    cancelSignal: signal,
    // Its own process group, and every signal to all of it: what the command started must end with it.
    killDescendants: true,
    killSignal: "SIGTERM",
    forceKillAfterDelay: graceMs,
    // execa would end a program that says too much; here the rest is counted and left out.
    buffer: false,
    reject: false,
    stripFinalNewline: false,
    preferLocal: false,
  });
  const stdout = capture(program.stdout, args.output_bytes_max);
  const stderr = capture(program.stderr, args.output_bytes_max);
  program.nodeChildProcess.once("exit", () => {
    setTimeout(() => {
      program.stdout.destroy();
      program.stderr.destroy();
    }, drainMs).unref();
  });
  const { exitCode, signal: endedBy, timedOut, isCanceled, code, shortMessage } = await program;
  const duration = performance.now() - started;
  if (program.pid === undefined) return failed(cannotStart(file, args.cwd, code, shortMessage));
  if (timedOut || isCanceled) await endGroup(program.pid);
  const note = [stdout.note("stdout"), stderr.note("stderr")].filter((part) => part !== undefined).join("; ");
  const result: ActionResult<"command.run"> = {
    exit_code: exitCode ?? null,
    signal: endedBy ?? null,
    timed_out: timedOut,
    duration_ms: Math.round(duration * 1000) / 1000,
    stdout: stdout.text(),
    stderr: stderr.text(),
    ...(note === "" ? {} : { output_note: note }),
    env,
  };
  return ending(result, args, isCanceled ? String(signal.reason) : undefined);
};

function ending(
  result: ActionResult<"command.run">,
  args: ActionArgs<"command.run">,
  stopped: string | undefined,
): Ending<ActionResult<"command.run">> {
  const { exit_code: code, signal, timed_out } = result;
  if (!timed_out && stopped === undefined && code !== null && args.success_codes.includes(code))
    return { outcome: "succeeded", changed: true, result };
  const how = signal === null ? `exited with ${code}` : `was ended by ${signal}`;
  const message = timed_out
    ? `took longer than ${args.timeout} and ${how}`
    : stopped === undefined
      ? how
      : `${stopped}; the command ${how}`;
  return { outcome: "failed", changed: true, message, result };
}

function environment(added: Record<string, unknown>): Record<string, string> {
  const own = Object.entries(added).map(([name, value]) => [name, String(value)]);
  return { PATH: path, LANG: "C.UTF-8", HOME: userInfo().homedir, ...Object.fromEntries(own) };
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
function capture(stream: Readable, bytesMax: number) {
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
  return {
    // A character that the cut went through is left out; other bytes that are no UTF-8 become U+FFFD.
    text: () => new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.concat(kept), { stream: bytes > keptBytes }),
    note: (name: string) => (bytes > keptBytes ? `${name}: the first ${keptBytes} of ${bytes} bytes are shown` : undefined),
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
