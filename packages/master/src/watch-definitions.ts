/**
 * Says when definitions changed on disk. Beside what reads them, since that is done in another thread, which need not load a watcher.
 */
import { type FSWatcher, watch } from "chokidar";

/** How long files must be quiet before they are read: an editor writes more than once. */
const quietMs = 50;

/** Calls `onChange` when something below `paths` changed and is quiet again; `onError` when they cannot be watched (inotify's limit, say). */
export function watchDefinitions(
  paths: string[],
  onChange: () => void,
  onError: (error: unknown) => void,
): { ready: Promise<void>; also(paths: readonly string[]): void; stop(): Promise<void> } {
  const watcher: FSWatcher = watch(paths, { ignoreInitial: true, atomic: false });
  let timer: NodeJS.Timeout | undefined;
  watcher.on("error", onError);
  watcher.on("all", () => {
    clearTimeout(timer);
    timer = setTimeout(onChange, quietMs);
  });
  return {
    ready: new Promise((ready) => watcher.once("ready", ready)),
    also: (more) => void watcher.add([...more]),
    stop: async () => {
      clearTimeout(timer);
      await watcher.close();
    },
  };
}
