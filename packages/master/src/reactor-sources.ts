/**
 * Where the variables of a reactor file come from: other files, seen from its own folder, and the master's environment. Both threads that
 * compile reactors ask here, so that they know the same.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Sources } from "@needfire/shared/reactor";

export function sourcesBeside(file: string): Sources {
  return {
    file: (path) => {
      try {
        return readFileSync(resolve(dirname(file), path), "utf8");
      } catch {
        return undefined; // The compiler says so, with the place where it is named.
      }
    },
    env: (name) => process.env[name],
  };
}
