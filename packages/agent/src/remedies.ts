/**
 * What remedies are changing on this host right now. The executor begins and ends them; beacons ask before they judge a path, and
 * judge afresh when one ended, so that a remedy never feeds its own beacon and a foreign change during one is not lost (P7).
 */
import { basename, dirname } from "node:path";
import { temporaryPrefix } from "./durable-file.ts";

export type RemedyScope = { path: string } | "host";

export interface EndedRemedy {
  execution: string;
  scope: RemedyScope;
}

export class Remedies {
  readonly #underWay = new Map<string, RemedyScope>();
  readonly #listeners = new Set<(ended: EndedRemedy) => void>();

  begin(execution: string, scope: RemedyScope): void {
    this.#underWay.set(execution, scope);
  }

  end(execution: string): void {
    const scope = this.#underWay.get(execution);
    if (scope === undefined) return;
    this.#underWay.delete(execution);
    for (const listener of this.#listeners) listener({ execution, scope });
  }

  /** The execution under way that may change `path`: one for this very path before one for the whole host. */
  holding(path: string): string | undefined {
    return this.holdingPath(path) ?? this.holdingHost();
  }

  /** The execution under way for this very path. */
  holdingPath(path: string): string | undefined {
    for (const [execution, scope] of this.#underWay) if (scope !== "host" && touches(scope.path, path)) return execution;
    return undefined;
  }

  /** The execution under way that may change anything: the last that began. */
  holdingHost(): string | undefined {
    let found: string | undefined;
    for (const [execution, scope] of this.#underWay) if (scope === "host") found = execution;
    return found;
  }

  /** Calls `listener` after a remedy ended; returns the way to stop that. */
  onEnd(listener: (ended: EndedRemedy) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

/** A remedy for a path touches the path and, for a moment, the temporary file beside it. */
function touches(remedied: string, path: string): boolean {
  if (path === remedied) return true;
  return basename(path).startsWith(temporaryPrefix(remedied)) && dirname(path) === dirname(remedied);
}
