/**
 * A question to the journal's reader, made ready once: what its globs, times and condition accept, and how much may be looked at for it.
 */
import { NeedfireError } from "@needfire/shared/errors";
import { type Event, severities } from "@needfire/shared/event";
import { globMatcher } from "@needfire/shared/glob";
import { type Condition, conditionOf } from "./condition.ts";
import type { EventQuery } from "./journal.ts";
import { type EventRow, eventOfRow, type Names } from "./partition.ts";

/** Rows that one question may look at; a narrower question reaches further back. */
const rowsMax = 2_000_000;

/** Of an agent's id or an event's type. */
export interface Pattern {
  /** The one text that it accepts, when it is no glob. */
  exact: string | undefined;
  accepts(text: string): boolean;
}

export class Question {
  readonly agent: Pattern | undefined;
  readonly type: Pattern | undefined;
  /** Times of the events, both inclusive. */
  readonly since: number;
  readonly until: number;
  /** The code of the only severity that fits, as the tables have it; -1 when none does. */
  readonly severity: number | undefined;
  readonly #condition: Condition | undefined;
  #looked = 0;

  /** Throws `EXPRESSION_INVALID`. */
  constructor({ agent, type, since, until, where }: Omit<EventQuery, "limit">) {
    this.#condition = where === undefined ? undefined : conditionOf(where);
    const required = (name: string) => this.#condition?.requires.get(name);
    this.agent = patternOf(agent) ?? exactly(required("agent"));
    this.type = patternOf(type) ?? exactly(required("type"));
    const severity = required("severity");
    this.severity = severity === undefined ? undefined : (severities as readonly string[]).indexOf(severity);
    this.since = since ?? Number.NEGATIVE_INFINITY;
    this.until = until ?? Number.POSITIVE_INFINITY;
  }

  /** The event of a row, if the condition holds of it. */
  eventOf(row: EventRow, origin: Names): Event | undefined {
    if (this.#condition?.holdsOfRow(row, origin) === false) return undefined;
    return eventOfRow(row, origin);
  }

  /** Whether a range of times has something to do with it. */
  meets(timeMin: number, timeMax: number): boolean {
    return timeMax >= this.since && timeMin <= this.until;
  }

  /** Whether it takes a whole range of times. */
  covers(timeMin: number, timeMax: number): boolean {
    return timeMin >= this.since && timeMax <= this.until;
  }

  /** To be called for each row. Throws `BAD_REQUEST` when it were too many. */
  look(): void {
    if (++this.#looked <= rowsMax) return;
    throw new NeedfireError(
      "BAD_REQUEST",
      `after ${rowsMax} events without enough hits the search was stopped: narrow it with --since, --type or --agent`,
    );
  }
}

function exactly(text: string | undefined): Pattern | undefined {
  return text === undefined ? undefined : { exact: text, accepts: (other) => other === text };
}

function patternOf(text: string | undefined): Pattern | undefined {
  if (text === undefined) return undefined;
  if (/^[A-Za-z0-9._-]+$/.test(text)) return { exact: text, accepts: (other) => other === text };
  const matches = globMatcher(text);
  const known = new Map<string, boolean>();
  const accepts = (other: string) => {
    let accepted = known.get(other);
    if (accepted === undefined) known.set(other, (accepted = matches(other)));
    return accepted;
  };
  return { exact: undefined, accepts };
}
