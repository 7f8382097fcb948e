/** `file.remove`: removes a file or a symbolic link, never a directory, and never what is to be there. */
import { lstatSync, unlinkSync } from "node:fs";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { errorText, NeedfireError, systemCode } from "@needfire/shared/errors";
import { resolve } from "node:path";
import { type Action, type ActionContext, type Ending, failed, refused, would } from "./action.ts";
import { openParent, type Parent } from "./parent-directory.ts";

export const action: Action<"file.remove"> = { run, scope: ({ path }) => ({ path }) };

async function run(
  { path }: ActionArgs<"file.remove">,
  { managed, dryRun, refusesPath }: ActionContext,
): Promise<Ending<ActionResult<"file.remove">>> {
  if (resolve(path) !== path) return refused(`${path} is not a plain absolute path`);
  // It would be put back at once, and removed again: the list of managed files is the place to say that it must go.
  if (managed.get(path) !== undefined) return refused(`${path} is a managed file of this host`);
  let parent: Parent | undefined;
  try {
    parent = openParent(path, { create: false, refusesPath });
    const stat = lstatSync(parent.entry, { throwIfNoEntry: false });
    if (stat === undefined) return { outcome: "succeeded", changed: false, result: { path } };
    if (stat.isDirectory()) return refused(`${path} is a directory`);
    if (dryRun) return would(`remove ${path}`);
    unlinkSync(parent.entry);
    await parent.sync();
    return { outcome: "succeeded", changed: true, result: { path } };
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return { outcome: "succeeded", changed: false, result: { path } };
    if (error instanceof NeedfireError && error.code === "PATH_REFUSED") return refused(error.message);
    if (code === undefined) throw error;
    return failed(`${path}: ${errorText(error)}`);
  } finally {
    parent?.close();
  }
}
