/** A program run for an author, within the bounds that all actions of that kind have in common, and what is said of how it ended. */
import type { ActionArgs, ActionResult } from "../action.ts";
import { durationMs } from "../duration.ts";
import { environment, type Output, runProgram } from "./program.ts";

type Result = ActionResult<"command.run">;
export interface ProgramEnding {
  outcome: "succeeded" | "failed";
  changed: boolean;
  message?: string;
  result?: Result;
}
export type Bounds = Omit<ActionArgs<"command.run">, "argv" | "shell">;

export async function runBounded(argv: string[], bounds: Bounds, signal: AbortSignal): Promise<ProgramEnding> {
  const env = environment(bounds.env);
  const ran = await runProgram({
    argv,
    ...{
      cwd: bounds.cwd,
      env,
      stdin: bounds.stdin,
      timeoutMs: durationMs(bounds.timeout),
      outputBytesMax: bounds.output_bytes_max,
      signal,
    },
  });
  if (ran.kind === "not_started") return { outcome: "failed", changed: false, message: ran.message };
  const note = [cutNote("stdout", ran.stdout), cutNote("stderr", ran.stderr)].filter((part) => part !== undefined).join("; ");
  const result: Result = {
    exit_code: ran.exitCode,
    signal: ran.endedBy,
    timed_out: ran.timedOut,
    duration_ms: Math.round(ran.durationMs * 1000) / 1000,
    stdout: ran.stdout.text,
    stderr: ran.stderr.text,
    ...(note === "" ? {} : { output_note: note }),
    env,
  };
  return ending(result, bounds, ran.cancelled ? String(signal.reason) : undefined);
}

function cutNote(name: string, { bytes, keptBytes }: Output): string | undefined {
  return bytes > keptBytes ? `${name}: the first ${keptBytes} of ${bytes} bytes are shown` : undefined;
}

function ending(result: Result, bounds: Bounds, stopped: string | undefined): ProgramEnding {
  const { exit_code: code, signal, timed_out } = result;
  if (!timed_out && stopped === undefined && code !== null && bounds.success_codes.includes(code))
    return { outcome: "succeeded", changed: true, result };
  const how = signal === null ? `exited with ${code}` : `was ended by ${signal}`;
  const message = timed_out
    ? `took longer than ${bounds.timeout} and ${how}`
    : stopped === undefined
      ? how
      : `${stopped}; the command ${how}`;
  return { outcome: "failed", changed: true, message, result };
}
