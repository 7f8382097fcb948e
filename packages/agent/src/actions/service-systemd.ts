/**
 * Units of systemd, asked for over D-Bus: a start or stop is a job, and the job's end, which systemd tells, is the answer. A job that
 * takes too long is left to go on: to cancel it would leave the service in a state that nobody asked for.
 */
import { readFileSync } from "node:fs";
import type { ActionResult } from "@needfire/shared/action";
import { type Bus, connectBus, DbusError } from "../dbus/bus.ts";
import type { Message } from "../dbus/message.ts";
import { failed, refused, would } from "./action.ts";
import type { ServiceEnding, ServiceWish, Verb } from "./service-wish.ts";

const systemd = "org.freedesktop.systemd1";
const managerPath = "/org/freedesktop/systemd1";
const socketPath = "/run/dbus/system_bus_socket";

type State = ActionResult<"service.start">["before"];

/** A unit as systemd has it now. */
interface Unit {
  id: string;
  load: string;
  active: string;
  canReload: boolean;
  state: State;
}

interface Doing {
  /** Nothing is to be done. */
  isDone(unit: Unit): boolean;
  /** Why it cannot be. */
  problem?(unit: Unit): string | undefined;
  does(manager: Manager, unit: string): Promise<{ result: string; changed: boolean }>;
}

const runs = ({ active }: Unit) => active === "active" || active === "reloading" || active === "refreshing";
const isThere = ({ id, load }: Unit) => (load === "not-found" ? `there is no unit ${id} on this host` : undefined);
const isMasked = ({ id, load }: Unit) => (load === "masked" ? `${id} is masked` : undefined);
const startable = (unit: Unit) => isThere(unit) ?? isMasked(unit);

const doings: Record<Verb, Doing> = {
  start: { isDone: runs, problem: startable, does: (manager, unit) => manager.job("StartUnit", unit) },
  stop: {
    isDone: ({ active }) => active === "inactive" || active === "failed",
    problem: isThere,
    does: (manager, unit) => manager.job("StopUnit", unit),
  },
  restart: { isDone: () => false, problem: startable, does: (manager, unit) => manager.job("RestartUnit", unit) },
  reload: {
    isDone: () => false,
    problem: (unit) =>
      isThere(unit) ??
      (runs(unit) ? undefined : `${unit.id} does not run: there is nothing to reload`) ??
      (unit.canReload ? undefined : `${unit.id} cannot reload its configuration: restart it`),
    does: (manager, unit) => manager.job("ReloadUnit", unit),
  },
  enable: {
    isDone: ({ state }) => state.enabled === "enabled",
    problem: (unit) =>
      startable(unit) ??
      (unit.state.enabled === "static" || unit.state.enabled === "generated"
        ? `${unit.id} is ${unit.state.enabled}: it has nothing that enabling would turn on`
        : undefined),
    does: (manager, unit) => manager.files("EnableUnitFiles", "asbb", [[unit], false, false]),
  },
  disable: {
    isDone: ({ load, state }) => load === "not-found" || !["enabled", "enabled-runtime", "linked"].includes(state.enabled ?? ""),
    does: (manager, unit) => manager.files("DisableUnitFiles", "asb", [[unit], false]),
  },
  mask: {
    isDone: ({ state }) => state.enabled === "masked",
    does: (manager, unit) => manager.files("MaskUnitFiles", "asbb", [[unit], false, false]),
  },
  unmask: {
    isDone: ({ load, state }) => load !== "masked" && state.enabled !== "masked",
    does: (manager, unit) => manager.files("UnmaskUnitFiles", "asb", [[unit], false]),
  },
};

const endsIt = new Set<Verb>(["stop", "restart"]);

export async function askSystemd({ verb, unit, timeoutMs, host, context }: ServiceWish): Promise<ServiceEnding> {
  const { isDone, problem, does } = doings[verb];
  const manager = await Manager.connect(`${host.root}${socketPath}`, { signal: context.signal, timeoutMs });
  try {
    const before = await manager.unit(unit);
    const ending = (changed: boolean, after: State) => ({
      changed,
      result: { unit: before.id, init: "systemd", before: before.state, after } as const,
    });
    if (isDone(before)) return { outcome: "succeeded", ...ending(false, before.state) };
    const reason = problem?.(before);
    if (reason !== undefined) return { outcome: "failed", message: reason, ...ending(false, before.state) };
    if (endsIt.has(verb) && holdsUs(before.id))
      return refused(`${before.id} is the agent itself: its end would be the end of this command`);
    if (context.dryRun) return would(`${verb} ${before.id}, which is ${before.state.state}`);
    const { result, changed } = await does(manager, before.id);
    const { state: after } = await manager.unit(before.id);
    if (result === "done") return { outcome: "succeeded", ...ending(changed, after) };
    return { outcome: "failed", message: `${verb} ${before.id}: ${explain(result, after)}`, ...ending(changed, after) };
  } catch (error) {
    if (error instanceof DbusError) return failed(`${verb} ${unit}: ${error.message}`);
    throw error;
  } finally {
    manager.close();
  }
}

function explain(result: string, { result: why, exit_code: code, signal }: State): string {
  const details = [why, code === undefined ? undefined : `exit code ${code}`, signal === undefined ? undefined : `signal ${signal}`];
  const known = details.filter((detail) => detail !== undefined).join(", ");
  const said = jobResults[result] ?? result;
  return known === "" ? said : `${said} (${known})`;
}

