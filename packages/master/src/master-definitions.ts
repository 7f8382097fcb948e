/**
 * Everything that an operator defines on the master, as one: reactors, beacons and managed files, where they come from, and what is in
 * force of them.
 */
import { join } from "node:path";
import type { Logger } from "pino";
import { loadBeacons, type LoadedBeacon } from "@needfire/shared/beacon";
import type { MasterConfig } from "@needfire/shared/config";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { loadReactors, type Reactor } from "@needfire/shared/reactor";
import type { MasterEventDraft } from "@needfire/shared/task";
import type { Problem } from "@needfire/shared/yaml-file";
import { Definitions, type Reloaded } from "./definitions.ts";
import { Files } from "./files.ts";

interface ReloadedKind {
  kind: "reactor" | "beacon";
  result: Reloaded;
}

/** All definitions of a master, and what is wrong in them. */
export interface MasterDefinitions {
  beacons: Definitions<LoadedBeacon>;
  files: Files;
  /** What may change on disk. */
  paths: string[];
  index(): ReactorIndex;
  reactorSources(): { file: string; text: string }[];
  reload(): { reloaded: ReloadedKind[]; problems: Problem[] };
  problems(): Problem[];
}

/** Reads nothing yet: `reload` does. */
export function masterDefinitions(config: MasterConfig, log: Logger): MasterDefinitions {
  const reactors = new Definitions<Reactor>(
    config.reactors,
    (file, text) => {
      const loaded = loadReactors(file, text);
      return loaded.ok ? { ok: true, items: loaded.reactors } : loaded;
    },
    ({ name }) => name,
  );
  const beacons = new Definitions<LoadedBeacon>(
    config.beacons,
    (file, text) => {
      const loaded = loadBeacons(file, text);
      return loaded.ok ? { ok: true, items: loaded.beacons } : loaded;
    },
    ({ definition }) => definition.name,
  );
  const files = new Files({ map: config.files, root: config.files_root, blobs: join(config.state, "blobs") });
  let index = new ReactorIndex([]);
  let fileProblems: Problem[] = [];
  const problems = () => [...reactors.problems(), ...beacons.problems(), ...fileProblems];
  return {
    beacons,
    files,
    paths: [...config.reactors, ...config.beacons, ...(config.files === undefined ? [] : [config.files, config.files_root])],
    index: () => index,
    reactorSources: () => reactors.sources(),
    reload: () => {
      const reloaded = [
        { kind: "reactor" as const, result: reactors.reload() },
        { kind: "beacon" as const, result: beacons.reload() },
      ];
      fileProblems = files.load();
      index = new ReactorIndex(reactors.all());
      log.info({ reactors: index.reactors.length, beacons: beacons.all().length, files: files.all().length }, "definitions are loaded");
      return { reloaded, problems: problems() };
    },
    problems,
  };
}

/** What a reload did, as events. */
export function reloadEvents(reloaded: ReloadedKind[]): MasterEventDraft[] {
  return reloaded.flatMap(({ kind, result }) => [
    ...result.taken.map((file) => ({ type: `${kind}.loaded`, severity: "low" as const, subject: file, data: { file } })),
    ...result.refused.map((problem) => ({
      type: `${kind}.refused`,
      severity: "high" as const,
      subject: problem.file,
      data: { ...problem },
    })),
  ]);
}
