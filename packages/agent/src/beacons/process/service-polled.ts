/**
 * Services of an init that tells nobody of changes: looked at every `interval`. OpenRC and runit keep what they know in files, which are
 * read; of init scripts, `status` is run, one after the other, each with a time limit.
 */
import { spawn } from "node:child_process";
import { closeSync, constants, existsSync, lstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Init } from "../../init.ts";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { type Look, polled } from "../polled.ts";
import { ServiceWatch, type UnitState, wanted } from "./service-watch.ts";

const statusMsMax = 10_000;
const fileBytesMax = 65_536;
/** Names in the directory of services that are looked at, at most. */
const namesMax = 4_000;

interface PolledInit {
  /** Where services are, by name; the first that is there counts. */
  directories: readonly string[];
  /** Undefined: it cannot be told. */
  look(
    unit: string,
    where: { root: string; directory: string; signal: AbortSignal },
  ): UnitState | undefined | Promise<UnitState | undefined>;
}

const inits: Record<Exclude<Init, "systemd">, PolledInit> = {
  openrc: { directories: ["/etc/init.d"], look: lookAtOpenRc },
  runit: { directories: ["/etc/service", "/var/service", "/service"], look: lookAtRunit },
  sysv: { directories: ["/etc/init.d"], look: askScript },
};

export function startPolledInit(
  definition: DefinitionOf<"service">,
  context: BeaconContext,
  { init, root }: { init: Exclude<Init, "systemd">; root: string },
): RunningBeacon {
  const { look: lookAt } = inits[init];
  const directory = servicesDirectory(init, root);
  const { names, hasGlobs, fits } = wanted(definition, (text) => text.replace(/\.service$/, ""));
  const named = new Set(names);
  let now: Look | undefined;
  const watch = new ServiceWatch({ definition, context, init, remedied: () => now ?? { held: () => false, cause: () => ({}) } });
  const options = { interval: definition.interval, topic: "service", restate: () => watch.restate() };
  return polled(context, options, async (look) => {
    now = look;
    const found = hasGlobs ? (await readdir(directory)).filter((name) => !named.has(name) && fits(name)).slice(0, namesMax) : [];
    const dumb: string[] = [];
    for (const unit of [...names, ...found]) {
      if (look.signal.aborted) return;
      const state = await lookAt(unit, { root, directory, signal: look.signal });
      if (state === undefined) dumb.push(unit);
      else watch.see(state, named.has(unit));
    }
    const there = new Set([...names, ...found]);
    for (const unit of watch.known()) if (!there.has(unit)) watch.forget(unit);
    context.degraded(dumb.length === 0 ? undefined : `cannot tell whether these run: ${dumb.slice(0, 10).join(", ")}`);
  });
}

/** What one service is doing now. Undefined: it cannot be told. */
export function lookAtService(unit: string, { init, root, signal }: { init: Exclude<Init, "systemd">; root: string; signal: AbortSignal }) {
  return inits[init].look(unit, { root, directory: servicesDirectory(init, root), signal });
}

/** Throws when there is none. */
export function servicesDirectory(init: Exclude<Init, "systemd">, root: string): string {
  const { directories } = inits[init];
  const directory = directories.map((path) => `${root}${path}`).find((path) => existsSync(path));
  if (directory === undefined) throw new Error(`there is no ${directories.join(" or ")}: no services of ${init}`);
  return directory;
}

const absent = (unit: string): UnitState => ({ unit, verdict: "stopped", details: { state: "not-found" } });

const openRcStates = [
  ["starting", "changing"],
  ["stopping", "changing"],
  ["failed", "failed"],
  ["inactive", "changing"],
  ["started", "runs"],
] as const;

/** OpenRC has a directory for each state, with the names of the services in it. */
function lookAtOpenRc(unit: string, { root, directory }: { root: string; directory: string }): UnitState {
  if (!existsSync(join(directory, unit))) return absent(unit);
  // The names are links, to a path that is right within that root only.
  const isIn = (each: string) => lstatSync(join(root, "/run/openrc", each, unit), { throwIfNoEntry: false }) !== undefined;
  const [state, verdict] = openRcStates.find(([each]) => isIn(each)) ?? ["stopped", "stopped"];
  const processes = verdict === "runs" ? openRcProcesses(root, unit) : [];
  if (processes.some((pid) => pid === undefined)) return { unit, verdict: "failed", details: { state: "crashed" } };
  // The process of supervise-daemon stays the same when what it watches is started anew.
  const lives = [...processes, openRcOption(root, unit, "child_pid")].filter((life) => life !== "");
  const life = processes.length === 0 ? undefined : lives.join(",");
  return { unit, verdict, life, details: { state } };
}

