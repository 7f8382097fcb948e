/** The numbers behind a managed file's owner and group. */
import type { ManagedFile } from "@needfire/shared/managed-file";
import type { Accounts } from "../accounts.ts";

export type Owner = { ok: true; uid: number; gid: number } | { ok: false; message: string };

export function owner({ owner: user, group }: ManagedFile, { users, groups }: Accounts): Owner {
  const uid = users.id(user);
  if (uid === undefined) return { ok: false, message: `there is no user "${user}" on this host` };
  const gid = groups.id(group);
  if (gid === undefined) return { ok: false, message: `there is no group "${group}" on this host` };
  return { ok: true, uid, gid };
}
