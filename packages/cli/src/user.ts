/**
 * Who runs the program, and from where, for the record: `ann from 10.1.2.3`, `ann on pts/0`. Who may do what is decided by who may open the
 * socket.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { userInfo } from "node:os";

const byCharactersMax = 100;
/** How far up it is looked for the session that a program belongs to. */
const parentsMax = 20;

export function userName(): string {
  const from = address(process.env["SSH_CONNECTION"]) ?? addressOfParents();
  return `${name()}${from === undefined ? terminalText() : ` from ${from}`}`.slice(0, byCharactersMax);
}

function name(): string {
  try {
    return process.env["SUDO_USER"] ?? userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "cli"); // a user without a name
  }
}

/** sshd's word for a session: the client's address comes first. */
function address(connection: string | undefined): string | undefined {
  const first = connection?.split(" ")[0] ?? "";
  return /^[0-9A-Za-z.:%]{1,60}$/.test(first) ? first : undefined;
}

/** sudo takes the session's word out of the environment; the shell above it still has it. */
function addressOfParents(): string | undefined {
  let id = process.ppid;
  for (let step = 0; step < parentsMax && id > 1; step++) {
    try {
      const word = readFileSync(`/proc/${id}/environ`, "utf8")
        .split("\0")
        .find((entry) => entry.startsWith("SSH_CONNECTION="));
      if (word !== undefined) return address(word.slice("SSH_CONNECTION=".length));
      const status = readFileSync(`/proc/${id}/stat`, "utf8");
      // The name stands in brackets and may hold anything.
      id = Number(status.slice(status.lastIndexOf(")") + 2).split(" ")[1]);
    } catch {
      return undefined;
    }
  }
  return undefined;
}

/** The standard input and the standard error are rarely both a pipe where somebody sits. */
function terminalText(): string {
  for (const descriptor of [0, 2]) {
    try {
      const path = readlinkSync(`/proc/self/fd/${descriptor}`);
      if (/^\/dev\/(pts\/|tty)/.test(path)) return ` on ${path.slice("/dev/".length)}`;
    } catch {
      // Not on Linux, or closed.
    }
  }
  return "";
}
