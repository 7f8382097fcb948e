/** The host that an action works on, and its programs: run for their answer, in a plain language, with nobody to ask. */
import { environment, runProgram } from "@needfire/shared/host/program";

/** Always `thisHost`, but in tests. */
export interface Host {
  /** What stands before every path. */
  root: string;
  /** What stands before every program's argv: chroot, ip netns exec. */
  enter: readonly string[];
}

export const thisHost: Host = { root: "", enter: [] };

const outputBytesMax = 4 * 1_048_576;
const saidCharactersMax = 2_000;

export interface AskOptions {
  host: Host;
  signal: AbortSignal;
  timeoutMs: number;
  env?: Record<string, string>;
  stdin?: string;
}

/** `problem`: why it is not to be believed, with what it said last; undefined when it ended with 0. */
export interface Answer {
  code: number | undefined;
  stdout: string;
  stderr: string;
  problem: string | undefined;
}

export async function askProgram(
  argv: readonly [string, ...string[]],
  { host, signal, timeoutMs, env, stdin }: AskOptions,
): Promise<Answer> {
  const ran = await runProgram({
    ...{ argv: [...host.enter, ...argv], cwd: "/", stdin, timeoutMs, outputBytesMax, signal },
    env: environment({ LC_ALL: "C", TERM: "dumb", ...env }),
  });
  if (ran.kind === "not_started") return { code: undefined, stdout: "", stderr: "", problem: ran.message };
  const { exitCode, endedBy, timedOut, cancelled } = ran;
  const [stdout, stderr] = [ran.stdout.text, ran.stderr.text];
  const [name] = argv;
  const how = exitCode === null ? `was ended by ${endedBy}` : `exited with ${exitCode}: ${lastOf(stderr.trim() || stdout.trim())}`;
  if (cancelled) return { code: undefined, stdout, stderr, problem: `${String(signal.reason)}; ${name} ${how}` };
  if (timedOut) return { code: undefined, stdout, stderr, problem: `${name} took longer than ${timeoutMs / 1_000} s and ${how}` };
  return { code: exitCode ?? undefined, stdout, stderr, problem: exitCode === 0 ? undefined : `${name} ${how}` };
}

function lastOf(text: string): string {
  return text.length > saidCharactersMax ? `… ${text.slice(-saidCharactersMax)}` : text;
}