/** Of each of its daemons that has a pid file: the process, or undefined when that has ended. None: firewalls, mounts. */
function openRcProcesses(root: string, unit: string): (number | undefined)[] {
  const recorded = openRcDaemons(join(root, "/run/openrc/daemons", unit));
  // Debian's start-stop-daemon, which is not OpenRC's, leaves no records there.
  const pidFiles = recorded.length > 0 ? recorded : [openRcOption(root, unit, "pidfile")];
  return pidFiles.flatMap((pidFile) => {
    if (pidFile === "") return [];
    const pid = Number.parseInt(readText(`${root}${pidFile}`), 10);
    return [pid > 0 && existsSync(`/proc/${pid}`) ? pid : undefined];
  });
}

/** A pid file for each record; empty: it has none. */
function openRcDaemons(folder: string): string[] {
  try {
    return readdirSync(folder).map((record) => /^pidfile=(.+)$/m.exec(readText(join(folder, record)))?.[1] ?? "");
  } catch {
    return [];
  }
}

/** What a service has noted of itself; empty: nothing. */
function openRcOption(root: string, unit: string, name: "pidfile" | "child_pid"): string {
  return readText(join(root, "/run/openrc/options", unit, name)).trim();
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8").slice(0, fileBytesMax);
  } catch {
    return ""; // gone since it was listed: counts as empty
  }
}

const runitStates = ["down", "run", "finish"] as const;
/** TAI64 of the Unix epoch, with the ten seconds that they differ by. */
const tai64Epoch = 4_611_686_018_427_387_914n;

/** What runsv writes: 20 bytes with the time of the last change, the process, what is wanted, and the state. */
async function lookAtRunit(unit: string, { directory }: { directory: string }): Promise<UnitState> {
  const folder = join(directory, unit);
  if (!existsSync(folder)) return absent(unit);
  const status = await readFile(join(folder, "supervise/status")).catch(() => Buffer.alloc(0));
  if (status.length !== 20 || !isSupervised(folder)) return { unit, verdict: "stopped", details: { state: "unsupervised" } };
  const state = runitStates[status.readUInt8(19)] ?? "down";
  const returns = state === "down" && status.toString("latin1", 17, 18) === "u";
  return {
    ...{ unit, returns },
    verdict: state === "run" ? "runs" : state === "finish" ? "changing" : "stopped",
    life: state === "run" ? status.toString("hex", 0, 16) : undefined,
    at: Number(status.readBigUInt64BE(0) - tai64Epoch) * 1_000 + Math.floor(status.readUInt32BE(8) / 1e6),
    details: { state },
  };
}

/** runsv holds the other end of this pipe as long as it lives. */
function isSupervised(folder: string): boolean {
  try {
    closeSync(openSync(join(folder, "supervise/ok"), constants.O_WRONLY | constants.O_NONBLOCK));
    return true;
  } catch {
    return false; // nobody reads it, or it is not there
  }
}

/** Exit codes of `status`, by the Linux Standard Base: dead though its pid file or lock is there; not running. */
const scriptStates: Record<number, [UnitState["verdict"], string]> = {
  0: ["runs", "running"],
  1: ["failed", "dead"],
  2: ["failed", "dead"],
  3: ["stopped", "stopped"],
};

async function askScript(unit: string, { directory, signal }: { directory: string; signal: AbortSignal }): Promise<UnitState | undefined> {
  const script = join(directory, unit);
  if (!existsSync(script)) return absent(unit);
  const [verdict, state] = scriptStates[(await exitCode(script, signal)) ?? -1] ?? [];
  return verdict === undefined || state === undefined ? undefined : { unit, verdict, details: { state } };
}

/** Undefined: it could not be started, or had to be ended. */
function exitCode(script: string, signal: AbortSignal): Promise<number | undefined> {
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  const env = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C" };
  // A process group of its own: whatever it started ends with it.
  const program = spawn(script, ["status"], { stdio: "ignore", detached: true, env, cwd: "/" });
  const end = () => {
    try {
      if (program.pid !== undefined) process.kill(-program.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  };
  const timer = setTimeout(end, statusMsMax);
  signal.addEventListener("abort", end, { once: true });
  program.once("error", () => resolve(undefined));
  program.once("exit", (code) => resolve(code ?? undefined));
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  });
}
