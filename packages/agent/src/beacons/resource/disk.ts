/**
 * The `disk` beacon: space and inodes of each mounted disk over a threshold, disks that will soon be full, and disks that turned read-only.
 * One that does not answer holds up neither the others nor the beacon.
 */
import { statfs } from "node:fs/promises";
import { durationMs } from "@needfire/shared/duration";
import { globMatcher } from "@needfire/shared/glob";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { FillRate } from "./fill-rate.ts";
import { type Mount, readMounts, writableByFstab } from "../inventory/mounts.ts";
import { polled } from "../polled.ts";
import { KeptLevel } from "../threshold.ts";

/** What is watched when nothing is said: file systems that hold people's data and can fill up. */
const usual = new Set("ext2 ext3 ext4 xfs btrfs f2fs jfs reiserfs nilfs2 bcachefs zfs vfat exfat ntfs ntfs3 tmpfs".split(" "));
/** A file system that has not answered by then is told, and asked again only when it has. */
const answerMs = 5_000;

type Definition = DefinitionOf<"disk">;

export function start(definition: Definition, context: BeaconContext): RunningBeacon {
  const disks = new Disks(definition, context);
  return polled(context, { interval: definition.interval, topic: "mount", restate: () => disks.restate() }, ({ now, held }) =>
    disks.look(now, held),
  );
}

class Disks {
  readonly #definition: Definition;
  readonly #context: BeaconContext;
  readonly #wanted: (mount: Mount) => boolean;
  readonly #disks = new Map<string, Disk>();
  /** What the agent knew before it was started, by key. */
  readonly #known: Map<string, unknown>;
  /** Asked, and without an answer yet. */
  readonly #asked = new Set<string>();

  constructor(definition: Definition, context: BeaconContext) {
    this.#definition = definition;
    this.#context = context;
    this.#known = context.memory.take();
    const within = globMatcher(definition.mounts);
    const excluded = globMatcher(definition.exclude);
    const filesystems = definition.filesystems === undefined ? usual : new Set(definition.filesystems);
    // The root of a container is what its host calls an overlay.
    const holdsData = ({ path, filesystem }: Mount) =>
      filesystems.has(filesystem) || (path === "/" && definition.filesystems === undefined);
    this.#wanted = (mount) => holdsData(mount) && within(mount.path) && !excluded(mount.path);
  }

