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
}

export interface Running {
  child: ChildProcess;
  /** Resolves when stdout holds `text`. */
  said(text: string): Promise<void>;
  ended: Promise<Ran>;
}

export function start(words: readonly string[], { cwd = "/", env = {}, node = process.execPath }: RunOptions = {}): Running {
  const child = spawn(node, [program, ...words], {
    cwd,
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], TZ: "UTC", ...env },
    timeout: runTimeoutMs,
  });
  const ran: Ran = { code: null, signal: null, stdout: "", stderr: "" };
  const waiting = new Set<() => void>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    ran.stdout += text;
    for (const look of waiting) look();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    ran.stderr += text;
  });
  const ended = new Promise<Ran>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ ...ran, code, signal }));
  });
  const said = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => void (ran.stdout.includes(text) && resolve());
      waiting.add(look);
      look();
      void ended.then(() => reject(new Error(`ended without saying ${text}: ${ran.stdout}${ran.stderr}`)), reject);
    });
  return { child, said, ended };
}

export function run(words: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return start(words, options).ended;
}
