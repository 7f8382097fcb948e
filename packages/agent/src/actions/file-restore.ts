/**
 * `file.restore`: puts a managed file back. Nobody ever sees half of it: the content is written beside the target, synced, given its
 * owner and mode, and renamed over it. What already is as it must be is not touched, so that a restore never makes an event.
 * Extended attributes and ACLs of what was there are not carried over.
 */
import { systemCode } from "@needfire/shared/errors";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import type { ManagedFile } from "@needfire/shared/managed-file";
import { writeDurably } from "../durable-file.ts";
import { type Action, type ActionContext, type Ending, failed, refused, would } from "./action.ts";
import { compare } from "./file-check.ts";
import { setMetadata } from "./file-metadata.ts";
import { pathTrouble } from "./in-parent.ts";
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
    return pathTrouble(path, error);
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
    if (!(onlyMetadata && setMetadata(parent.entry, { mode, uid: owned.uid, gid: owned.gid })))
      await writeDurably(parent.entry, bytes, { mode, owner: owned });
    return done(true);
  } finally {
    parent.close();
  }
}
