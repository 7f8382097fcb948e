/**
 * Finds every path on the disk that a file beacon is about: the first look at what is there, the look after a lost notification, and
 * the way of watching when the kernel has no watches left.
 */
import { readdir } from "node:fs/promises";
import { systemCode } from "@needfire/shared/errors";
import type { FileScope } from "./file-scope.ts";

export interface WalkOptions {
  /** Called for each path once, in no order. It may not exist any more. */
  visit(path: string): void;
  unreadable(error: unknown, directory: string): void;
  signal: AbortSignal;
}

/** Work in one turn of the event loop. */
const turnMs = 5;

export async function walk(scope: FileScope, { visit, unreadable, signal }: WalkOptions): Promise<void> {
  const visited = new Set<string>();
  const seen = (path: string) => visited.size === visited.add(path).size;
  const rest = scope.bases();
  let turnEnds = performance.now() + turnMs;
  const breathe = async () => {
    if (performance.now() < turnEnds) return;
    await new Promise((resolve) => setImmediate(resolve));
    turnEnds = performance.now() + turnMs;
  };
  for (const path of scope.paths()) {
    if (signal.aborted) return;
    if (seen(path)) continue;
    visit(path);
    if (scope.descends(path)) rest.push(path);
    await breathe();
  }
  const listed = new Set<string>();
  for (let directory = rest.pop(); directory !== undefined; directory = rest.pop()) {
    if (listed.size === listed.add(directory).size) continue;
    for (const entry of await list(directory, unreadable)) {
      if (signal.aborted) return;
      const path = directory === "/" ? `/${entry.name}` : `${directory}/${entry.name}`;
      if (scope.wants(path) && !seen(path)) visit(path);
      if (entry.isDirectory() && scope.descends(path)) rest.push(path);
      await breathe();
    }
  }
}

async function list(directory: string, unreadable: WalkOptions["unreadable"]) {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    const code = systemCode(error);
    if (code !== "ENOENT" && code !== "ENOTDIR") unreadable(error, directory);
    return [];
  }
}
