/**
 * Reactors in the thread that answers for the past: compiled anew, since what is compiled cannot be handed from thread to thread, and only
 * when a question needs them, so that neither the socket nor the judging waits for it. What is in force is told by the master; what was, is in
 * the record.
 */
import { loadReactors, type Reactor } from "@needfire/shared/reactor";
import { loadRouter, plainRoute, type RouteOf } from "@needfire/shared/router";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { secretMark } from "@needfire/shared/secret";
import { readingSources, type RuleFile, takenSources } from "./rule-files.ts";
import type { CheckedText } from "./versions.ts";

export interface RuleFiles {
  reactors: readonly RuleFile[];
  router: RuleFile | undefined;
}

/** Earlier texts of which the reactors are remembered: one question is seldom the last about its time. */
const earlierMax = 100;

export class Compiled {
  readonly #nonce: string;
  #files: RuleFiles = { reactors: [], router: undefined };
  /** Of each file that is in force, what it was compiled from last. */
  readonly #present = new Map<string, { from: string; reactors: readonly Reactor[] }>();
  readonly #earlier = new Map<string, readonly Reactor[] | undefined>();
  #index: ReactorIndex | undefined;
  #route: RouteOf | undefined;

  constructor(nonce: string) {
    this.#nonce = nonce;
  }

  setFiles(files: RuleFiles): void {
    this.#files = files;
    this.#index = undefined;
    this.#route = undefined;
    this.#earlier.clear();
    const names = new Set(files.reactors.map(({ file }) => file));
    for (const file of this.#present.keys()) if (!names.has(file)) this.#present.delete(file);
  }

  get files(): readonly RuleFile[] {
    return this.#files.reactors;
  }

  /** Those in force. */
  get index(): ReactorIndex {
    return (this.#index ??= new ReactorIndex(this.files.flatMap((file) => this.#inForce(file))));
  }

  get route(): RouteOf {
    return (this.#route ??= this.#routeInForce());
  }

  /** Of an earlier text. Undefined: it is no good any more, for want of a file that it takes something from, say. */
  earlier(file: string, text: string): readonly Reactor[] | undefined {
    const key = `${file}\0${text}`;
    if (this.#earlier.has(key)) return this.#earlier.get(key);
    const loaded = this.#load(file, text);
    const reactors = loaded.ok ? loaded.reactors : undefined;
    if (this.#earlier.size >= earlierMax) this.#earlier.clear();
    this.#earlier.set(key, reactors);
    return reactors;
  }

  check(file: string, text: string): CheckedText {
    const loaded = this.#load(file, text);
    return loaded.ok ? { ok: true, names: loaded.reactors.map(({ name }) => name) } : loaded;
  }

  #inForce({ file, text, taken }: RuleFile): readonly Reactor[] {
    const from = JSON.stringify([text, taken]);
    const before = this.#present.get(file);
    if (before?.from === from) return before.reactors;
    const loaded = this.#load(file, text, taken === undefined ? {} : takenSources(taken));
    const reactors = loaded.ok ? loaded.reactors : [];
    this.#present.set(file, { from, reactors });
    return reactors;
  }

  #load(file: string, text: string, sources = readingSources(file).sources) {
    return loadReactors(file, text, { ...sources, mark: (name) => secretMark(name, this.#nonce) });
  }

  #routeInForce(): RouteOf {
    const { router } = this.#files;
    const loaded = router === undefined ? undefined : loadRouter(router.file, router.text);
    return loaded?.ok === true ? loaded.route : plainRoute;
  }
}
