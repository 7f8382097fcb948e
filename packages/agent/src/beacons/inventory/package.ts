/**
 * The `package` beacon: compares the packages with those of the look before, when their database has changed, and asks from time to time which
 * upgrades are pending. It never changes a package, and fetches nothing.
 */
import type { PackageChanged, PackagePending, PackageUpgradable } from "@needfire/shared/beacons/package";
import { durationMs } from "@needfire/shared/duration";
import { errorText } from "@needfire/shared/errors";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { comparePackages, type PackageDifference } from "./package-compare.ts";
import { packageSource, type PackageSource } from "./package-sources.ts";
import { pendingUpgrades } from "./package-upgrades.ts";
import { type Look, polled } from "../polled.ts";

/** What an event lists at most. */
const listedMax = 1_000;

export function start(definition: DefinitionOf<"package">, context: BeaconContext): RunningBeacon {
  const watch = new PackageWatch(definition, context);
  const { interval } = definition;
  const running = polled(context, { interval, topic: "package", restate: () => watch.restate() }, (look) => watch.look(look));
  return { ...running, ready: Promise.race([watch.compared, running.ready]) };
}

/** Rows in memory: `p NAME ARCHITECTURE` has the versions, `u NAME ARCHITECTURE` the upgrade that was told, `baseline` that all are known. */
class PackageWatch {
  readonly #definition: DefinitionOf<"package">;
  readonly #context: BeaconContext;
  readonly #manager: "dpkg" | "rpm";
  readonly #source: PackageSource;
  readonly #known = new Map<string, string[]>();
  readonly #pending = new Map<string, PackagePending>();
  #hasBaseline: boolean;
  #stamp = "";
  /** A remedy held something: it is looked at again though nothing changes. */
  #isOpen = false;
  #askAgainAt = 0;
  /** Packages changed with the look before: with the first look that finds nothing more, pending upgrades are asked for. */
  #wasChanged = false;
  #again = false;
  #upgradesTrouble: string | undefined;
  readonly #compared = Promise.withResolvers<void>();
  /** From then on no change is missed; that apt takes its time is no reason to wait. */
  readonly compared = this.#compared.promise;

  constructor(definition: DefinitionOf<"package">, context: BeaconContext) {
    this.#definition = definition;
    this.#context = context;
    const { manager, source } = packageSource(definition.manager, definition.root);
    this.#manager = manager;
    this.#source = source;
    const rows = context.memory.take();
    this.#hasBaseline = rows.get("baseline") === manager;
    for (const [key, row] of rows) {
      if (key.startsWith("p ")) this.#known.set(key.slice(2), row as string[]);
      if (key.startsWith("u ")) this.#pending.set(key.slice(2), row as PackagePending);
    }
  }

  async look(look: Look): Promise<void> {
    const stamp = this.#source.stamp();
    let isChanged = false;
    let isCut = false;
    if (stamp !== this.#stamp || this.#isOpen) {
      const installed = await this.#source.read(look.signal);
      this.#stamp = stamp;
      isCut = installed.cut;
      const differences = comparePackages(this.#known, installed).filter(({ data }) => !look.held(data.name));
      this.#isOpen = look.held();
      isChanged = this.#hasBaseline && differences.length > 0;
      if (isChanged) this.#tell(differences, look);
      this.#keep(differences);
    }
    this.#compared.resolve();
    if (this.#definition.upgrades && !look.held()) await this.#askUpgrades(look, this.#wasChanged && !isChanged);
    this.#wasChanged = isChanged;
    this.#context.degraded(isCut ? `there are more packages than can be followed (${this.#known.size})` : this.#upgradesTrouble);
  }

  restate(): void {
    this.#again = true;
  }

  #tell(differences: PackageDifference[], look: Look): void {
    const told = differences.map((difference) => {
      const pending = this.#pending.get(difference.key);
      const isPending = difference.kind === "upgraded" && pending?.candidate === difference.data.version;
      return isPending ? { ...difference, data: { ...difference.data, security: pending.security } } : difference;
    });
    if (!this.#definition.summary) {
      for (const { kind, data } of told)
        this.#context.emit({ type: `package.${kind}`, subject: data.name, ...look.cause(data.name), data: { ...data } });
      return;
    }
    if (told.length === 0) return;
    const listed = told.slice(0, listedMax);
    const of = (kind: PackageDifference["kind"]) => listed.filter((each) => each.kind === kind).map(({ data }) => data);
    const data = { installed: of("installed"), removed: of("removed"), upgraded: of("upgraded"), left_out: told.length - listed.length };
    this.#context.emit({ type: "package.changed", ...look.cause(told[0]!.data.name), data: data as PackageChanged });
  }

  /** In the turn in which it is told. */
  #keep(differences: PackageDifference[]): void {
    const { memory } = this.#context;
    for (const { key, versions } of differences) {
      if (versions === undefined) this.#known.delete(key);
      else this.#known.set(key, versions);
      memory.set(`p ${key}`, versions);
    }
    if (this.#hasBaseline) return;
    this.#hasBaseline = true;
    memory.set("baseline", this.#manager);
  }

  async #askUpgrades(look: Look, isSettled: boolean): Promise<void> {
    const isOver = isSettled && this.#pending.size > 0;
    if (look.now < this.#askAgainAt && !isOver && !this.#again) return;
    this.#askAgainAt = look.now + durationMs(this.#definition.upgrades_every);
    try {
      const { root } = this.#definition;
      const upgrades = await pendingUpgrades(this.#manager, { root, versions: this.#known, signal: look.signal });
      this.#upgradesTrouble = undefined;
      if (!look.signal.aborted) this.#tellUpgrades(upgrades, look);
    } catch (error) {
      // The packages are watched all the same.
      this.#upgradesTrouble = `pending upgrades cannot be told: ${errorText(error)}`;
    }
  }

  #tellUpgrades(upgrades: PackagePending[], look: Look): void {
    const { emit, memory } = this.#context;
    const now = new Map(upgrades.map((upgrade) => [`${upgrade.name} ${upgrade.architecture}`, upgrade]));
    const isNew = ([key, { candidate, security }]: [string, PackagePending]) => {
      const told = this.#pending.get(key);
      return this.#again || told?.candidate !== candidate || (security && !told.security);
    };
    const fresh = [...now].filter(isNew);
    this.#again = false;
    const gone = [...this.#pending.keys()].filter((key) => !now.has(key));
    if (fresh.length > 0) {
      const packages = fresh.slice(0, listedMax).map(([, upgrade]) => upgrade);
      const counts = { pending: now.size, security: upgrades.filter(({ security }) => security).length };
      const data: PackageUpgradable = { ...counts, packages, left_out: fresh.length - packages.length };
      emit({ type: "package.upgradable", ...look.cause(), data });
    } else if (now.size === 0 && gone.length > 0) emit({ type: "package.current", ...look.cause(), data: {} });
    for (const key of gone) {
      this.#pending.delete(key);
      memory.set(`u ${key}`, undefined);
    }
    for (const [key, upgrade] of fresh) {
      this.#pending.set(key, upgrade);
      memory.set(`u ${key}`, upgrade);
    }
  }
}
