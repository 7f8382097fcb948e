/**
 * One run of the program: what every command is handed. Knows the options that all commands share, makes the client and the output
 * when they are first asked for, and keeps the exit code.
 */
import type { Command } from "commander";
import { Client } from "./client.ts";
import { Output } from "./output.ts";
import { findSocket } from "./socket.ts";

/** 0 done, 1 failed, 2 wrong usage, 3 the master cannot be reached. Part of the program's contract with scripts. */
export const exit = { done: 0, failed: 1, usage: 2, unreachable: 3 } as const;
export type ExitCode = (typeof exit)[keyof typeof exit];

export class Session {
  exitCode: number = exit.done;
  readonly #program: Command;
  #client: Client | undefined;
  #out: Output | undefined;

  constructor(program: Command) {
    this.#program = program;
  }

  get master(): Client {
    const { master } = this.#program.opts<{ master?: string }>();
    return (this.#client ??= new Client(findSocket(master, process.env["NEEDFIRE_MASTER"], process.cwd())));
  }

  get out(): Output {
    const { json = false } = this.#program.opts<{ json?: boolean }>();
    const { isTTY, columns } = process.stdout;
    const plain = (process.env["NO_COLOR"] ?? "") !== "" || process.env["TERM"] === "dumb";
    return (this.#out ??= new Output({ json, colour: isTTY && !plain, width: isTTY ? columns : undefined, now: () => Date.now() }));
  }

  /** Wraps a command's body: the number that it returns becomes the exit code. */
  run<A extends unknown[]>(body: (...args: A) => Promise<number | void>): (...args: A) => Promise<void> {
    return async (...args) => {
      this.exitCode = (await body(...args)) ?? exit.done;
    };
  }
}

/** Registers the subcommands of one group. */
export type Register = (group: Command, session: Session) => void;

/** Wider than this, a purpose stands above its command instead of beside it. */
const exampleWidth = 72;

/** Examples for `--help`: a command, and what it is for. */
export function examples(...lines: readonly (readonly [command: string, purpose: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  const beside = width + Math.max(...lines.map(([, purpose]) => purpose.length)) <= exampleWidth;
  const shown = lines.map(([command, purpose]) =>
    beside ? `  $ ${command.padEnd(width)}  # ${purpose}` : `  # ${purpose}\n  $ ${command}`,
  );
  return `\nExamples:\n${shown.join("\n")}`;
}
