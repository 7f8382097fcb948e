/** Runs the real program, as people do, for the CLI's tests. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const program = fileURLToPath(new URL("../../bin/needfire.js", import.meta.url));
const runTimeoutMs = 20_000;

export interface Ran {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** The Node to start it with. */
  node?: string;
  /** Then it is ended. */
  timeoutMs?: number;
}

export interface Running {
  child: ChildProcess;
  /** Resolves when stdout holds `text`. */
  said(text: string): Promise<void>;
  /** Resolves with what stderr holds by then when `text` is in it. */
  complained(text: string): Promise<string>;
  ended: Promise<Ran>;
}

export function start(
  words: readonly string[],
  { cwd = "/", env = {}, node = process.execPath, timeoutMs = runTimeoutMs }: RunOptions = {},
): Running {
  const child = spawn(node, [program, ...words], {
    cwd,
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], TZ: "UTC", ...env },
    timeout: timeoutMs,
  });
  const ran: Ran = { code: null, signal: null, stdout: "", stderr: "" };
  const waiting = new Set<() => void>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    ran.stdout += text;
    for (const look of waiting) look();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    ran.stderr += text;
    for (const look of waiting) look();
  });
  const ended = new Promise<Ran>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ ...ran, code, signal }));
  });
  const holds = (of: "stdout" | "stderr", text: string) =>
    new Promise<string>((resolve, reject) => {
      const look = () => void (ran[of].includes(text) && resolve(ran[of]));
      waiting.add(look);
      look();
      void ended.then(() => reject(new Error(`ended without saying ${text}: ${ran.stdout}${ran.stderr}`)), reject);
    });
  const said = async (text: string) => void (await holds("stdout", text));
  const complained = (text: string) => holds("stderr", text);
  return { child, said, complained, ended };
}

export function run(words: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return start(words, options).ended;
}
