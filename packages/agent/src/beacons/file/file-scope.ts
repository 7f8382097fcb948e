/**
 * Which paths a file beacon is about, and where one must watch to see them. Pure; what is managed comes in as a question.
 *
 * A plain path means itself and, if it is a directory, all below it. A glob means what it matches. Watching happens in directories: a
 * path is watched through its parent, because only there a rename over it shows.
 */
import { dirname } from "node:path";
import type { FileBeacon } from "@needfire/shared/beacons/file";
import { globBase, globMatcher } from "@needfire/shared/glob";

export interface FileScope {
  /** Whether the beacon is about this path. */
  wants(path: string): boolean;
  /** Whether something that the beacon is about may lie below this directory. */
  descends(directory: string): boolean;
  /** The paths that are named one by one. */
  paths(): string[];
  /** The directories below which globs can match. */
  bases(): string[];
  /** The directories to watch in; they may not exist yet. */
  roots(): string[];
}

interface Tree {
  base: string;
  /** Levels below the base at which something can match. */
  depth: number;
}

export function compileScope(
  definition: Pick<FileBeacon, "paths" | "exclude" | "managed">,
  managed: { has(path: string): boolean; paths(): string[] },
): FileScope {
  const globs = definition.paths.filter((path) => globBase(path).isGlob);
  const plain = new Set(definition.paths.filter((path) => !globBase(path).isGlob).map(withoutSlash));
  const matches = globs.length === 0 ? () => false : globMatcher(globs);
  const trees = globs.map(treeOf);
  const excludes = definition.exclude.map(withoutSlash);
  const excludeMatches = excludes.length === 0 ? () => false : globMatcher(excludes);
  const excluded = (path: string) => excludes.length > 0 && atOrAbove(path, excludeMatches);
  const below = (path: string) => plain.size > 0 && atOrAbove(path, (at) => plain.has(at));
  const isManaged = (path: string) => definition.managed && managed.has(path);
  const paths = () => [...new Set([...plain, ...(definition.managed ? managed.paths() : [])])].filter((path) => !excluded(path));
  const bases = () => [...new Set(trees.map(({ base }) => base))];
  return {
    wants: (path) => (isManaged(path) || below(path) || matches(path)) && !excluded(path),
    descends: (directory) => (below(directory) || trees.some((tree) => holds(tree, directory))) && !excluded(directory),
    paths,
    bases,
    roots: () => [...new Set([...paths().map((path) => dirname(path)), ...bases()])],
  };
}

function treeOf(glob: string): Tree {
  const base = withoutSlash(globBase(glob).base || "/");
  const rest = glob.slice(base === "/" ? 1 : base.length + 1);
  // A brace may hold slashes; then only the whole tree is safe to say.
  const depth = rest.includes("**") || /\{[^}]*\//.test(rest) ? Number.POSITIVE_INFINITY : rest.split("/").length - 1;
  return { base, depth };
}

function holds({ base, depth }: Tree, directory: string): boolean {
  if (directory === base) return true;
  const prefix = base === "/" ? "/" : `${base}/`;
  return directory.startsWith(prefix) && directory.slice(prefix.length).split("/").length <= depth;
}

function atOrAbove(path: string, test: (path: string) => boolean): boolean {
  for (let at = path; at !== "/"; at = dirname(at)) {
    if (test(at)) return true;
  }
  return test("/");
}

function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith("/") ? path.replace(/\/+$/, "") || "/" : path;
}
