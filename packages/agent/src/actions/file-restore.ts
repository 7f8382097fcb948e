/**
 * `file.restore`: puts a managed file back. Nobody ever sees half of it: the content is written beside the target, synced, given its
 * owner and mode, and renamed over it. What already is as it must be is not touched, so that a restore never makes an event.
 * Extended attributes and ACLs of what was there are not carried over.
 */
import { closeSync, constants, fchmodSync, fchownSync, fstatSync, fsyncSync, lstatSync, openSync } from "node:fs";
import { errorText, NeedfireError, systemCode } from "@needfire/shared/errors";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import type { ManagedFile } from "@needfire/shared/managed-file";
import { writeDurably } from "../durable-file.ts";
import { type Action, type ActionContext, type Ending, failed, refused, would } from "./action.ts";
import { compare } from "./file-check.ts";
import { type Owner, owner } from "./owner.ts";
import { openParent, type Parent } from "./parent-directory.ts";

export const action: Action<"file.restore"> = { run, scope: ({ path }) => ({ path }) };

async function run({ path }: ActionArgs<"file.restore">, context: ActionContext): Promise<Ending<ActionResult<"file.restore">>> {
  const { managed, signal } = context;
  const file = managed.get(path);
  if (file === undefined) return refused(`${path} is not a managed file of this host`);
  const owned = owner(file, managed.accounts);
  if (!owned.ok) return failed(`${path}: ${owned.message}`);
  if (signal.aborted) return failed("the agent is stopping");
  try {
    return await putBack(file, owned, context);
  } catch (error) {
    if (error instanceof NeedfireError && error.code === "PATH_REFUSED") return refused(error.message);
    if (error instanceof NeedfireError || systemCode(error) !== undefined) return failed(explain(path, error));
    throw error;
  }
}

async function putBack(
  file: ManagedFile,
  owned: Owner & { ok: true },
  { managed, dryRun, refusesPath }: ActionContext,
): Promise<Ending<ActionResult<"file.restore">>> {
  const { path, digest, size, mode } = file;
  const done = (changed: boolean): Ending<ActionResult<"file.restore">> => ({
    outcome: "succeeded",
    changed,
    result: { path, digest, bytes: size },
  });
  // Before anything is made: the content must be here, and be what it should be.
  const bytes = await managed.content(file);
  let parent: Parent;
  try {
    parent = openParent(path, { create: !dryRun, refusesPath });
  } catch (error) {
    if (dryRun && systemCode(error) === "ENOENT") return would(`write ${path}, and make its directory`);
    throw error;
  }
  try {
    const { changes, snapshot } = await compare(file, parent.entry, managed);
    if (snapshot.state?.type === "directory") return refused(`${path} is a directory: it is not replaced`);
    if (changes.length === 0) return done(false);
    if (dryRun) return would(`put ${path} back: ${changes.join(", ")}`);
    const onlyMetadata = changes.every((change) => change === "mode" || change === "owner");
    if (!(onlyMetadata && fixMetadata(parent.entry, owned, mode))) await writeDurably(parent.entry, bytes, { mode, owner: owned });
    return done(true);
  } finally {
    parent.close();
  }
}

/** Sets owner and mode of the very file that is open. False: it must be written anew. */
function fixMetadata(entry: string, { uid, gid }: { uid: number; gid: number }, mode: number): boolean {
  let fd: number;
  try {
    fd = openSync(entry, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return false; // gone, unreadable or a link by now: the rename deals with all of them
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || !isOnlyName(entry, fd)) return false;
    // The owner first: a change of owner clears the set-user-id bits. And nothing that is right already: a remedy that fails must not
    // leave a trace that looks like a new change.
    if (stat.uid !== uid || stat.gid !== gid) fchownSync(fd, uid, gid);
    if ((fstatSync(fd).mode & 0o7777) !== mode) fchmodSync(fd, mode);
    fsyncSync(fd);
    return true;
  } finally {
    closeSync(fd);
  }
}

/**
 * A file of two names may be somebody's hard link to another file, whose owner must not be changed through here. The count alone does not
 * tell, since the second name may be gone again by now: it must be one, and the name must be this one, both in a single look.
 */
function isOnlyName(entry: string, fd: number): boolean {
  const open = fstatSync(fd, { bigint: true });
  const named = lstatSync(entry, { bigint: true, throwIfNoEntry: false });
  return named !== undefined && named.nlink === 1n && named.ino === open.ino && named.dev === open.dev;
}

function explain(path: string, error: unknown): string {
  switch (systemCode(error)) {
    case "ENOSPC":
    case "EDQUOT":
      return `${path}: there is no room on the disk`;
    case "EROFS":
      return `${path}: the file system is read-only`;
    case "EPERM":
    case "EACCES":
      return `${path}: the agent may not write there (${systemCode(error)})`;
    case "ENOTDIR":
      return `${path}: a part of the path is not a directory`;
    default:
      return `${path}: ${errorText(error)}`;
  }
}
