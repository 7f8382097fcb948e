/**
 * Units of systemd, over D-Bus: listed once, then heard of from its signals (PropertiesChanged), so that nothing is asked while nothing
 * happens. Listed anew when systemd was reloaded or has begun anew on the bus, and when a remedy has ended. A connection that is lost is
 * the beacon's failure: it is started again.
 */
import { type Bus, connectBus, DbusError } from "../../dbus/bus.ts";
import type { Message } from "../../dbus/message.ts";
import { unitName, unitSuffix } from "../../init.ts";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { ServiceWatch, type UnitState, type Wanted, wanted } from "./service-watch.ts";

const systemd = "org.freedesktop.systemd1";
const managerPath = "/org/freedesktop/systemd1";
const unitPaths = `${managerPath}/unit/`;
const unitInterface = `${systemd}.Unit`;
const serviceInterface = `${systemd}.Service`;
const properties = "org.freedesktop.DBus.Properties";

/** Units that do not run whose details are asked for at a listing; of more the events say less. */
const detailedMax = 200;
/** How long systemd may take to begin anew. */
const retryMs = 2_000;
/** Of a unit that systemd names. */
const nameCharsMax = 255;

/** What is known of a unit: properties by systemd's names. */
type Properties = Map<string, unknown>;

export function startSystemd(definition: DefinitionOf<"service">, context: BeaconContext, socket: string): RunningBeacon {
  const units = new SystemdUnits(definition, context, socket);
  return { ready: units.start(), restate: () => units.restate(), stop: () => units.stop() };
}

