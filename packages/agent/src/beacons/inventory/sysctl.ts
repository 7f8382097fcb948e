/** The `sysctl` beacon: reads settings of the kernel where it shows them, below /proc/sys, and tells those that are not as they should be or changed. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type SysctlData, sysctlKey, sysctlPath } from "@needfire/shared/beacons/sysctl";
import { globBase, globMatcher } from "@needfire/shared/glob";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { type Look, polled } from "../polled.ts";

const folder = "/proc/sys";
const watchedMax = 5_000;
const valueCharactersMax = 4_096;
const namedMax = 5;

export function start(definition: DefinitionOf<"sysctl">, context: BeaconContext): RunningBeacon {
  const settings = new Settings(definition, context);
  const { interval } = definition;
  return polled(context, { interval, topic: "sysctl", restate: () => settings.restate() }, (look) => settings.look(look));
}

/** What a setting was when it was last looked at. `against`: it was told as wrong, since it should have been this. */
interface Known {
  value: string;
  against?: string;
}

/** Rows in memory: what is known of each key, by its path. */
class Settings {
  readonly #context: BeaconContext;
  readonly #expected: Map<string, string>;
  readonly #watched: Watched;
  readonly #known: Map<string, Known>;
  /** Those that are told again if they are still wrong. */
  #again = new Set<string>();

  constructor({ settings, watch, exclude }: DefinitionOf<"sysctl">, context: BeaconContext) {
    this.#context = context;
    const expected = Object.entries(settings).map(([key, value]) => [sysctlPath(key)!, normalised(String(value))] as const);
    this.#expected = new Map(expected);
    this.#watched = new Watched(watch, exclude);
    this.#known = context.memory.take() as Map<string, Known>;
  }

  look(look: Look): void {
    const unseen: string[] = [];
    const { paths, cut } = this.#watched.find();
    for (const [path, expected] of this.#expected) {
      const value = read(path);
      if (value === undefined) unseen.push(sysctlKey(path));
      else this.#judge(path, value, look, expected);
    }
    const watched = new Set(paths);
    for (const path of paths) {
      const value = this.#expected.has(path) ? undefined : read(path);
      if (value !== undefined) this.#judge(path, value, look);
    }
    for (const path of this.#known.keys()) if (!watched.has(path) && !this.#expected.has(path)) this.#keep(path, undefined);
    const named = unseen.slice(0, namedMax).join(", ");
    const missing = `cannot be read: ${named}${unseen.length > namedMax ? ` and ${unseen.length - namedMax} more` : ""}`;
    const left = `more keys are watched than can be followed (${watchedMax})`;
    this.#context.degraded(unseen.length > 0 ? missing : cut ? left : undefined);
  }

  restate(): void {
    this.#again = new Set(this.#expected.keys());
  }

  #judge(path: string, value: string, look: Look, expected?: string): void {
    const key = sysctlKey(path);
    if (look.held(key)) return;
    const known = this.#known.get(path);
    const isWrong = expected !== undefined && value !== expected;
    const again = this.#again.delete(path) && isWrong;
    const against = isWrong ? expected : undefined;
    if (known?.value === value && known.against === against && !again) return;
    const isChanged = expected === undefined ? known !== undefined && known.value !== value : isWrong;
    const isRestored = !isWrong && expected !== undefined && known?.against !== undefined;
    const wanted = expected === undefined ? {} : { expected };
    const data: SysctlData = { key, value, ...wanted, ...(known === undefined ? {} : { before: known.value }) };
    const event = { subject: key, ...look.cause(key), data };
    if (isChanged) this.#context.emit({ type: "sysctl.changed", ...event });
    else if (isRestored) this.#context.emit({ type: "sysctl.restored", ...event });
    this.#keep(path, { value, ...(against === undefined ? {} : { against }) });
  }

  #keep(path: string, known: Known | undefined): void {
    if (known === undefined) this.#known.delete(path);
    else this.#known.set(path, known);
    this.#context.memory.set(path, known);
  }
}

/** The keys that globs fit. New ones come with interfaces and modules, so they are looked for with each look. */
class Watched {
  readonly #bases: string[];
  readonly #matches: (path: string) => boolean;
  readonly #excludes: (path: string) => boolean;

  constructor(watch: string[], exclude: string[]) {
    const paths = watch.map(globPath);
    this.#bases = [...new Set(paths.map((path) => globBase(path).base))];
    this.#matches = globMatcher(paths);
    this.#excludes = exclude.length === 0 ? () => false : globMatcher(exclude.map(globPath));
  }

  find(): { paths: string[]; cut: boolean } {
    const found = new Set<string>();
    for (const base of this.#bases) this.#walk(base, found);
    return { paths: [...found].slice(0, watchedMax), cut: found.size > watchedMax };
  }

  #walk(path: string, found: Set<string>): void {
    if (found.size > watchedMax) return;
    let entries;
    try {
      entries = readdirSync(join(folder, path), { withFileTypes: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOTDIR" && this.#matches(path) && !this.#excludes(path)) found.add(path);
      return; // else an interface that went away meanwhile
    }
    for (const entry of entries) {
      const below = path === "" ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory()) this.#walk(below, found);
      else if (this.#matches(below) && !this.#excludes(below)) found.add(below);
    }
  }
}

/** A glob on keys as one on paths. */
function globPath(glob: string): string {
  return sysctlPath(glob) ?? glob;
}

/** Undefined: it is not there, or can only be written. */
function read(path: string): string | undefined {
  try {
    return normalised(readFileSync(join(folder, path), "utf8"));
  } catch {
    return undefined;
  }
}

function normalised(value: string): string {
  return value.trim().replaceAll(/\s+/g, " ").slice(0, valueCharactersMax);
}
