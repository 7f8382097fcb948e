/** Who runs the program, for the record; who may do what is decided by who may open the socket. */
import { userInfo } from "node:os";

export function userName(): string {
  try {
    return process.env["SUDO_USER"] ?? userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "cli"); // a user without a name
  }
}