class SystemdUnits {
  readonly #context: BeaconContext;
  readonly #socket: string;
  readonly #wanted: Wanted;
  readonly #watch: ServiceWatch;
  readonly #remedies;
  /** Names in full, and what systemd calls them: sshd.service is ssh.service. */
  readonly #named: Set<string>;
  readonly #units = new Map<string, Properties>();
  /** Units that were heard of since the listing began: what was heard is newer than what is listed. */
  readonly #heard = new Set<string>();
  #bus: Bus | undefined;
  #listing: Promise<void> | undefined;
  #listAgain = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(definition: DefinitionOf<"service">, context: BeaconContext, socket: string) {
    this.#context = context;
    this.#socket = socket;
    this.#wanted = wanted(definition, unitName);
    this.#named = new Set(this.#wanted.names);
    this.#remedies = context.remedies.follow("service", () => this.#list());
    this.#watch = new ServiceWatch({ definition, context, init: "systemd", remedied: () => this.#remedies.look() });
  }

  async start(): Promise<void> {
    const { signal, fail } = this.#context;
    const onSignal = (message: Message) => this.#hear(message);
    this.#bus = await connectBus({ socket: this.#socket, signal, onSignal, onClose: fail });
    for (const rule of [
      `type='signal',sender='${systemd}',interface='${systemd}.Manager',member='Reloading'`,
      ...[unitInterface, serviceInterface].map(
        (name) => `type='signal',sender='${systemd}',interface='${properties}',member='PropertiesChanged',arg0='${name}'`,
      ),
      `type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='${systemd}'`,
    ])
      await this.#bus.match(rule);
    await this.#ask("Subscribe");
    await this.#listNow();
  }

  async stop(): Promise<void> {
    this.#remedies.stop();
    clearTimeout(this.#retry);
    this.#bus?.close();
    await this.#listing?.catch(() => undefined); // told through `fail`, or it was stopped
  }

  restate(): void {
    this.#watch.restate();
  }

  #hear({ member, interface: from, path = "", body }: Message): void {
    if (member === "NameOwnerChanged" && body[2] !== "") return this.#again();
    if (member === "Reloading" && body[0] === false) return this.#list();
    if (member !== "PropertiesChanged" || from !== properties || !path.startsWith(unitPaths)) return;
    const unit = unescapePath(path.slice(unitPaths.length));
    const [about, changed] = body;
    if (!this.#isWatched(unit) || !(changed instanceof Map)) return;
    const known = this.#keep(unit, changed as Properties);
    this.#heard.add(unit);
    // The properties of a service come right before those of the unit: together they are one change.
    if (about === unitInterface) this.#see(unit, known);
  }

  #isWatched(unit: string): boolean {
    return unit.length <= nameCharsMax && (this.#named.has(unit) || this.#wanted.fits(unit));
  }

  #keep(unit: string, changed: Properties): Properties {
    const known = this.#units.get(unit) ?? new Map<string, unknown>();
    for (const name of kept) if (changed.has(name)) known.set(name, changed.get(name));
    this.#units.set(unit, known);
    return known;
  }

  #see(unit: string, known: Properties): void {
    // A unit that only its service's properties are known of was never listed, and says nothing yet.
    if (!known.has("ActiveState")) return;
    if (!this.#watch.see(stateOf(unit, known), this.#named.has(unit))) this.#units.delete(unit);
  }

  /** systemd has begun anew on the bus, and does not know that we listen. */
  #again(): void {
    this.#ask("Subscribe").then(
      () => this.#list(),
      (error: unknown) => this.#failed(error),
    );
  }

  #list(): void {
    if (this.#bus === undefined) return;
    this.#listNow().catch((error: unknown) => this.#failed(error));
  }

  #failed(error: unknown): void {
    if (this.#context.signal.aborted) return;
    // While it begins anew it answers nobody; then it is asked once more, and from its new name on the bus.
    if (!(error instanceof DbusError) || this.#retry !== undefined) return this.#context.fail(error);
    this.#retry = setTimeout(() => this.#again(), retryMs);
  }

  /** One listing at a time; one that is asked for meanwhile comes right after it. */
  #listNow(): Promise<void> {
    this.#listAgain = true;
    this.#listing ??= (async () => {
      try {
        while (this.#listAgain && !this.#context.signal.aborted) {
          this.#listAgain = false;
          await this.#listOnce();
        }
        clearTimeout(this.#retry);
        this.#retry = undefined;
      } finally {
        this.#listing = undefined;
      }
    })();
    return this.#listing;
  }

  async #listOnce(): Promise<void> {
    const remedied = this.#remedies.look();
    this.#heard.clear();
    const { names, hasGlobs } = this.#wanted;
    const remembered = this.#watch.known().filter((unit) => unitSuffix.test(unit) && this.#isWatched(unit));
    const [byName, all] = await Promise.all([
      this.#ask("ListUnitsByNames", "as", [[...new Set([...names, ...remembered])]]),
      hasGlobs ? this.#ask("ListUnits") : [[]],
    ]);
    const listed = new Map<string, Properties>();
    for (const row of byName[0] as Row[]) {
      if (!remembered.includes(row[0])) this.#named.add(row[0]);
      listed.set(row[0], listedProperties(row));
    }
    for (const row of all[0] as Row[]) if (this.#isWatched(row[0])) listed.set(row[0], listedProperties(row));
    await this.#addDetails(listed);
    for (const [unit, found] of listed) this.#take(unit, found);
    for (const unit of this.#watch.known()) if (!listed.has(unit) && !this.#heard.has(unit)) this.#watch.forget(unit);
    remedied.done();
  }

  #take(unit: string, found: Properties): void {
    const gone = found.get("LoadState") === "not-found" && found.get("ActiveState") === "inactive";
    if (gone && !this.#named.has(unit)) return this.#watch.forget(unit);
    // What is not listed is as it was: the life, and why it ended.
    const known = this.#heard.has(unit) ? this.#units.get(unit) : this.#keep(unit, found);
    this.#see(unit, known ?? found);
  }

  /** Of those that failed, since when and why; what was heard of has that already. */
  async #addDetails(listed: Map<string, Properties>): Promise<void> {
    const failed = [...listed].filter(([unit, found]) => found.get("ActiveState") === "failed" && !this.#units.has(unit));
    await Promise.all(
      failed.slice(0, detailedMax).map(async ([unit, found]) => {
        const wantedProperties = unit.endsWith(".service") ? details : details.slice(0, 1);
        await Promise.all(
          wantedProperties.map(async ([from, name]) => {
            const path = found.get("Path") as string;
            const call = { destination: systemd, path, interface: properties, member: "Get", signature: "ss", body: [from, name] };
            // It may be gone by now: then the event says less.
            const [value] = (await this.#bus?.call(call).catch(() => [])) ?? [];
            if (value !== undefined) found.set(name, value);
          }),
        );
      }),
    );
  }

  async #ask(member: string, signature = "", body: unknown[] = []): Promise<unknown[]> {
    const answer = await this.#bus?.call({
      ...{ destination: systemd, path: managerPath, interface: `${systemd}.Manager`, member },
      ...{ signature, body },
    });
    return answer ?? [];
  }
}

