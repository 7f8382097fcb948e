/** Mode, owner and group of what is there: set through the open file, so that it is the one that was looked at. */
import { closeSync, constants, fchmodSync, fchownSync, fstatSync, fsyncSync, lstatSync, openSync, type Stats } from "node:fs";
import type { Accounts } from "../accounts.ts";

export interface Metadata {
  mode: number;
  uid: number;
  gid: number;
}

/** What an author may leave out. */
export interface WantedMetadata {
  mode?: string;
  owner?: string;
  group?: string;
}

export type Resolved = { ok: true; metadata: Metadata } | { ok: false; message: string };

/** The numbers behind what is wanted; what is not said stays as `before` has it. */
export function resolveMetadata({ mode, owner, group }: WantedMetadata, before: Metadata, { users, groups }: Accounts): Resolved {
  const uid = owner === undefined ? before.uid : users.id(owner);
  if (uid === undefined) return { ok: false, message: `there is no user "${owner}" on this host` };
  const gid = group === undefined ? before.gid : groups.id(group);
  if (gid === undefined) return { ok: false, message: `there is no group "${group}" on this host` };
  return { ok: true, metadata: { mode: mode === undefined ? before.mode : Number.parseInt(mode, 8), uid, gid } };
}

export function metadataOf({ mode, uid, gid }: Stats): Metadata {
  return { mode: mode & 0o7777, uid, gid };
}

export function sameMetadata(one: Metadata, other: Metadata): boolean {
  return one.mode === other.mode && one.uid === other.uid && one.gid === other.gid;
}

/** False: it is not there any more, is a link or something special, or has another name that must not be changed through this one. */
export function setMetadata(entry: string, { mode, uid, gid }: Metadata): boolean {
  let fd: number;
  try {
    fd = openSync(entry, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return false;
  }
  try {
    const stat = fstatSync(fd);
    if (!(stat.isDirectory() || (stat.isFile() && isOnlyName(entry, fd)))) return false;
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
