/**
 * The beacon definitions in force on this host: those that the master pushed, kept on disk so that watching does not depend on it, and
 * local ones from YAML. A bad definition is refused where it stands; the others, and the old ones, stay in force.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { type BeaconDefinition, checkBeacon, loadBeacons } from "@needfire/shared/beacon";
import { errorText, systemCode } from "@needfire/shared/errors";
import type { EventDraft } from "@needfire/shared/event";
import { type Policy, refusesBeacon } from "@needfire/shared/policy";
import { problemText } from "@needfire/shared/yaml-file";
import type { AgentView } from "@needfire/shared/target";
import { writeSecretFile } from "./key-file.ts";

export interface DefinitionsOptions {
  /** Where the pushed ones are kept. */
  file: string;
  /** Local files, and directories of `*.yaml`. */
  localPaths: string[];
  log: Logger;
  clock: { now(): number };
  self(): AgentView;
  /** What this host obeys. Its own beacons are its own business. */
  policy(): Policy;
  emit(draft: EventDraft): void;
}

interface Pushed {
  version: string;
  definitions: BeaconDefinition[];
}

export class Definitions {
  readonly #options: DefinitionsOptions;
  #pushed: Pushed = { version: "", definitions: [] };
  /** By file, the last good content of each. */
  #local = new Map<string, BeaconDefinition[]>();

  constructor(options: DefinitionsOptions) {
    this.#options = options;
  }

  get version(): string {
    return this.#pushed.version;
  }

  /** Reads what was pushed before, and the local files. */
  load(): void {
    this.#pushed = this.#readPushed();
    this.loadLocal();
  }

  /** Takes what the master pushed. One that this agent does not understand is refused, and the old one of its name stays. */
  takePushed(version: string, values: unknown[]): void {
    const before = new Map<unknown, BeaconDefinition>(this.#pushed.definitions.map((definition) => [definition.name, definition]));
    const definitions = values.flatMap((value) => this.#check(value) ?? before.get(nameOf(value)) ?? []);
    this.#pushed = { version, definitions };
    writeSecretFile(this.#options.file, JSON.stringify(this.#pushed));
  }

  /** Reads the local files again; a file that is bad now keeps its last good content. */
  loadLocal(): void {
    const found = new Map<string, BeaconDefinition[]>();
    for (const file of this.#localFiles()) {
      const before = this.#local.get(file);
      const loaded = this.#loadFile(file);
      if (loaded.ok)
        found.set(
          file,
          loaded.beacons.filter(({ test }) => test(this.#options.self())).map(({ definition }) => definition),
        );
      else {
        if (before !== undefined) found.set(file, before);
        for (const problem of loaded.problems) this.#refuse(problemText(problem), file);
      }
    }
    this.#local = found;
  }

  /** All that the policy lets through. Of two with one name the master's is in force. */
  all(): BeaconDefinition[] {
    const byName = new Map<string, BeaconDefinition>();
    for (const definition of this.#pushed.definitions) {
      const reason = refusesBeacon(this.#options.policy(), definition);
      if (reason === undefined) byName.set(definition.name, definition);
      else this.#refuse(`${definition.name}: ${reason}`, "master");
    }
    for (const [file, definitions] of this.#local) {
      for (const definition of definitions) {
        if (byName.has(definition.name)) this.#refuse(`${file}: there is another beacon of the name "${definition.name}"`, file);
        else byName.set(definition.name, definition);
      }
    }
    return [...byName.values()];
  }

  #loadFile(file: string): ReturnType<typeof loadBeacons> {
    try {
      return loadBeacons(file, readFileSync(file, "utf8"));
    } catch (error) {
      return { ok: false, problems: [{ file, line: 1, column: 1, message: `the file cannot be read: ${errorText(error)}` }] };
    }
  }

  #readPushed(): Pushed {
    try {
      const kept = JSON.parse(readFileSync(this.#options.file, "utf8")) as { version: unknown; definitions: unknown[] };
      return { version: String(kept.version), definitions: kept.definitions.flatMap((value) => this.#check(value) ?? []) };
    } catch (error) {
      if (systemCode(error) !== "ENOENT")
        this.#refuse(`the kept definitions are damaged and wait for the master: ${errorText(error)}`, this.#options.file);
      return { version: "", definitions: [] };
    }
  }

  #check(value: unknown): BeaconDefinition | undefined {
    const checked = checkBeacon(value);
    if (checked.ok) return checked.definition;
    this.#refuse(checked.message, "master");
    return undefined;
  }

  #localFiles(): string[] {
    return this.#options.localPaths.flatMap((path) => {
      try {
        if (!statSync(path).isDirectory()) return [path];
        return readdirSync(path)
          .filter((name) => /\.ya?ml$/.test(name) && !/\.test\.ya?ml$/.test(name) && !name.startsWith("."))
          .toSorted()
          .map((name) => join(path, name));
      } catch (error) {
        if (systemCode(error) !== "ENOENT") this.#refuse(errorText(error), path);
        return [];
      }
    });
  }

  #refuse(message: string, subject: string): void {
    this.#options.log.error({ subject }, `a beacon definition was refused: ${message}`);
    this.#options.emit({ type: "beacon.refused", time: this.#options.clock.now(), severity: "high", subject, data: { message } });
  }
}

function nameOf(value: unknown): unknown {
  return typeof value === "object" && value !== null && "name" in value ? value.name : undefined;
}
