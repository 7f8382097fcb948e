/** `file.check`: whether a managed file is as it should be. Also what `file.restore` asks before it writes. */
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import type { FileState } from "@needfire/shared/beacons/file";
import type { ManagedFile } from "@needfire/shared/managed-file";
import { type Change, desiredState, drift } from "../beacons/file/file-judge.ts";
import { readState, type Snapshot } from "../beacons/file/file-state.ts";
import type { ManagedFiles } from "../managed-files.ts";
import { type Action, type ActionContext, type Ending, failed, refused } from "./action.ts";
import { owner } from "./owner.ts";

export const action: Action<"file.check"> = { run, scope: () => undefined };

async function run({ path }: ActionArgs<"file.check">, { managed }: ActionContext): Promise<Ending<ActionResult<"file.check">>> {
  const file = managed.get(path);
  if (file === undefined) return refused(`${path} is not a managed file of this host`);
  const { changes, snapshot } = await compare(file, path, managed);
  if (snapshot.trouble !== undefined) return failed(`${path} cannot be read: ${snapshot.trouble}`);
  if (changes.length > 0) return failed(changes[0] === "removed" ? `${path} is missing` : `differs: ${changes.join(", ")}`);
  return { outcome: "succeeded", changed: false, result: { path, digest: file.digest } };
}

/** How the file at `at` differs from how it must be. */
export async function compare(file: ManagedFile, at: string, managed: ManagedFiles): Promise<{ changes: Change[]; snapshot: Snapshot }> {
  const { accounts } = managed;
  const snapshot = await readState(at, { accounts, textBytesMax: 0 });
  if (snapshot === "unchanged") throw new Error("no stamp was given");
  return { changes: drift(desired(file, managed), snapshot.state), snapshot };
}

/** With the names that this host has for its owner and group. */
function desired(file: ManagedFile, { accounts }: ManagedFiles): FileState {
  const found = owner(file, accounts);
  if (!found.ok) return desiredState(file);
  return desiredState({ ...file, owner: accounts.users.name(found.uid), group: accounts.groups.name(found.gid) });
}
