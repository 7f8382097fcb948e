/**
 * Opens the directory that a path lies in so that nobody can swap it for another meanwhile. Each part is opened below the one before,
 * without following links; what is done then is done through the open directory. (Node has no `openat`; `/proc/self/fd` is one.)
 *
 * The rule for links on the way: one that root or the agent's own user made (`/var/run`, `/lib`) is followed, where nobody else could put
 * another in its place. Anything else is refused, since it could lead a remedy that runs as root anywhere.
 */
import { chmodSync, closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { NeedfireError, systemCode } from "@needfire/shared/errors";
import { syncDirectory } from "../durable-file.ts";

/** Linux's O_PATH, the same number on x64 and arm64: a place without the right to read it. Node does not name it. */
const placeOnly = 0o10000000;
const linksMax = 40;

/** An open parent directory. `entry`: a path to the last part of the name, valid until `close`. */
export interface Parent {
  entry: string;
  sync(): Promise<void>;
  close(): void;
}

export interface OpenParentOptions {
  create: boolean;
  /** Why the policy keeps the action from a path, given by its true name. */
  refusesPath(path: string): string | undefined;
}

/**
 * Throws `PATH_REFUSED` for somebody's link on the way, and for a place that the policy keeps the action from, whichever way leads there; and
 * what the file system says (`ENOENT`, `EACCES`). With `create`, directories that are missing are made, 0755 and the agent's own (root's).
 */
export function openParent(path: string, { create, refusesPath }: OpenParentOptions): Parent {
  const rest = dirname(path)
    .split("/")
    .filter((part) => part !== "");
  let fd = openPlace("/");
  let links = 0;
  const judge = (below: string[]) => {
    const reason = refusesPath(join(trueName(fd), ...below));
    if (reason !== undefined) throw new NeedfireError("PATH_REFUSED", reason);
  };
  try {
    for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
      const here = `/proc/self/fd/${fd}/${part}`;
      const link = trustedLink(fd, here, path);
      if (link !== undefined) {
        if (++links > linksMax) throw new NeedfireError("PATH_REFUSED", `${path}: too many symbolic links`);
        rest.unshift(...link.split("/").filter((piece) => piece !== ""));
        if (link.startsWith("/")) fd = replaced(fd, openPlace("/"));
        continue;
      }
      const below = openIfThere(here);
      if (below === undefined) judge([part, ...rest, basename(path)]); // before a directory is made
      fd = replaced(fd, below ?? (create ? made(here) : openPlace(here)));
    }
    judge([basename(path)]);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return { entry: `/proc/self/fd/${fd}/${basename(path)}`, sync: () => syncDirectory(`/proc/self/fd/${fd}/.`), close: () => closeSync(fd) };
}

function openPlace(path: string): number {
  return openSync(path, placeOnly | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

function replaced(old: number, fresh: number): number {
  closeSync(old);
  return fresh;
}

/** Where a link leads that may be followed; undefined when there is none. `fd`: the directory that it lies in. */
function trustedLink(fd: number, here: string, path: string): string | undefined {
  const stat = lstatSync(here, { throwIfNoEntry: false });
  if (!stat?.isSymbolicLink()) return undefined;
  if (!isTrusted(stat.uid))
    throw new NeedfireError("PATH_REFUSED", `${path} lies behind a symbolic link that user ${stat.uid} made: it is not followed`);
  // Between the look at the link and its reading, whoever may rename in the directory could swap it.
  const directory = fstatSync(fd);
  const othersMayRename = (directory.mode & writableByOthers) !== 0 && (directory.mode & sticky) === 0;
  if (!isTrusted(directory.uid) || othersMayRename) {
    throw new NeedfireError(
      "PATH_REFUSED",
      `${path} lies behind a symbolic link in a directory that others than root may change: it is not followed`,
    );
  }
  return readlinkSync(here);
}

const writableByOthers = 0o022;
const sticky = 0o1000;

function isTrusted(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

/** The name of an open directory as the kernel knows it: no link on the way. */
function trueName(fd: number): string {
  return readlinkSync(`/proc/self/fd/${fd}`);
}

function openIfThere(here: string): number | undefined {
  try {
    return openPlace(here);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
    return undefined;
  }
}

/** A directory that was missing a moment ago: ours, or somebody else's who was faster. */
function made(here: string): number {
  let isOurs = true;
  try {
    mkdirSync(here, 0o755);
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
    isOurs = false;
  }
  const fd = openPlace(here);
  if (isOurs) chmodSync(`/proc/self/fd/${fd}`, 0o755); // whatever the umask says
  return fd;
}
