/** What a process holds, as the kernel counts it: what grows without an end is a leak. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { systemCode } from "@needfire/shared/errors";
import { memoryOf } from "../../bench/process-usage.ts";

export interface Usage {
  private_mb: number;
  rss_mb: number;
  handles: number;
  inotify_watches: number;
  threads: number;
  children: number;
}

export function usageOf(pid: number): Usage {
  const { rssBytes, privateBytes } = memoryOf(pid);
  const handles = readdirSync(`/proc/${pid}/fd`);
  const threads = readdirSync(`/proc/${pid}/task`);
  return {
    private_mb: privateBytes / 1e6,
    rss_mb: rssBytes / 1e6,
    handles: handles.length,
    inotify_watches: handles.reduce((sum, handle) => sum + watchesOf(pid, handle), 0),
    threads: threads.length,
    children: threads.reduce((sum, thread) => sum + readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").length - 1, 0),
  };
}

/** The kernel lists the watches of an inotify handle, a line each. */
function watchesOf(pid: number, handle: string): number {
  try {
    if (!readlinkSync(`/proc/${pid}/fd/${handle}`).includes("inotify")) return 0;
    return readFileSync(`/proc/${pid}/fdinfo/${handle}`, "utf8").match(/^inotify wd:/gm)?.length ?? 0;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return 0; // closed since it was listed
    throw error;
  }
}
