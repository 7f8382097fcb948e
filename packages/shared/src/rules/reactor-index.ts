/**
 * The reactors in force, found by what an event is. May give a reactor that then does not match, never leaves one out that would.
 */
import type { Event } from "../event.ts";
import type { AgentView } from "../target.ts";
import type { Reactor } from "./types.ts";

/** Distinct event types whose reactors are remembered; beyond it they are looked up anew. */
const typesRememberedMax = 10_000;

export class ReactorIndex {
  /** In order of definition, those that are off among them. */
  readonly reactors: readonly Reactor[];
  readonly #byType = new Map<string, readonly Reactor[]>();

  constructor(reactors: readonly Reactor[]) {
    this.reactors = reactors;
  }

  /** Whether an event of this type can concern any. */
  hearsType(type: string): boolean {
    return this.forType(type).length > 0;
  }

  /** Those that an event may concern, in order of definition. */
  candidates(event: Event, _agent: AgentView): readonly Reactor[] {
    return this.forType(event.type);
  }

  /** The same by the type alone. The same array for the same type, as long as it is remembered. */
  forType(type: string): readonly Reactor[] {
    const known = this.#byType.get(type);
    if (known !== undefined) return known;
    const found = this.reactors.filter(({ mode, entries }) => mode !== "off" && entries.some((entry) => entry.matchesType(type)));
    if (this.#byType.size < typesRememberedMax) this.#byType.set(type, found);
    return found;
  }
}
