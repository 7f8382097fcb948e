/**
 * The `mount` beacon: compares what is mounted with the look before, and with what should be. The kernel's table says it all; it is only taken
 * apart when its text has changed.
 */
import { readFileSync, statSync } from "node:fs";
import type { MountChangedData, MountData, MountWantedData } from "@needfire/shared/beacons/mount";
import { globMatcher } from "@needfire/shared/glob";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { type Mount, parseMounts, readFstab } from "./mounts.ts";
import { type Look, polled } from "../polled.ts";

const optionsMax = 60;
const optionCharactersMax = 200;

type Known = Omit<MountData, "mount">;

export function start(definition: DefinitionOf<"mount">, context: BeaconContext): RunningBeacon {
  const watch = new MountWatch(definition, context);
  const { interval } = definition;
  return polled(context, { interval, topic: "mount", restate: () => watch.restate() }, (look) => watch.look(look));
}

/** Rows in memory: `m PATH` how it is mounted, `x PATH` that it was told as missing, `baseline` that all are known. */
class MountWatch {
  readonly #definition: DefinitionOf<"mount">;
  readonly #context: BeaconContext;
  readonly #excludes: (path: string) => boolean;
  readonly #known = new Map<string, Known>();
  readonly #missing = new Set<string>();
  #hasBaseline: boolean;
  #seen = "";
  /** A remedy held something: it is looked at again though nothing changes. */
  #isOpen = false;
  #again = false;

  constructor(definition: DefinitionOf<"mount">, context: BeaconContext) {
    this.#definition = definition;
    this.#context = context;
    this.#excludes = definition.exclude.length === 0 ? () => false : globMatcher(definition.exclude);
    const rows = context.memory.take();
    this.#hasBaseline = rows.has("baseline");
    for (const [key, row] of rows) {
      if (key.startsWith("m ")) this.#known.set(key.slice(2), row as Known);
      if (key.startsWith("x ")) this.#missing.add(key.slice(2));
    }
  }

  look(look: Look): void {
    const mountinfo = readFileSync("/proc/self/mountinfo", "utf8");
    const seen = `${this.#definition.fstab ? fstabStamp() : ""}\n${mountinfo}`;
    if (seen === this.#seen && !this.#isOpen && !this.#again) return;
    this.#seen = seen;
    this.#isOpen = look.held();
    const mounts = parseMounts(mountinfo);
    if (this.#definition.changes) this.#compare(mounts, look);
    this.#expect(mounts, look);
    this.#again = false;
  }

  restate(): void {
    this.#again = true;
  }

  #compare(mounts: Map<string, Mount>, look: Look): void {
    const now = new Map([...mounts].filter(([path]) => !this.#excludes(path)).map(([path, mount]) => [path, knownOf(mount)]));
    for (const [path, known] of this.#known)
      if (this.#excludes(path)) this.#keep(path, undefined);
      else if (!now.has(path) && !look.held(path)) this.#tell("mount.removed", path, look, { mount: path, ...known }, undefined);
    for (const [path, mount] of now) {
      if (look.held(path)) continue;
      const before = this.#known.get(path);
      const changes = before === undefined ? [] : changesBetween(before, mount);
      if (before === undefined) this.#tell("mount.added", path, look, { mount: path, ...mount }, mount);
      else if (changes.length > 0) this.#tell("mount.changed", path, look, { mount: path, ...mount, before, changes }, mount);
    }
    if (this.#hasBaseline) return;
    this.#hasBaseline = true;
    this.#context.memory.set("baseline", true);
  }

  #tell(type: string, path: string, look: Look, data: MountData | MountChangedData, known: Known | undefined): void {
    if (this.#hasBaseline) this.#context.emit({ type, subject: path, ...look.cause(path), data: { ...data } });
    this.#keep(path, known);
  }

  #keep(path: string, known: Known | undefined): void {
    if (known === undefined) this.#known.delete(path);
    else this.#known.set(path, known);
    this.#context.memory.set(`m ${path}`, known);
  }

  #expect(mounts: Map<string, Mount>, look: Look): void {
    const wanted = this.#wanted();
    for (const [path, by] of wanted) {
      if (look.held(path)) continue;
      const mount = mounts.get(path);
      if (mount !== undefined) {
        if (this.#missing.has(path)) this.#tellWanted("mount.present", { ...by, device: mount.device }, look);
      } else if (!this.#missing.has(path) || this.#again) this.#tellWanted("mount.missing", by, look);
    }
    for (const path of this.#missing) if (!wanted.has(path)) this.#keepMissing(path, false);
  }

  #tellWanted(type: "mount.missing" | "mount.present", data: MountWantedData, look: Look): void {
    this.#context.emit({ type, subject: data.mount, ...look.cause(data.mount), data: { ...data } });
    this.#keepMissing(data.mount, type === "mount.missing");
  }

  #keepMissing(path: string, isMissing: boolean): void {
    if (isMissing) this.#missing.add(path);
    else this.#missing.delete(path);
    this.#context.memory.set(`x ${path}`, isMissing ? true : undefined);
  }

  #wanted(): Map<string, MountWantedData> {
    const { expected, fstab } = this.#definition;
    const byFstab = (fstab ? readFstab() : []).filter(({ options }) => !options.includes("noauto"));
    return new Map<string, MountWantedData>([
      ...byFstab.map(({ path, device }) => [bare(path), { mount: bare(path), wanted_by: "fstab", device }] as const),
      ...expected.map((path) => [bare(path), { mount: bare(path), wanted_by: "expected" }] as const),
    ]);
  }
}

/** As the kernel writes it: without a slash at the end. */
function bare(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, "") || "/" : path;
}

function knownOf({ device, filesystem, options }: Mount): Known {
  const sorted = options.filter((option) => option !== "").map((option) => option.slice(0, optionCharactersMax));
  return { device, filesystem, options: sorted.toSorted().slice(0, optionsMax) };
}

function changesBetween(before: Known, after: Known): MountChangedData["changes"] {
  const differs = {
    device: before.device !== after.device,
    filesystem: before.filesystem !== after.filesystem,
    options: before.options.join() !== after.options.join(),
  };
  return (["device", "filesystem", "options"] as const).filter((key) => differs[key]);
}

function fstabStamp(): string {
  const stat = statSync("/etc/fstab", { throwIfNoEntry: false });
  return stat === undefined ? "" : `${stat.ino}:${stat.size}:${stat.mtimeMs}`;
}
