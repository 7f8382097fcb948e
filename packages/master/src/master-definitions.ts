/**
 * Everything that an operator defines on the master, as one: reactors and the router, beacons and managed files, where they come from, and
 * what is in force of them. Reactors and the router are the engine's to read (in-force.ts); here is what it says of them.
 */
import { join } from "node:path";
import type { Logger } from "pino";
import { loadBeacons, type LoadedBeacon } from "@needfire/shared/beacon";
import type { MasterConfig } from "@needfire/shared/config";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import type { MasterEventDraft } from "@needfire/shared/task";
import type { Problem } from "@needfire/shared/yaml-file";
import { Definitions, type Reloaded } from "./definitions.ts";
import { Files } from "./files.ts";
import type { ReadRules } from "./in-force.ts";
import { type KnownReactor, knownReactors } from "./known-reactor.ts";
import type { RuleFile } from "./rule-files.ts";
import type { Secrets } from "./secrets.ts";
import { UserActions } from "./user-actions.ts";

interface ReloadedKind {
  kind: "reactor" | "router" | "beacon" | "action";
  result: Reloaded;
}

/** All definitions of a master, and what is wrong in them. */
export interface MasterDefinitions {
  beacons: Definitions<LoadedBeacon>;
  files: Files;
  actions: UserActions;
  /** What may change on disk. */
  paths(): string[];
  index(): ReactorIndex<KnownReactor>;
  /** The files of reactors and of the router that are in force, and what they are made of. */
  ruleFiles(): { reactors: readonly RuleFile[]; router: RuleFile | undefined };
  /** `rules`: what the engine has just read. */
  reload(rules: ReadRules): { reloaded: ReloadedKind[]; problems: Problem[] };
  problems(): Problem[];
}

/** Reads nothing yet: `reload` does. */
export function masterDefinitions(config: MasterConfig, log: Logger, secrets: Secrets): MasterDefinitions {
  const beacons = new Definitions<LoadedBeacon>({
    paths: config.beacons,
    load: (file, text) => {
      const loaded = loadBeacons(file, text);
      return loaded.ok ? { ok: true, items: loaded.beacons } : loaded;
    },
    nameOf: ({ definition }) => definition.name,
  });
  const files = new Files({ map: config.files, root: config.files_root, blobs: join(config.state, "blobs") });
  const actions = new UserActions(config.actions);
  let index = new ReactorIndex<KnownReactor>([]);
  let known = new Map<string, KnownReactor[]>();
  let rules: ReadRules = { reloaded: [], problems: [], inputs: [], files: [], router: undefined, awaited: [], secrets: [] };
  let fileProblems: Problem[] = [];
  const problems = () => [...rules.problems, ...beacons.problems(), ...actions.problems(), ...fileProblems];
  const { files: map, files_root: root, router } = config;
  const paths = [
    ...config.reactors,
    ...(router === undefined ? [] : [router]),
    ...config.beacons,
    config.actions,
    ...(map === undefined ? [] : [map, root]),
  ];
  const takeRules = (read: ReadRules) => {
    const before = known;
    for (const [name, value] of read.secrets) secrets.know(name, value);
    known = new Map(read.files.map(({ file, reactors }) => [file, reactors === undefined ? before.get(file)! : knownReactors(reactors)]));
    index = new ReactorIndex([...known.values()].flat(), read.awaited);
    rules = { ...read, files: read.files.map((file) => ({ ...file, reactors: undefined })) };
  };
  return {
    beacons,
    files,
    actions,
    paths: () => [...paths, ...rules.inputs],
    index: () => index,
    ruleFiles: () => ({ reactors: rules.files, router: rules.router }),
    reload: (read) => {
      takeRules(read);
      const reloaded = [
        ...read.reloaded,
        { kind: "beacon" as const, result: beacons.reload() },
        { kind: "action" as const, result: actions.reload() },
      ];
      fileProblems = files.load();
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
