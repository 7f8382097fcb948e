/**
 * What the engine judges by, in its own thread: reactors and the router, which are read and compiled here and nowhere else, what is known of
 * agents, and the marks of secrets. The main thread is told of it as plain data.
 *
 * Reading and enforcing are two steps: the main thread, which looks at events first, must go over to what was read at the same moment.
 */
import type { Event } from "@needfire/shared/event";
import { loadReactors, type Reactor } from "@needfire/shared/reactor";
import { loadRouter, plainRoute, type RouteOf } from "@needfire/shared/router";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import type { Route } from "@needfire/shared/rules/types";
import { secretMark } from "@needfire/shared/secret";
import type { AgentView } from "@needfire/shared/target";
import type { Problem } from "@needfire/shared/yaml-file";
import { Definitions, type Reloaded } from "./definitions.ts";
import { type PlainReactor, plainReactors } from "./known-reactor.ts";
import { readingSources, type RuleFile, type Taken } from "./rule-files.ts";

export interface InForceOptions {
  /** Files and directories. */
  reactors: readonly string[];
  router?: string | undefined;
  /** What makes the marks of secrets this master's own. */
  nonce: string;
}

/** `reactors` undefined: as they were when they were handed over last. */
export interface ReadFile extends RuleFile {
  reactors: PlainReactor[] | undefined;
}

/** What a look at the disk came to. */
export interface ReadRules {
  reloaded: { kind: "reactor" | "router"; result: Reloaded }[];
  problems: Problem[];
  /** Other files that reactors are made of. */
  inputs: string[];
  /** The files of reactors that are good, in their order, each with its last good text. */
  files: ReadFile[];
  router: RuleFile | undefined;
  /** Types for which verifications may wait, also of reactors that are there no more: what they have begun goes on. */
  awaited: string[];
  /** Values that were not known before, by name. */
  secrets: [name: string, value: string][];
}

/** What is judged by. */
interface Judging {
  files: RuleFile[];
  index: ReactorIndex;
  route: RouteOf;
}

export class InForce {
  readonly #agents = new Map<string, AgentView>();
  /** With an accepted key. */
  readonly #hosts = new Set<string>();
  readonly #nonce: string;
  readonly #router: string | undefined;
  readonly #reactors: Definitions<Reactor>;
  readonly #routers: Definitions<RouteOf>;
  readonly #taken = new Map<string, Taken>();
  readonly #found = new Map<string, string>();
  /** In this life nothing goes out of it: who edits files makes few of them. */
  readonly #awaited: Set<string>;
  /** What was handed over of each file. */
  #told = new Map<string, readonly Reactor[]>();
  #judging: Judging = { files: [], index: new ReactorIndex<Reactor>([]), route: plainRoute };

  /** `lastGood`: the text of a file of reactors that was in force when the last life ended. `awaited`: by what that has begun. */
  constructor(
    { reactors, router, nonce }: InForceOptions,
    { lastGood, awaited }: { lastGood(file: string): string | undefined; awaited: readonly string[] },
  ) {
    this.#nonce = nonce;
    this.#awaited = new Set(awaited);
    this.#router = router;
    this.#reactors = new Definitions<Reactor>({
      paths: reactors,
      load: (file, text) => this.#load(file, text),
      nameOf: ({ name }) => name,
      lastGood,
    });
    this.#routers = new Definitions<RouteOf>({
      paths: router === undefined ? [] : [router],
      load: (file, text) => {
        const loaded = loadRouter(file, text);
        return loaded.ok ? { ok: true, items: [loaded.route] } : loaded;
      },
      nameOf: () => "router",
    });
  }

  /** Looks at the disk again. What has changed is compiled, and not in force before `enforce`. */
  read(): ReadRules {
    const reloaded = [
      { kind: "reactor" as const, result: withoutFile(this.#reactors.reload(), this.#router) },
      { kind: "router" as const, result: this.#routers.reload() },
    ];
    const files = this.#reactors.held();
    for (const { listensFor } of this.#reactors.all()) for (const type of listensFor) this.#awaited.add(type);
    const told = this.#told;
    this.#told = new Map(files.map(({ file, items }) => [file, items]));
    const secrets = [...this.#found];
    this.#found.clear();
    return {
      reloaded,
      problems: [...this.#reactors.problems(), ...this.#routers.problems()],
      inputs: this.#reactors.inputs(),
      files: files.map(({ file, text, items }) => ({
        file,
        text,
        taken: this.#taken.get(file)!,
        reactors: told.get(file) === items ? undefined : plainReactors(items),
      })),
      router: this.#routers.held().map(({ file, text }) => ({ file, text }))[0],
      awaited: [...this.#awaited],
      secrets,
    };
  }

  /** What was read last is judged by from now on. */
  enforce(): ReactorIndex {
    const index = new ReactorIndex(this.#reactors.all(), [...this.#awaited]);
    const files = this.#reactors.held().map(({ file, text }) => ({ file, text }));
    this.#judging = { files, index, route: this.#routers.all()[0] ?? plainRoute };
    return index;
  }

  get reactors(): readonly Reactor[] {
    return this.#judging.index.reactors;
  }

  /** The files of reactors, each with the text that is judged by. */
  get files(): readonly RuleFile[] {
    return this.#judging.files;
  }

  setAgents(views: readonly AgentView[]): void {
    for (const view of views) this.#agents.set(view.id, view);
  }

  setHosts(ids: readonly string[], accepted: boolean): void {
    for (const id of ids)
      if (accepted) this.#hosts.add(id);
      else this.#hosts.delete(id);
  }

  hosts(): AgentView[] {
    return [...this.#hosts].map((id) => this.agentView(id));
  }

  agentView(id: string): AgentView {
    return this.#agents.get(id) ?? { id, labels: {}, facts: {} };
  }

  route(event: Event, agent: AgentView): Route {
    return this.#judging.route(event, agent);
  }

  #load(file: string, text: string) {
    // It may lie in the reactors' folder, and is none of them.
    if (file === this.#router) return { ok: true as const, items: [] };
    const reading = readingSources(file);
    const found = new Map<string, string>();
    const mark = (name: string, value: string) => (found.set(name, value), secretMark(name, this.#nonce));
    const loaded = loadReactors(file, text, { ...reading.sources, mark });
    if (!loaded.ok) return { ...loaded, inputs: reading.asked };
    this.#taken.set(file, reading.taken);
    for (const [name, value] of found) this.#found.set(name, value);
    return { ok: true as const, items: loaded.reactors, inputs: reading.asked };
  }
}

function withoutFile({ taken, refused }: Reloaded, file: string | undefined): Reloaded {
  return { taken: taken.filter((each) => each !== file), refused };
}