  async look(now: number, held: (subject: string) => boolean): Promise<void> {
    const mounts = onceEach([...readMounts().values()].filter((mount) => this.#wanted(mount)));
    for (const path of this.#disks.keys()) if (!mounts.some((mount) => mount.path === path)) this.#gone(path);
    const fstab = this.#definition.readonly ? writableByFstab() : new Set<string>();
    for (const mount of mounts) {
      const disk = this.#disk(mount);
      disk.begin();
      if (!held(mount.path)) disk.judgeMode(mount, fstab.has(mount.path));
    }
    await Promise.all(mounts.map((mount) => this.#measure(mount, now)));
    const silent = mounts.filter(({ path }) => this.#asked.has(path)).map(({ path }) => path);
    this.#context.degraded(silent.length === 0 ? undefined : `no answer from ${silent.slice(0, 10).join(", ")}`);
  }

  restate(): void {
    for (const disk of this.#disks.values()) disk.restate();
  }

  #disk(mount: Mount): Disk {
    const disk = this.#disks.get(mount.path) ?? new Disk(mount, this.#definition, { context: this.#context, known: this.#known });
    this.#disks.set(mount.path, disk);
    return disk;
  }

  #gone(path: string): void {
    this.#disks.get(path)?.forget();
    this.#disks.delete(path);
  }

  async #measure(mount: Mount, now: number): Promise<void> {
    const { path } = mount;
    if (this.#asked.has(path)) return;
    this.#asked.add(path);
    const { signal } = this.#context;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const giveUp = () => resolve();
    const timer = setTimeout(giveUp, answerMs);
    signal.addEventListener("abort", giveUp, { once: true });
    const answered = statfs(path)
      .then((found) => (signal.aborted ? undefined : this.#disk(mount).judge(found, now)))
      // Taken away meanwhile, or not ours to look at.
      .catch(() => undefined)
      .finally(() => this.#asked.delete(path));
    await Promise.race([answered, late]);
    clearTimeout(timer);
    // The signal outlives the look: a listener for each would stay as long as the beacon.
    signal.removeEventListener("abort", giveUp);
  }
}

/** Of a disk that is mounted at several places (bind mounts) the first: the others have the same space. */
function onceEach(mounts: Mount[]): Mount[] {
  const seen = new Set<string>();
  return mounts.filter(({ disk }) => !seen.has(disk) && seen.add(disk));
}

interface Space {
  bsize: number;
  blocks: number;
  bfree: number;
  bavail: number;
  files: number;
  ffree: number;
}

class Disk {
  readonly #place: { mount: string; device: string; filesystem: string };
  readonly #definition: Definition;
  readonly #context: BeaconContext;
  readonly #space: KeptLevel;
  readonly #inodes: KeptLevel;
  readonly #rate: FillRate;
  #filling: boolean;
  /** Undefined: not seen yet. */
  #mode: "writable" | "readonly" | "wrong" | undefined;
  /** What is wrong is said in this look although it was said before; in the next one. */
  #again = false;
  #askedAgain = false;

  constructor(mount: Mount, definition: Definition, { context, known }: { context: BeaconContext; known: Map<string, unknown> }) {
    this.#place = { mount: mount.path, device: mount.device, filesystem: mount.filesystem };
    this.#definition = definition;
    this.#context = context;
    this.#space = new KeptLevel(definition, context, { key: this.#key("space"), known });
    const { inodes_above: above, for: lasts } = definition;
    this.#inodes = new KeptLevel({ above, for: lasts }, context, { key: this.#key("inodes"), known });
    this.#rate = new FillRate(durationMs(definition.filling_over));
    this.#filling = known.get(this.#key("filling")) === true;
    const mode = known.get(this.#key("mode"));
    this.#mode = mode === "writable" || mode === "readonly" || mode === "wrong" ? mode : undefined;
  }

  /** Another look. */
  begin(): void {
    this.#again = this.#askedAgain;
    this.#askedAgain = false;
  }

  judge(found: Space, now: number): void {
    const { bsize, blocks, bfree, bavail, files, ffree } = found;
    const used = (blocks - bfree) * bsize;
    const free = bavail * bsize;
    const percent = used + free === 0 ? 0 : (used / (used + free)) * 100;
    this.#judgeLevel(this.#space, { resource: "space", percent, free, total: blocks * bsize, now });
    // File systems that make inodes as they need them have none to count.
    if (files > 0)
      this.#judgeLevel(this.#inodes, { resource: "inodes", percent: ((files - ffree) / files) * 100, free: ffree, total: files, now });
    if (this.#definition.filling !== undefined) this.#judgeRate(durationMs(this.#definition.filling), { used, free, percent, now });
  }

  judgeMode({ readonly }: Mount, shouldBeWritable: boolean): void {
    if (!this.#definition.readonly) return;
    const before = this.#mode;
    const why = before === "writable" ? "it was writable before" : shouldBeWritable ? "/etc/fstab says so" : undefined;
    const mode = !readonly ? "writable" : before === "wrong" || why !== undefined ? "wrong" : "readonly";
    if (mode === before && !(this.#again && mode === "wrong")) return;
    this.#mode = mode;
    if (mode === "wrong") this.#emit("disk.readonly", { why: why ?? "it was writable before" });
    else if (before === "wrong") this.#emit("disk.writable", {});
    this.#context.memory.set(this.#key("mode"), mode);
  }

  /** What is wrong is said once more with the next look. */
  restate(): void {
    this.#space.restate();
    this.#inodes.restate();
    this.#askedAgain = true;
  }

  /** It is mounted no more: its space is no matter; that it was writable is remembered, since it may come back read-only. */
  forget(): void {
    this.#space.forget();
    this.#inodes.forget();
    this.#context.memory.set(this.#key("filling"), undefined);
  }

  #judgeLevel(
    level: KeptLevel,
    { now, percent, ...found }: { resource: string; percent: number; free: number; total: number; now: number },
  ): void {
    const crossing = level.step(percent, now);
    if (crossing === undefined) return;
    const data = { ...this.#place, ...found, percent: rounded(percent), ...crossing.data };
    level.tell(`disk.${crossing.turned}`, { subject: this.#place.mount }, data);
  }

  #judgeRate(withinMs: number, { used, free, percent, now }: { used: number; free: number; percent: number; now: number }): void {
    const fill = this.#rate.add({ at: now, used }, free);
    if (fill === undefined) return;
    const soon = fill.fullInMs ?? Number.POSITIVE_INFINITY;
    const filling = this.#filling ? soon < 2 * withinMs : soon < withinMs;
    if (filling === this.#filling && !(this.#again && filling)) return;
    this.#filling = filling;
    const fullInMs = fill.fullInMs === undefined ? null : Math.round(fill.fullInMs);
    this.#emit(filling ? "disk.filling" : "disk.steady", {
      full_in_ms: fullInMs,
      bytes_per_s: Math.round(fill.perSecond),
      free,
      percent: rounded(percent),
    });
    this.#context.memory.set(this.#key("filling"), filling ? true : undefined);
  }

  #emit(type: string, data: Record<string, unknown>): void {
    this.#context.emit({ type, subject: this.#place.mount, data: { ...this.#place, ...data } });
  }

  #key(what: string): string {
    return `${what} ${this.#place.mount}`;
  }
}

function rounded(percent: number): number {
  return Math.round(percent * 10) / 10;
}
