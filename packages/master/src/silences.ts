/**
 * The silences in force, as the engine asks for them: which one holds back a firing of a reactor for an agent. They end by themselves, and count
 * what they have held back. What changes is handed over to be stored with the turn that changed it.
 */
import { randomBytes } from "node:crypto";
import { NeedfireError } from "@needfire/shared/errors";
import { globMatcher } from "@needfire/shared/glob";
import type { MasterEventDraft } from "@needfire/shared/task";
import type { SilenceRecord, Writes } from "./store/store.ts";

/** Each is asked for every candidate. */
export const silencesMax = 1_000;

/** `reactor`, `agent`: globs; one of them at least. */
export interface SilenceWish {
  reactor: string | undefined;
  agent: string | undefined;
  forMs: number;
  why: string;
  by: string;
}

interface Silence {
  record: SilenceRecord;
  covers(reactor: string, agent: string): boolean;
}

export class Silences {
  readonly #silences = new Map<string, Silence>();
  readonly #touched = new Set<string>();

  /** Replaces all. */
  load(records: readonly SilenceRecord[]): void {
    this.#silences.clear();
    this.#touched.clear();
    for (const record of records) this.add(record);
  }

  add(record: SilenceRecord): void {
    this.#silences.set(record.id, { record: { ...record }, covers: matcherOf(record) });
  }

  remove(id: string): void {
    this.#silences.delete(id);
    this.#touched.delete(id);
  }

  list(): SilenceRecord[] {
    return [...this.#silences.values()].map(({ record }) => ({ ...record }));
  }

  /** Throws `NOT_FOUND`. */
  get(id: string): SilenceRecord {
    const silence = this.#silences.get(id);
    if (silence === undefined) throw new NeedfireError("NOT_FOUND", `there is no silence "${id}" (needfire silence list)`);
    return { ...silence.record };
  }

  /** One that is not in force yet. Throws `BAD_REQUEST`, `CONFLICT`. */
  make({ reactor, agent, forMs, why, by }: SilenceWish, now: number): SilenceRecord {
    if (reactor === undefined && agent === undefined)
      throw new NeedfireError("BAD_REQUEST", "a silence needs a reactor, an agent, or both: which firings it is about");
    if (this.#silences.size >= silencesMax)
      throw new NeedfireError("CONFLICT", `there are ${silencesMax} silences already: remove some (needfire silence list)`);
    // The clock knows parts of a millisecond, and nobody wants to read them.
    const since = Math.floor(now);
    return { id: `s-${randomBytes(4).toString("hex")}`, reactor, agent, since, until: since + forMs, why, by, held: 0 };
  }

  /** The one that covers a firing, which it counts as held back. Of several the one that lasts longest. */
  holdBack(reactor: string, agent: string, now: number): SilenceRecord | undefined {
    let found: SilenceRecord | undefined;
    for (const { record, covers } of this.#silences.values()) {
      if (now < record.since || now >= record.until || (found !== undefined && found.until >= record.until)) continue;
      if (covers(reactor, agent)) found = record;
    }
    if (found === undefined) return undefined;
    found.held++;
    this.#touched.add(found.id);
    return found;
  }

  /** When the next one ends. */
  nextEnd(): number | undefined {
    let next: number | undefined;
    for (const { record } of this.#silences.values()) if (next === undefined || record.until < next) next = record.until;
    return next;
  }

  /** What is to be stored with this turn. `now`: those that are over by then end; undefined: none does yet. */
  takeChanges(now: number | undefined): { silences: NonNullable<Writes["silences"]>; events: MasterEventDraft[] } {
    const over = now === undefined ? [] : this.list().filter(({ until }) => until <= now);
    for (const { id } of over) this.remove(id);
    const held = Object.fromEntries([...this.#touched].map((id) => [id, this.#silences.get(id)!.record.held]));
    this.#touched.clear();
    return { silences: { held, ended: over.map(({ id }) => id) }, events: over.map((record) => silenceEvent("silence.expired", record)) };
  }
}

/** `by`: who did it, where that is somebody else than who silenced. */
export function silenceEvent(
  type: "silence.added" | "silence.removed" | "silence.expired",
  { id, reactor, agent, until, why, by, held }: SilenceRecord,
  who = by,
): MasterEventDraft {
  return {
    type,
    severity: type === "silence.expired" ? "low" : "normal",
    subject: id,
    data: {
      silence: id,
      ...(reactor === undefined ? {} : { reactor }),
      ...(agent === undefined ? {} : { agent }),
      until,
      why,
      by: who,
      ...(type === "silence.added" ? {} : { held }),
    },
  };
}

function matcherOf({ reactor, agent }: SilenceRecord): Silence["covers"] {
  const reactorMatches = reactor === undefined ? () => true : globMatcher(reactor);
  const agentMatches = agent === undefined ? () => true : globMatcher(agent);
  return (name, id) => reactorMatches(name) && agentMatches(id);
}
