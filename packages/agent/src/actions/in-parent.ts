/**
 * Works on one path of the host: below its true directory, where neither a link nor the policy can be got around, and with every trouble of
 * the file system as an ending that says what to do about it. Managed files are left alone: they would be put back at once.
 */
import { isAbsolute, resolve } from "node:path";
import { errorText, NeedfireError, systemCode } from "@needfire/shared/errors";
import { type ActionContext, type Ending, failed, refused, would } from "./action.ts";
import { openParent, type Parent } from "./parent-directory.ts";

export async function inParent<R>(
  path: string,
  { create, context }: { create: boolean; context: ActionContext },
  work: (parent: Parent) => Promise<Ending<R>>,
): Promise<Ending<R>> {
  const { managed, dryRun, refusesPath } = context;
  if (!isAbsolute(path) || resolve(path) !== path || path.includes("\0")) return refused(`${path} is not a plain absolute path`);
  if (managed.get(path) !== undefined) return refused(`${path} is a managed file of this host: change its source on the master`);
  let parent: Parent | undefined;
  try {
    parent = openParent(path, { create: create && !dryRun, refusesPath });
    return await work(parent);
  } catch (error) {
    if (parent === undefined && create && dryRun && systemCode(error) === "ENOENT") return would(`write ${path}, and make its directory`);
    return pathTrouble(path, error);
  } finally {
    parent?.close();
  }
}

/** The ending of an action that an error of the file system or the policy ended. Throws what is neither. */
export function pathTrouble(path: string, error: unknown): ReturnType<typeof refused> | ReturnType<typeof failed> {
  if (error instanceof NeedfireError && error.code === "PATH_REFUSED") return refused(error.message);
  if (error instanceof NeedfireError) return failed(`${path}: ${error.message}`);
  if (systemCode(error) !== undefined) return failed(`${path}: ${explanation(error)}`);
  throw error;
}

function explanation(error: unknown): string {
  switch (systemCode(error)) {
    case "ENOENT":
      return "there is no such file or directory";
    case "ENOSPC":
    case "EDQUOT":
      return "there is no room on the disk";
    case "EROFS":
      return "the file system is read-only";
    case "EPERM":
    case "EACCES":
      return `the agent may not write there (${systemCode(error)})`;
    case "ENOTDIR":
      return "a part of the path is not a directory";
    default:
      return errorText(error);
  }
}
