/**
 * Hears from the kernel that something about a path may have changed. Says no more than that: what is true is read from the disk
 * afterwards. The only importer of chokidar.
 *
 * chokidar keeps the inotify watches: it attaches new directories, waits at the nearest ancestor for ones that do not exist, and finds
 * them again when they were replaced. Its own events come late (it holds and throttles them) and pass over a change of mode or owner,
 * so every raw notification counts; its events still count for what was in a new directory before the watch on it stood.
 */
import { realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { type FSWatcher, watch } from "chokidar";
import { systemCode } from "@needfire/shared/errors";
import type { FileScope } from "./file-scope.ts";

export interface WatchListener {
  /** Something may have changed at `path`. Called often, and several times for one change. */
  touched(path: string): void;
  /** A notification of the kernel came, in this turn of the event loop. */
  heard(): void;
  /** The kernel gives no more watches; from here on nothing more may be heard. Called at most once. */
  exhausted(error: Error): void;
  /** A directory cannot be watched, or another failure. */
  failed(error: Error, path: string | undefined): void;
}

export interface FileWatch {
  /** Resolves when everything that exists is watched. Never rejects. */
  ready: Promise<void>;
  close(): Promise<void>;
}

export type StartWatch = (scope: FileScope, listener: WatchListener) => FileWatch;

export const startWatch: StartWatch = (scope, listener) => {
  const roots = scope.roots();
  if (roots.length === 0) return { ready: Promise.resolve(), close: () => Promise.resolve() };
  const names = new Names(roots);
  const isRoot = new Set(names.real);
  const watcher = watch(names.real, {
    followSymlinks: false,
    ignoreInitial: true,
    // Otherwise a deletion is told 100 ms late, and editors' backup files not at all.
    atomic: false,
    ignored: (path, stats) => {
      if (stats === undefined || isRoot.has(path)) return false;
      const logical = names.logical(path);
      return !logical.some((name) => scope.wants(name) || (stats.isDirectory() && scope.descends(name)));
    },
  });
  const touched = (path: string) => {
    for (const name of names.logical(path)) listener.touched(name);
  };
  watcher.on("raw", (_event, name, details) => {
    listener.heard();
    const { watchedPath } = details as { watchedPath: string };
    // A directory's own change bears its own name.
    if (name === null || name === basename(watchedPath)) touched(watchedPath);
    if (name !== null) touched(join(watchedPath, name));
  });
  // What has changed was told raw; chokidar says so again when it has looked, which may be long after it was quiet.
  watcher.on("all", (event, path) => {
    if (event !== "change") touched(path);
  });
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  watcher.on("ready", resolve);
  hearErrors(watcher, listener, resolve);
  return {
    ready,
    close: () => {
      resolve();
      return watcher.close();
    },
  };
};

function hearErrors(watcher: FSWatcher, listener: WatchListener, ready: () => void): void {
  let exhausted = false;
  watcher.on("error", (cause) => {
    const error = cause instanceof Error ? cause : new Error(String(cause));
    const code = systemCode(error);
    if (code !== "ENOSPC" && code !== "EMFILE" && code !== "ENFILE") {
      listener.failed(error, "path" in error && typeof error.path === "string" ? error.path : undefined);
    } else if (!exhausted) {
      exhausted = true;
      listener.exhausted(error);
      ready();
    }
  });
}

/**
 * What a path is called by the beacon and by the kernel. They differ where a directory above is a symbolic link (`/var/run`, `/bin`):
 * such links are where the host's own paths lead, while a link that is watched itself is never followed.
 */
class Names {
  readonly real: string[];
  readonly #aliases: { real: string; logical: string }[];

  constructor(roots: readonly string[]) {
    const pairs = roots.map((logical) => ({ logical, real: realPath(logical) }));
    this.real = [...new Set(pairs.map(({ real }) => real))];
    this.#aliases = pairs.filter(({ real, logical }) => real !== logical);
  }

  logical(path: string): string[] {
    if (this.#aliases.length === 0) return [path];
    const names = [path];
    for (const { real, logical } of this.#aliases) {
      if (path === real || path.startsWith(`${real}/`)) names.push(logical + path.slice(real.length));
    }
    return names;
  }
}

/** Of what exists of the path; the rest stays as it is. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = join(path, "..");
    return parent === path ? path : join(realPath(parent), basename(path));
  }
}
