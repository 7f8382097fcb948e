/** How a managed file must be, the way a file beacon sees files: as a state of this host, and as a text for a diff. */
import type { FileState } from "@needfire/shared/beacons/file";
import { errorText } from "@needfire/shared/errors";
import type { ManagedFile } from "@needfire/shared/managed-file";
import type { Accounts } from "../../accounts.ts";
import type { ManagedFiles } from "../../managed-files.ts";
import { desiredState } from "./file-judge.ts";
import { textOf } from "./file-state.ts";

/** Names as this host shows them, so that "0" and "root" are one owner. */
export function desiredHere(file: ManagedFile, { users, groups }: Accounts): FileState {
  const uid = users.id(file.owner);
  const gid = groups.id(file.group);
  return desiredState({
    ...file,
    owner: uid === undefined ? file.owner : users.name(uid),
    group: gid === undefined ? file.group : groups.name(gid),
  });
}

export async function desiredText(
  file: ManagedFile,
  managed: ManagedFiles,
  textBytesMax: number,
): Promise<{ text: string } | { noText: string }> {
  if (file.size > textBytesMax) return { noText: "too large" };
  try {
    return textOf(await managed.content(file), textBytesMax);
  } catch (error) {
    return { noText: `not at hand (${errorText(error)})` };
  }
}
