/** `file.mode`: mode, owner and group of a file or a directory, and of nothing that it leads to. */
import { lstatSync } from "node:fs";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { octalMode } from "../beacons/file/file-judge.ts";
import { type Action, type ActionContext, type Ending, failed, refused, would } from "./action.ts";
import { metadataOf, resolveMetadata, sameMetadata, setMetadata } from "./file-metadata.ts";
import { inParent } from "./in-parent.ts";
import type { Parent } from "./parent-directory.ts";

type Args = ActionArgs<"file.mode">;
type End = Ending<ActionResult<"file.mode">>;

export const action: Action<"file.mode"> = { run, scope: ({ path }) => ({ path }) };

async function run(args: Args, context: ActionContext): Promise<End> {
  return inParent(args.path, { create: false, context }, async (parent) => change(args, parent, context));
}

function change(args: Args, parent: Parent, { managed, dryRun }: ActionContext): End {
  const { path } = args;
  const stat = lstatSync(parent.entry);
  if (!stat.isFile() && !stat.isDirectory()) return refused(`${path} is neither a file nor a directory`);
  const resolved = resolveMetadata(args, metadataOf(stat), managed.accounts);
  if (!resolved.ok) return failed(`${path}: ${resolved.message}`);
  const { mode, uid, gid } = resolved.metadata;
  const { users, groups } = managed.accounts;
  const result = { path, mode: octalMode(mode), owner: users.name(uid), group: groups.name(gid) };
  if (sameMetadata(metadataOf(stat), resolved.metadata)) return { outcome: "succeeded", changed: false, result };
  if (dryRun) return would(`make ${path} ${result.mode} ${result.owner}:${result.group}`);
  if (!setMetadata(parent.entry, resolved.metadata)) return refused(`${path} has a second name, which may be another's file`);
  // A change of owner clears the set-user-id bits, if no mode was asked for.
  return { outcome: "succeeded", changed: true, result: { ...result, mode: octalMode(metadataOf(lstatSync(parent.entry)).mode) } };
}
