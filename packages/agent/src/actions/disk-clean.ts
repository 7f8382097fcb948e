/**
 * `disk.clean`: removes files below a directory. It looks at everything first, decides, and removes then; each directory is opened below the
 * one before, never through a link, and a file goes only if it is the one that was looked at.
 */
import { closeSync, constants, lstatSync, openSync, unlinkSync } from "node:fs";
import { resolve } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { durationMs } from "@needfire/shared/duration";
import { systemCode } from "@needfire/shared/errors";
import { globMatcher } from "@needfire/shared/glob";
import { type Action, type ActionContext, type Ending, failed, refused, would } from "./action.ts";
import { type Looked, openBelow, Tree } from "./directory-tree.ts";
import { pathTrouble } from "./in-parent.ts";
import { openParent } from "./parent-directory.ts";

type Args = ActionArgs<"disk.clean">;
type Result = ActionResult<"disk.clean">;

/** Files that the result names. */
const namedMax = 100;
/** Work in one turn of the event loop. */
const turnMs = 5;

export const action: Action<"disk.clean"> = { run, scope: ({ path }) => ({ path, below: true }) };

async function run(args: Args, context: ActionContext): Promise<Ending<Result>> {
  const { path } = args;
  if (resolve(path) !== path || path.includes("\0")) return refused(`${path} is not a plain absolute path`);
  if (path === "/" || /^\/(proc|sys|dev)(\/|$)/.test(path)) return refused(`${path} is not a directory to clean`);
  let tree: Tree | undefined;
  try {
    tree = openTree(path, context);
    return await clean(tree, args, context);
  } catch (error) {
    return pathTrouble(path, error);
  } finally {
    tree?.close();
  }
}

function openTree(path: string, { refusesPath }: ActionContext): Tree {
  const parent = openParent(`${path}/.`, { create: false, refusesPath });
  try {
    return new Tree(openSync(parent.entry, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW));
  } finally {
    parent.close();
  }
}

async function clean(tree: Tree, args: Args, context: ActionContext): Promise<Ending<Result>> {
  const { path } = args;
  const breathe = breather(context.signal);
  const fits = globMatcher(args.match);
  const found: Looked[] = [];
  let looks = 0;
  for (const entry of tree.walk({ crossMounts: args.cross_mounts })) {
    if (++looks > args.looks_max)
      return failed(`there are more than looks_max ${args.looks_max} entries below ${path}: nothing was removed`);
    if (entry !== undefined && fits(entry.name)) found.push(entry);
    await breathe();
  }
  const result: Result = { path, removed: 0, bytes: 0, failed: 0, refused: 0, files: [] };
  const chosen = choose(found, args, Date.now());
  const allowed = chosen.filter(({ name }) => !isKept(`${tree.name}/${name}`, context));
  result.refused = chosen.length - allowed.length;
  const gone = context.dryRun ? allowed : [];
  if (!context.dryRun) {
    for (const each of allowed) {
      if (remove(tree.fd, each)) gone.push(each);
      else result.failed++;
      await breathe();
    }
  }
  result.removed = gone.length;
  result.bytes = gone.reduce((sum, { bytes }) => sum + bytes, 0);
  const largest = gone.toSorted((a, b) => b.bytes - a.bytes).slice(0, namedMax);
  result.files = largest.map(({ name }) => name);
  return ending(result, context.dryRun);
}

/** Those that are old and large enough, but for the newest that are to be kept. */
export function choose(found: readonly Looked[], { older_than: age, larger_than: size = -1, keep }: Args, now: number): Looked[] {
  const before = age === undefined ? Infinity : now - durationMs(age);
  const byAge = found.toSorted((a, b) => b.modified - a.modified || (a.name < b.name ? -1 : 1));
  return byAge.slice(keep).filter((file) => file.modified < before && file.size > size);
}

/** Judged by its true name: a list of managed files, and a policy, know no links. */
function isKept(path: string, { managed, refusesPath }: ActionContext): boolean {
  return managed.get(path) !== undefined || refusesPath(path) !== undefined;
}

/** False: it is not the file any more that was looked at, or cannot be removed. */
function remove(root: number, { name, identity }: Looked): boolean {
  const parts = name.split("/");
  const last = parts.pop() ?? "";
  let directory: number | undefined;
  try {
    directory = openBelow(root, parts);
    const entry = `/proc/self/fd/${directory}/${last}`;
    const stat = lstatSync(entry, { bigint: true });
    if (!stat.isFile() || `${stat.dev}:${stat.ino}` !== identity) return false;
    unlinkSync(entry);
    return true;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return false;
  } finally {
    if (directory !== undefined) closeSync(directory);
  }
}

function ending(result: Result, dryRun: boolean): Ending<Result> {
  const { removed, bytes, failed: left, refused: kept, path } = result;
  const notes = [left > 0 ? `${left} could not be removed` : "", kept > 0 ? `${kept} are kept by the policy or as managed files` : ""];
  const message = [`${removed} files of ${bytes} bytes`, ...notes.filter((note) => note !== "")].join("; ");
  if (dryRun)
    return removed === 0
      ? { outcome: "succeeded", changed: false, message, result }
      : { ...would(`remove ${message} below ${path}`), result };
  return { outcome: left > 0 && removed === 0 ? "failed" : "succeeded", changed: removed > 0, message, result };
}

/** Lets others have the event loop from time to time, and ends the work when it is not wanted any more. */
function breather(signal: AbortSignal): () => Promise<void> {
  let turnEnds = performance.now() + turnMs;
  return async () => {
    if (performance.now() < turnEnds) return;
    await nextTurn();
    if (signal.aborted) throw new Error(String(signal.reason));
    turnEnds = performance.now() + turnMs;
  };
}
