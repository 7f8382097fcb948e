/**
 * The operator's router on this machine: `router.yaml` among reactors, or beside the folder that holds them, or the file that is named.
 * Knows nothing of a master.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type LoadedRouter, loadRouter } from "@needfire/shared/router";
import type { Problem } from "@needfire/shared/yaml-file";
import { unreadable } from "./problems.ts";

const routerName = "router.yaml";

/** A file of this name that holds a reactor is one of reactors: every reactor has a `do`. */
export function isRouter(file: string, text: string): boolean {
  return basename(file) === routerName && !/^do\s*:/m.test(text);
}

/** Where the router of reactors in a directory may lie. */
export function routerPlaces(directory: string): string[] {
  return [join(directory, routerName), join(directory, "..", routerName)];
}

/** The routers of reactor files: those of one folder share one. */
export class RouterFiles {
  /** Of those that were asked for. */
  readonly problems: Problem[] = [];
  readonly #named: string | undefined;
  readonly #texts: Map<string, string>;
  readonly #loaded = new Map<string, LoadedRouter>();

  /** `named`: the file of all; otherwise it is looked for. `texts`: takes what is read, to show the places of problems. */
  constructor({ named, texts }: { named: string | undefined; texts: Map<string, string> }) {
    this.#named = named;
    this.#texts = texts;
  }

  /** Those that were found. */
  get files(): string[] {
    return [...this.#loaded.keys()];
  }

  /** Undefined: there is none. */
  routerOf(reactorFile: string): LoadedRouter | undefined {
    const file = this.#named ?? routerPlaces(dirname(reactorFile)).find(isThere);
    return file === undefined ? undefined : this.load(file);
  }

  load(file: string): LoadedRouter {
    let loaded = this.#loaded.get(file);
    if (loaded !== undefined) return loaded;
    loaded = this.#read(file);
    this.#loaded.set(file, loaded);
    if (!loaded.ok) this.problems.push(...loaded.problems);
    return loaded;
  }

  #read(file: string): LoadedRouter {
    try {
      const text = readFileSync(file, "utf8");
      this.#texts.set(file, text);
      return loadRouter(file, text);
    } catch (error) {
      return { ok: false, problems: [unreadable(file, error)] };
    }
  }
}

function isThere(file: string): boolean {
  try {
    return isRouter(file, readFileSync(file, "utf8"));
  } catch {
    // One that is there and cannot be read is told when it is loaded.
    return existsSync(file);
  }
}
