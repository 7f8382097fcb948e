/** Puts on the disk what was written to a path by whoever has closed it since, or what a directory says of its names. */
import { closeSync, fsyncSync, openSync } from "node:fs";
import { dirname } from "node:path";

/** A file's content, or a directory's names. */
export function syncPath(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** The directory's, after something in it got or lost its name. */
export function syncDirectoryOf(file: string): void {
  syncPath(dirname(file));
}
