/**
 * What the engine judges by, in its own thread: the reactors of files that have been checked already, the router, what is known of agents,
 * and the marks of secrets. A file that is as before is not compiled again, since the engine stands still meanwhile.
 */
import type { Event } from "@needfire/shared/event";
import { loadReactors, type Reactor } from "@needfire/shared/reactor";
import { loadRouter, plainRoute, type RouteOf } from "@needfire/shared/router";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import type { Route } from "@needfire/shared/rules/types";
import { secretMark } from "@needfire/shared/secret";
import type { AgentView } from "@needfire/shared/target";
import { type Problem, problemText } from "@needfire/shared/yaml-file";
import { type RuleFile, takenSources } from "./rule-files.ts";

/** `nonce`: what makes the marks of secrets this master's own. */
export interface Beside {
  router?: RuleFile | undefined;
  nonce?: string;
}

/** The reactors of a file, and all that they were made of. */
interface Compiled {
  from: string;
  reactors: readonly Reactor[];
}

export class InForce {
  readonly #agents = new Map<string, AgentView>();
  #compiled = new Map<string, Compiled>();
  #route: RouteOf = plainRoute;

  /** Takes the place of all that was in force. Throws, and changes nothing, when what has been checked does not compile here. */
  setReactors(files: readonly RuleFile[], { router, nonce = "" }: Beside): ReactorIndex {
    const compiled = files.map((file): [string, Compiled] => [file.file, this.#compile(file, nonce)]);
    const routing = router === undefined ? undefined : loadRouter(router.file, router.text);
    if (routing?.ok === false) throw unlike(routing.problems);
    this.#compiled = new Map(compiled);
    this.#route = routing?.route ?? plainRoute;
    return new ReactorIndex(compiled.flatMap(([, { reactors }]) => reactors));
  }

  setAgents(views: readonly AgentView[]): void {
    for (const view of views) this.#agents.set(view.id, view);
  }

  agentView(id: string): AgentView {
    return this.#agents.get(id) ?? { id, labels: {}, facts: {} };
  }

  route(event: Event, agent: AgentView): Route {
    return this.#route(event, agent);
  }

  #compile({ file, text, taken = { files: {}, env: {} } }: RuleFile, nonce: string): Compiled {
    const from = JSON.stringify([text, taken]);
    const before = this.#compiled.get(file);
    if (before?.from === from) return before;
    const mark = (name: string) => secretMark(name, nonce);
    const loaded = loadReactors(file, text, { ...takenSources(taken), mark });
    if (!loaded.ok) throw unlike(loaded.problems);
    return { from, reactors: loaded.reactors };
  }
}

function unlike([problem]: readonly Problem[]): Error {
  return new Error(`what the main thread has checked does not compile in the engine: ${problemText(problem!)}`);
}