/** Name, description, load state, active state, sub state, followed unit, path, job's number, type and path. */
type Row = [string, string, string, string, string, string, string, number, string, string];

function listedProperties([, , load, active, sub, , path, job]: Row): Properties {
  return new Map<string, unknown>([
    ["LoadState", load],
    ["ActiveState", active],
    ["SubState", sub],
    ["Path", path],
    ["Job", [job]],
  ]);
}

const details = [
  [unitInterface, "StateChangeTimestamp"],
  [serviceInterface, "Result"],
  [serviceInterface, "ExecMainCode"],
  [serviceInterface, "ExecMainStatus"],
] as const;

const kept = ["LoadState", "ActiveState", "SubState", "Path", "Job", "InvocationID", ...details.map(([, name]) => name)];

const running = new Set(["active", "reloading", "refreshing"]);
const restarting = new Set(["auto-restart", "auto-restart-queued", "failed-before-auto-restart", "dead-before-auto-restart"]);
/** Of waitid(2): the process ended by itself, or by a signal (and left a core). */
const exited = 1;
const killed = new Set([2, 3]);

function stateOf(unit: string, known: Properties): UnitState {
  const active = text(known.get("ActiveState"));
  const sub = text(known.get("SubState"));
  const load = text(known.get("LoadState"));
  const returns = restarting.has(sub);
  const hasJob = ((known.get("Job") as unknown[] | undefined)?.[0] ?? 0) !== 0;
  const life = known.get("InvocationID");
  const changed = known.get("StateChangeTimestamp");
  return {
    unit,
    verdict: verdict({ active, returns, hasJob }),
    returns,
    life: life instanceof Uint8Array && life.length > 0 ? Buffer.from(life).toString("hex") : undefined,
    at: typeof changed === "bigint" && changed > 0n ? Number(changed) / 1_000 : undefined,
    details: {
      state: active === "inactive" && (load === "not-found" || load === "masked") ? load : active,
      ...(sub === "" ? {} : { sub_state: sub }),
      ...(running.has(active) ? {} : ending(known)),
    },
  };
}

function verdict({ active, returns, hasJob }: { active: string; returns: boolean; hasJob: boolean }): UnitState["verdict"] {
  if (running.has(active)) return "runs";
  if (returns) return "stopped";
  // With a job in the queue it is about to start, or to be stopped for good, which comes as a change of its own.
  if (active === "failed") return hasJob ? "changing" : "failed";
  return active === "inactive" && !hasJob ? "stopped" : "changing";
}

function ending(known: Properties): Partial<UnitState["details"]> {
  const result = text(known.get("Result"));
  const code = known.get("ExecMainCode");
  const status = known.get("ExecMainStatus");
  return {
    ...(result === "" || result === "success" ? {} : { result }),
    ...(code === exited && typeof status === "number" ? { exit_code: status } : {}),
    ...(typeof code === "number" && killed.has(code) && typeof status === "number" ? { signal: status } : {}),
  };
}

function text(value: unknown): string {
  return typeof value === "string" ? value.slice(0, nameCharsMax) : "";
}

/** What systemd makes of a name for a path: `nginx_2eservice`. */
function unescapePath(escaped: string): string {
  const bytes = escaped.replaceAll(/_([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}
