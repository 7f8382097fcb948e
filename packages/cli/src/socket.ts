/**
 * Where the master's API is: as told, else the demo's above the working directory, else where an installed master has it.
 */
import { statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { NeedfireError } from "@needfire/shared/errors";

export const installedSocket = "/run/needfire/master.sock";
const demoSocket = join(".needfire", "master.sock");
/** The kernel's limit for the path of a unix socket, less the byte that ends it. */
const socketPathBytesMax = 107;

export interface FoundSocket {
  path: string;
  from: "--master" | "NEEDFIRE_MASTER" | "demo" | "installed";
}

export function findSocket(option: string | undefined, environment: string | undefined, cwd: string): FoundSocket {
  if (option !== undefined) return { path: resolve(cwd, option), from: "--master" };
  if (environment !== undefined && environment !== "") return { path: resolve(cwd, environment), from: "NEEDFIRE_MASTER" };
  const demo = findDemo(cwd);
  return demo === undefined ? { path: installedSocket, from: "installed" } : { path: demo, from: "demo" };
}

/** Somebody else's socket above the working directory (in /tmp, say) must not pass for the master: it has to be ours or root's. */
function findDemo(from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const path = join(folder, demoSocket);
    const found = statSync(path, { throwIfNoEntry: false, bigint: false });
    if (found?.isSocket() === true && (found.uid === process.geteuid?.() || found.uid === 0)) return path;
    if (dirname(folder) === folder) return undefined;
  }
}

/** A spelling of the path that the kernel takes. */
export function connectablePath(path: string, cwd: string): string {
  const fits = (text: string) => Buffer.byteLength(text) <= socketPathBytesMax;
  const fromHere = relative(cwd, path);
  if (fits(path)) return path;
  if (fits(fromHere)) return fromHere;
  throw new NeedfireError(
    "MASTER_UNREACHABLE",
    `The path of the master's socket has more than ${socketPathBytesMax} bytes, the most that the kernel takes: ${path}. Change to a directory near it and try again.`,
  );
}
