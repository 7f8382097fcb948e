/** Files of reactors that are being written: says when something in them has changed, and is quiet again. */
import { statSync } from "node:fs";
import { dirname } from "node:path";
import { watch } from "chokidar";

/** How long files must be quiet: an editor writes more than once. */
const quietMs = 100;

export interface WatchOptions {
  /** Single files that belong to what is in a directory, and need not be there yet. */
  beside(directory: string): string[];
  /** Nothing that changes from then on is missed. */
  onReady(): Promise<void>;
  onChange(): Promise<void>;
  signal: AbortSignal;
}

/**
 * `paths`: files and directories; of a file the directory is watched, since tests and variables stand beside it. Ends with `signal`.
 */
export async function watchFiles(paths: readonly string[], { beside, onReady, onChange, signal }: WatchOptions): Promise<void> {
  const directories = paths.map(directoryOf);
  const watcher = watch([...new Set([...directories, ...directories.flatMap(beside)])], { ignoreInitial: true, atomic: false, depth: 1 });
  let changed = Promise.withResolvers<void>();
  let timer: NodeJS.Timeout | undefined;
  watcher.on("all", () => {
    clearTimeout(timer);
    timer = setTimeout(() => changed.resolve(), quietMs);
  });
  const failed = new Promise<never>((_, reject) => watcher.once("error", reject));
  const ended = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  try {
    await Promise.race([failed, ended, new Promise<void>((ready) => watcher.once("ready", ready))]);
    if (!signal.aborted) await onReady();
    while (!signal.aborted) {
      await Promise.race([changed.promise, failed, ended]);
      changed = Promise.withResolvers<void>();
      if (!signal.aborted) await onChange();
    }
  } finally {
    clearTimeout(timer);
    await watcher.close();
  }
}

function directoryOf(path: string): string {
  try {
    return statSync(path).isDirectory() ? path : dirname(path);
  } catch {
    return dirname(path);
  }
}