const jobResults: Record<string, string> = {
  failed: "systemd could not",
  timeout: "it took longer than its unit file allows",
  dependency: "something that it needs could not be started",
  canceled: "somebody asked for something else meanwhile",
  skipped: "it does not apply to the unit now",
  late: "it is not done yet, and goes on",
};

/** Whether this process belongs to the unit. */
function holdsUs(unit: string): boolean {
  try {
    return readFileSync("/proc/self/cgroup", "utf8").split(/[/\n]/).includes(unit);
  } catch {
    return false; // no control groups: no systemd that we could be a unit of
  }
}

interface ConnectOptions {
  signal: AbortSignal;
  timeoutMs: number;
}

/** One connection to systemd, for one action. */
class Manager {
  readonly #bus: Bus;
  readonly #timeoutMs: number;
  readonly #ended: Map<string, string>;
  #wake: () => void = () => undefined;
  #lost: Error | undefined;

  private constructor(bus: Bus, timeoutMs: number, ended: Map<string, string>) {
    this.#bus = bus;
    this.#timeoutMs = timeoutMs;
    this.#ended = ended;
  }

  static async connect(socket: string, { signal, timeoutMs }: ConnectOptions): Promise<Manager> {
    const ended = new Map<string, string>();
    const connected: { manager?: Manager } = {};
    const lose = (error: Error) => {
      const { manager } = connected;
      if (manager === undefined) return; // `connectBus` throws
      manager.#lost = error;
      manager.#wake();
    };
    const onSignal = ({ member, body }: Message) => {
      if (member !== "JobRemoved") return;
      ended.set(String(body[1]), String(body[3]));
      if (connected.manager !== undefined) connected.manager.#wake();
    };
    signal.addEventListener("abort", () => lose(new Error(String(signal.reason))), { once: true });
    const bus = await connectBus({ socket, signal, onSignal, onClose: lose });
    const manager = new Manager(bus, timeoutMs, ended);
    connected.manager = manager;
    await bus.match(`type='signal',sender='${systemd}',interface='${systemd}.Manager',member='JobRemoved'`);
    await manager.#ask("Subscribe");
    return manager;
  }

  close(): void {
    this.#bus.close();
  }

  async unit(name: string): Promise<Unit> {
    const [path] = await this.#ask("LoadUnit", "s", [name]);
    const of = await this.#properties(path as string, "Unit");
    const service = name.endsWith(".service") ? await this.#properties(path as string, "Service") : new Map<string, unknown>();
    const active = String(of.get("ActiveState"));
    const load = String(of.get("LoadState"));
    const enabled = String(of.get("UnitFileState") ?? "");
    const state: State = {
      state: active === "inactive" && load !== "loaded" ? load : active,
      sub_state: String(of.get("SubState")),
      ...(enabled === "" ? {} : { enabled }),
      ...(active === "failed" ? whyFailed(service) : {}),
    };
    return { id: String(of.get("Id")), load, active, canReload: of.get("CanReload") === true, state };
  }

  /** Resolves when the job has ended, with its result, or `late`. */
  async job(member: string, unit: string): Promise<{ result: string; changed: boolean }> {
    const [job] = await this.#ask(member, "ss", [unit, "replace"]);
    const result = await this.#endOf(String(job));
    return { result, changed: result !== "skipped" };
  }

  /** Changes links to unit files; what systemd knows of them is read anew when it did. */
  async files(member: string, signature: string, body: unknown[]): Promise<{ result: string; changed: boolean }> {
    const changes = (await this.#ask(member, signature, body)).at(-1) as unknown[];
    if (changes.length > 0) await this.#ask("Reload");
    return { result: "done", changed: changes.length > 0 };
  }

  async #endOf(job: string): Promise<string> {
    const until = performance.now() + this.#timeoutMs;
    for (;;) {
      const result = this.#ended.get(job);
      if (result !== undefined) return result;
      if (this.#lost !== undefined) throw this.#lost;
      const leftMs = until - performance.now();
      if (leftMs <= 0) return "late";
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = setTimeout(resolve, Math.min(leftMs, 2 ** 31 - 1));
      await promise;
      clearTimeout(timer);
    }
  }

  async #properties(path: string, of: "Unit" | "Service"): Promise<Map<string, unknown>> {
    const call = { destination: systemd, path, interface: "org.freedesktop.DBus.Properties", member: "GetAll" };
    const [values] = await this.#bus.call({ ...call, signature: "s", body: [`${systemd}.${of}`] });
    return values as Map<string, unknown>;
  }

  #ask(member: string, signature = "", body: unknown[] = []): Promise<unknown[]> {
    return this.#bus.call({ destination: systemd, path: managerPath, interface: `${systemd}.Manager`, member, signature, body });
  }
}

/** Of waitid(2): the process ended by itself, or by a signal (and left a core). */
const exited = 1;
const killed = new Set([2, 3]);

function whyFailed(service: Map<string, unknown>): Partial<State> {
  const result = service.get("Result");
  const code = service.get("ExecMainCode");
  const status = service.get("ExecMainStatus");
  return {
    ...(typeof result === "string" && result !== "success" ? { result } : {}),
    ...(code === exited && typeof status === "number" ? { exit_code: status } : {}),
    ...(typeof code === "number" && killed.has(code) && typeof status === "number" ? { signal: status } : {}),
  };
}
