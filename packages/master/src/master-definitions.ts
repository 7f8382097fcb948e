/**
 * Everything that an operator defines on the master, as one: reactors and the router, beacons and managed files, where they come from, and
 * what is in force of them.
 */
import { join } from "node:path";
import type { Logger } from "pino";
import { loadBeacons, type LoadedBeacon } from "@needfire/shared/beacon";
import type { MasterConfig } from "@needfire/shared/config";
import { loadRouter, plainRoute, type RouteOf } from "@needfire/shared/router";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { type LoadedReactors, loadReactors, type Reactor } from "@needfire/shared/reactor";
import type { MasterEventDraft } from "@needfire/shared/task";
import type { Problem } from "@needfire/shared/yaml-file";
import { Definitions, type Reloaded } from "./definitions.ts";
import { Files } from "./files.ts";
import { readingSources, type RuleFile, type Taken } from "./rule-files.ts";
import type { Secrets } from "./secrets.ts";

interface ReloadedKind {
  kind: "reactor" | "router" | "beacon";
  result: Reloaded;
}

/** All definitions of a master, and what is wrong in them. */
export interface MasterDefinitions {
  beacons: Definitions<LoadedBeacon>;
  files: Files;
  /** What may change on disk. */
  paths(): string[];
  index(): ReactorIndex;
  route: RouteOf;
  /** The files of reactors that are in force. */
  sources(): { file: string; text: string }[];
  /** Reactors of a text that is not in force, or what is wrong with it. */
  compile(file: string, text: string): LoadedReactors;
  /** What the engine is to load: checked, and with what it was made of. */
  ruleFiles(): { reactors: RuleFile[]; router: RuleFile | undefined };
  reload(): { reloaded: ReloadedKind[]; problems: Problem[] };
  problems(): Problem[];
}

/** Reads nothing yet: `reload` does. */
export function masterDefinitions(config: MasterConfig, log: Logger, secrets: Secrets): MasterDefinitions {
  const taken = new Map<string, Taken>();
  const reactors = new Definitions<Reactor>(
    config.reactors,
    (file, text) => {
      // It may lie in the reactors' folder, and is none of them.
      if (file === config.router) return { ok: true, items: [] };
      const reading = readingSources(file);
      const found = new Map<string, string>();
      const mark = (name: string, value: string) => (found.set(name, value), secrets.mark(name));
      const loaded = loadReactors(file, text, { ...reading.sources, mark });
      if (!loaded.ok) return { ...loaded, inputs: reading.asked };
      taken.set(file, reading.taken);
      for (const [name, value] of found) secrets.know(name, value);
      return { ok: true, items: loaded.reactors, inputs: reading.asked };
    },
    ({ name }) => name,
  );
  const routers = new Definitions<RouteOf>(
    config.router === undefined ? [] : [config.router],
    (file, text) => {
      const loaded = loadRouter(file, text);
      return loaded.ok ? { ok: true, items: [loaded.route] } : loaded;
    },
    () => "router",
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
  const problems = () => [...reactors.problems(), ...routers.problems(), ...beacons.problems(), ...fileProblems];
  const { files: map, files_root: root, router } = config;
  const paths = [
    ...config.reactors,
    ...(router === undefined ? [] : [router]),
    ...config.beacons,
    ...(map === undefined ? [] : [map, root]),
  ];
  return {
    beacons,
    files,
    paths: () => [...paths, ...reactors.inputs()],
    index: () => index,
    route: (event, agent) => (routers.all()[0] ?? plainRoute)(event, agent),
    sources: () => reactors.sources(),
    compile: (file, text) => loadReactors(file, text, { ...readingSources(file).sources, mark: (name) => secrets.mark(name) }),
    ruleFiles: () => ({
      reactors: reactors.sources().map((source) => ({ ...source, taken: taken.get(source.file)! })),
      router: routers.sources()[0],
    }),
    reload: () => {
      const reloaded = [
        { kind: "reactor" as const, result: withoutFile(reactors.reload(), router) },
        { kind: "router" as const, result: routers.reload() },
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

function withoutFile({ taken, refused }: Reloaded, file: string | undefined): Reloaded {
  return { taken: taken.filter((each) => each !== file), refused };
}
