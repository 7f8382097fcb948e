/** The `kernel` beacon: processes killed for want of memory and other messages, from the kernel's log; modules and taint, from /proc. */
import { readFileSync } from "node:fs";
import { uptime } from "node:os";
import type {
  KernelMessageData,
  KernelMissedData,
  KernelModuleData,
  KernelTaintedData,
  OomKilledData,
} from "@needfire/shared/beacons/kernel";
import { errorText, systemCode } from "@needfire/shared/errors";
import { compilePattern } from "@needfire/shared/pattern";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { bootId, KernelLog } from "./kernel-log.ts";
import { type KernelRecord, type OomConstraint, parseOomChoice, parseOomConstraint, parseOomKill, taintsAdded } from "./kernel-messages.ts";
import { polled } from "../polled.ts";

type KernelDefinition = DefinitionOf<"kernel">;

interface Place {
  boot: string;
  sequence: number;
}

interface KernelFiles {
  messages: string;
  modules: string;
  tainted: string;
}

const kernelFiles: KernelFiles = { messages: "/dev/kmsg", modules: "/proc/modules", tainted: "/proc/sys/kernel/tainted" };
const levels = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
/** A place without events is written so often. */
const keepMs = 10_000;
const messageCharactersMax = 4_096;
/** Kernels with more are none that anybody runs. */
const modulesMax = 5_000;

export function start(definition: KernelDefinition, context: BeaconContext): RunningBeacon {
  return startKernel(definition, context, kernelFiles);
}

/** `files`: where they are; a test has modules of its own. */
export function startKernel(definition: KernelDefinition, context: BeaconContext, files: KernelFiles): RunningBeacon {
  const { interval, oom, messages, modules, taint } = definition;
  const known = context.memory.take();
  const log =
    oom || messages !== "none" ? new WatchedLog(definition, context, { path: files.messages, known: known.get("place") }) : undefined;
  const loaded = modules ? new Modules(context, { path: files.modules, known: known.get("modules") }) : undefined;
  const tainted = taint ? new Taint(context, { path: files.tainted, known: known.get("tainted") }) : undefined;
  return polled(context, { interval, close: () => log?.close() }, async ({ signal }) => {
    loaded?.look();
    tainted?.look();
    while (log?.look() === true && !signal.aborted) await new Promise((resolve) => setImmediate(resolve));
    context.degraded(log?.trouble);
  });
}

class WatchedLog {
  readonly #definition: KernelDefinition;
  readonly #context: BeaconContext;
  readonly #path: string;
  readonly #ignored: (message: string) => boolean;
  readonly #levelMax: number;
  readonly #boot = bootId();
  #known: Place | undefined;
  #log: KernelLog | undefined;
  /** Said of a kill that is to come. */
  #constraint: OomConstraint | undefined;
  #keptAt = Number.NEGATIVE_INFINITY;
  #kept = -1;
  #isFirst = true;
  trouble: string | undefined;

  constructor(definition: KernelDefinition, context: BeaconContext, { path, known }: { path: string; known: unknown }) {
    this.#definition = definition;
    this.#context = context;
    this.#path = path;
    this.#known = known as Place | undefined;
    const ignore = definition.ignore.map(compilePattern);
    this.#ignored = (message) => ignore.some((one) => one.test(message));
    this.#levelMax = levels.indexOf(definition.messages);
  }

