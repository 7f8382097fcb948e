/**
 * What remedies are changing on this host right now. The executor begins and ends them; beacons ask before they judge a path, and
 * judge afresh when one ended, so that a remedy never feeds its own beacon and a foreign change during one is not lost (P7).
 */
import { basename, dirname } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { temporaryPrefix } from "./durable-file.ts";

/**
 * What a remedy may change: a path, or all that lies below it; something that a type of beacons looks at (`topic`: service, package, ...), one of them or all; or
 * anything at all.
 */
export type RemedyScope = { path: string; below?: boolean } | Matter | "host";

export interface Matter {
  topic: string;
  subject?: string;
}

export interface EndedRemedy {
  execution: string;
  scope: RemedyScope;
}

export class Remedies {
  readonly #underWay = new Map<string, RemedyScope>();
  readonly #listeners = new Set<(ended: EndedRemedy) => void>();
  readonly #beginListeners = new Set<(scope: RemedyScope) => void>();

  /** To be called before it changes anything. */
  begin(execution: string, scope: RemedyScope): void {
    for (const listener of this.#beginListeners) listener(scope);
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
    for (const [execution, scope] of this.#underWay) if (scope !== "host" && "path" in scope && touches(scope, path)) return execution;
    return undefined;
  }

  /** The execution under way that may change anything: the last that began. */
  holdingHost(): string | undefined {
    let found: string | undefined;
    for (const [execution, scope] of this.#underWay) if (scope === "host") found = execution;
    return found;
  }

  /** For a beacon that looks from time to time: calls `ended` after a remedy that may have changed its topic, for it to look at once. */
  follow(topic: string | undefined, ended: () => void): FollowedRemedies {
    return new FollowedRemedies({ topic, underWay: this.#underWay, ended, onEnd: this.onEnd.bind(this) });
  }

  /** Calls `listener` before a remedy begins; returns the way to stop that. */
  onBegin(listener: (scope: RemedyScope) => void): () => void {
    this.#beginListeners.add(listener);
    return () => void this.#beginListeners.delete(listener);
  }

  /** Calls `listener` after a remedy ended; returns the way to stop that. */
  onEnd(listener: (ended: EndedRemedy) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

interface Followed {
  topic: string | undefined;
  underWay: ReadonlyMap<string, RemedyScope>;
  ended: () => void;
  onEnd: Remedies["onEnd"];
}

/** What one look of a beacon is told of remedies. `done`: the look is over, and has seen what they had changed by its beginning. */
export interface RemediesAtLook {
  held(subject?: string): boolean;
  cause(subject?: string): { cause?: string };
  done(): void;
}

/** The remedies that may change one topic, as a beacon sees them that compares one look with the next. Without a topic: none. */
export class FollowedRemedies {
  readonly #followed: Followed;
  /** Since the last look: what differs in the next one is their doing, as far as can be known. */
  #ended: EndedRemedy[] = [];
  readonly stop: () => void;

  constructor(followed: Followed) {
    this.#followed = followed;
    this.stop = followed.onEnd((remedy) => {
      if (followed.topic === undefined || (remedy.scope !== "host" && !this.#concerns(remedy.scope, undefined))) return;
      this.#ended.push(remedy);
      followed.ended();
    });
  }

  look(): RemediesAtLook {
    const endedBefore = this.#ended.length;
    return {
      held: (subject) => this.#find(subject, [...this.#followed.underWay]) !== undefined,
      cause: (subject) => {
        const cause = this.#cause(subject);
        return cause === undefined ? {} : { cause };
      },
      done: () => void this.#ended.splice(0, endedBefore),
    };
  }

  /** One for this very subject before a command that may have changed anything; of several the last. */
  #cause(subject: string | undefined): string | undefined {
    if (this.#followed.topic === undefined) return undefined;
    const all = [...this.#ended.map(({ execution, scope }) => [execution, scope] as const), ...this.#followed.underWay];
    return this.#find(subject, all) ?? all.findLast(([, scope]) => scope === "host")?.[0];
  }

  #find(subject: string | undefined, remedies: (readonly [string, RemedyScope])[]): string | undefined {
    return remedies.findLast(([, scope]) => this.#concerns(scope, subject))?.[0];
  }

  #concerns(scope: RemedyScope, subject: string | undefined): boolean {
    if (scope === "host" || "path" in scope || scope.topic !== this.#followed.topic) return false;
    return scope.subject === undefined || subject === undefined || scope.subject === subject;
  }
}

/** Resolves when the kernel's notifications of what a command has changed are here: they come with the next turn of the event loop. */
export async function lastNotifications(): Promise<void> {
  await nextTurn();
  await nextTurn();
}

/** A remedy for a path touches the path and, for a moment, the temporary file beside it. */
function touches({ path: remedied, below = false }: { path: string; below?: boolean }, path: string): boolean {
  if (path === remedied || (below && path.startsWith(`${remedied}/`))) return true;
  return basename(path).startsWith(temporaryPrefix(remedied)) && dirname(path) === dirname(remedied);
}
