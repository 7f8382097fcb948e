/** One question of the `history` bench, in a process that has just started. Prints how long it took, and how much came. */
import type { Event } from "@needfire/shared/event";
import { SqliteJournalReader } from "../packages/master/src/journal/sqlite-reader.ts";
import type { Question } from "./history.ts";

const [file = "", question = "", cause = "", endText = ""] = process.argv.slice(2);
const end = Number(endText);
const day = 86_400_000;
/** The middle of the history: sealed long ago. */
const middle = end - 15 * day;

const questions: Record<Question, (reader: SqliteJournalReader) => number> = {
  agent_and_type: (reader) => reader.query({ agent: "host-500", type: "cpu.high", limit: 100 }).length,
  day_by_type: (reader) => reader.tally({ by: "type", since: middle - day * 1.02, until: middle - day * 0.02 }).length,
  where_hour: (reader) =>
    reader.query({ since: middle, until: middle + day / 24, where: 'event.severity == "high" && event.data.percent > 900', limit: 50 })
      .length,
  chain: (reader) => chain(reader, cause),
};

const begun = performance.now();
const reader = new SqliteJournalReader({ file });
const rows = questions[question as Question](reader);
console.log(JSON.stringify({ ms: performance.now() - begun, rows }));
reader.close();

/** An event, what led to it and what came of it, as `events show` asks for them. */
function chain(from: SqliteJournalReader, id: string): number {
  const asked = from.get(id);
  if (asked === undefined) throw new Error(`there is no event ${id}`);
  let root: Event = asked;
  for (let above: Event | undefined = asked; above !== undefined; above = above.cause === undefined ? undefined : from.get(above.cause))
    root = above;
  const below = (event: Event): number => from.causedBy(event.id, 101, event.received).reduce((links, effect) => links + below(effect), 1);
  return below(root);
}