  /** One turn: events, and the place in the log behind them. True: there may be more. */
  look(): boolean {
    const log = this.#open();
    if (log === undefined) return false;
    const { records, missed, more } = log.read();
    // At the very first start what is there already is old.
    const isOld = this.#isFirst && this.#known === undefined;
    if (!more) this.#isFirst = false;
    if (isOld) {
      if (!more) this.#keep(log);
      return more;
    }
    const from = (records[0]?.sequence ?? 0) - missed;
    if (missed > 0) this.#context.emit({ type: "kernel.missed", data: { messages: missed, from } satisfies KernelMissedData });
    const told = records.filter((record) => this.#take(record)).length > 0 || missed > 0;
    if (told || (log.sequence !== this.#kept && performance.now() - this.#keptAt > keepMs)) this.#keep(log);
    return more;
  }

  close(): void {
    if (this.#log === undefined) return;
    this.#keep(this.#log);
    this.#log.close();
  }

  #open(): KernelLog | undefined {
    // Of another boot all is new.
    const after = this.#known?.boot === this.#boot ? this.#known.sequence : -1;
    try {
      this.#log ??= new KernelLog(this.#path, after);
      this.trouble = undefined;
    } catch (error) {
      this.trouble = `the kernel's log cannot be read, so its kills and messages are not seen: ${errorText(error)}`;
    }
    return this.#log;
  }

  #keep(log: KernelLog): void {
    this.#keptAt = performance.now();
    this.#kept = log.sequence;
    this.#context.memory.set("place", { boot: this.#boot, sequence: log.sequence } satisfies Place);
  }

  #take({ message, level, sequence, fromKernel, uptimeMs }: KernelRecord): boolean {
    if (!fromKernel) return false;
    const time = this.#context.clock.now() - Math.max(0, uptime() * 1_000 - uptimeMs);
    const told = this.#definition.oom && this.#takeOom(message, time);
    if (level > this.#levelMax || this.#ignored(message)) return told;
    const data: KernelMessageData = { message: message.slice(0, messageCharactersMax), level, sequence };
    this.#context.emit({ type: "kernel.message", time, data });
    return true;
  }

  #takeOom(message: string, time: number): boolean {
    this.#constraint = parseOomConstraint(message) ?? parseOomChoice(message) ?? this.#constraint;
    const kill = parseOomKill(message);
    if (kill === undefined) return false;
    const { pid: _, ...said } = this.#constraint?.pid === kill.pid ? this.#constraint : { pid: 0 };
    this.#constraint = undefined;
    const data: OomKilledData = { ...kill, ...said };
    this.#context.emit({ type: "oom.killed", subject: kill.process, time, data });
    return true;
  }
}

/** What is loaded, compared with the last look. */
class Modules {
  readonly #context: BeaconContext;
  readonly #path: string;
  #known: Map<string, KernelModuleData> | undefined;
  #text: string | undefined;

  constructor(context: BeaconContext, { path, known }: { path: string; known: unknown }) {
    this.#context = context;
    this.#path = path;
    if (Array.isArray(known)) this.#known = new Map((known as string[]).map((module) => [module, { module }]));
  }

  look(): void {
    const text = readIfThere(this.#path);
    // A kernel without modules has no such file.
    if (text === undefined || text === this.#text) return;
    this.#text = text;
    const loaded = parseModules(text);
    const before = this.#known;
    this.#known = loaded;
    const added = before === undefined ? [] : [...loaded.values()].filter(({ module }) => !before.has(module));
    const gone = before === undefined ? [] : [...before.keys()].filter((module) => !loaded.has(module));
    for (const data of added) this.#context.emit({ type: "kernel.module_loaded", subject: data.module, data });
    for (const module of gone) this.#context.emit({ type: "kernel.module_removed", subject: module, data: { module } });
    if (before === undefined || added.length + gone.length > 0) this.#context.memory.set("modules", [...loaded.keys()]);
  }
}

/** `nfs 327680 1 - Live 0x0000000000000000 (OE)`; the number of uses changes, the rest does not. */
function parseModules(text: string): Map<string, KernelModuleData> {
  const lines = text.split("\n", modulesMax).filter((line) => line !== "");
  return new Map(
    lines.map((line) => {
      const [module = "", size = ""] = line.split(" ");
      return [module, { module, size_bytes: Number.parseInt(size) || 0, flags: /\(([A-Z+-]+)\)\s*$/.exec(line)?.[1] ?? "" }];
    }),
  );
}

class Taint {
  readonly #context: BeaconContext;
  readonly #path: string;
  #known: number | undefined;

  constructor(context: BeaconContext, { path, known }: { path: string; known: unknown }) {
    this.#context = context;
    this.#path = path;
    if (typeof known === "number") this.#known = known;
  }

  look(): void {
    const value = Number.parseInt(readIfThere(this.#path) ?? "");
    if (Number.isNaN(value) || value === this.#known) return;
    const before = this.#known;
    this.#known = value;
    const added = before === undefined ? [] : taintsAdded(before, value);
    const data: KernelTaintedData = { value, before: before ?? value, added };
    // Less of it is another boot.
    if (added.length > 0) this.#context.emit({ type: "kernel.tainted", data });
    this.#context.memory.set("tainted", value);
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
