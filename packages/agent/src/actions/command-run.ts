/**
 * `command.run`: runs a program, and says how it ended and what it printed. Values never become shell text: without `shell` there is no
 * shell, and with it they are its positional parameters.
 */
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { durationMs } from "@needfire/shared/duration";
import { environment, type Output, runProgram } from "../program.ts";
import { type Action, type ActionContext, type Ending, failed, would } from "./action.ts";

export const action: Action<"command.run"> = { run, scope: () => "host" };

async function run(args: ActionArgs<"command.run">, { signal, dryRun }: ActionContext): Promise<Ending<ActionResult<"command.run">>> {
  const argv = args.shell ? ["/bin/sh", "-c", args.argv[0] ?? "", "sh", ...args.argv.slice(1)] : args.argv;
  if (dryRun) return would(`run ${JSON.stringify(argv)} in ${args.cwd}`);
  const env = environment(args.env);
  const ran = await runProgram({
    argv,
    ...{ cwd: args.cwd, env, stdin: args.stdin, timeoutMs: durationMs(args.timeout), outputBytesMax: args.output_bytes_max, signal },
  });
  if (ran.kind === "not_started") return failed(ran.message);
  const note = [cutNote("stdout", ran.stdout), cutNote("stderr", ran.stderr)].filter((part) => part !== undefined).join("; ");
  const result: ActionResult<"command.run"> = {
    exit_code: ran.exitCode,
    signal: ran.endedBy,
    timed_out: ran.timedOut,
    duration_ms: Math.round(ran.durationMs * 1000) / 1000,
    stdout: ran.stdout.text,
    stderr: ran.stderr.text,
    ...(note === "" ? {} : { output_note: note }),
    env,
  };
  return ending(result, args, ran.cancelled ? String(signal.reason) : undefined);
}

function cutNote(name: string, { bytes, keptBytes }: Output): string | undefined {
  return bytes > keptBytes ? `${name}: the first ${keptBytes} of ${bytes} bytes are shown` : undefined;
}

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
