/**
 * The `log` beacon: an event for each line, or record of lines, that one of its patterns fits. What follows the files is follow.ts, what
 * follows the journal journal.ts; here lines become events.
 */
import type { LogLostData, LogMatchedData } from "@needfire/shared/beacons/log";
import { durationMs } from "@needfire/shared/duration";
import { compilePattern } from "@needfire/shared/pattern";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { followed, FollowedFiles } from "./follow.ts";
import type { Piece, Taken } from "./follow-tail.ts";
import { followJournal, type JournalEntry } from "./journal.ts";
import { compileLineMatcher, type LineMatch } from "./log-match.ts";
import { takeRecords } from "./log-records.ts";

type LogDefinition = DefinitionOf<"log">;

export function start(definition: LogDefinition, context: BeaconContext): RunningBeacon {
  const matches = compileLineMatcher(definition);
  return definition.journald === undefined ? startFiles(definition, context, matches) : startJournal(definition, context, matches);
}

type Matches = (text: string) => LineMatch | undefined;

function startFiles(definition: LogDefinition, context: BeaconContext, matches: Matches): RunningBeacon {
  const { paths, exclude, from, interval } = definition;
  const take = recordTaker(definition, (path, { text, lines, cut }) => {
    const match = matches(text);
    if (match === undefined) return false;
    const { type, severity, ...told } = match;
    const data: LogMatchedData = { source: "file", path, line: text, lines, cut, ...told };
    context.emit({ type, subject: path, ...(severity === undefined ? {} : { severity }), data });
    return true;
  });
  const lost = (data: LogLostData) => context.emit({ type: "log.lost", subject: data.path ?? definition.name, data });
  const options = { paths, exclude, from, intervalMs: durationMs(interval), take, lost };
  const files = new FollowedFiles(options, context, context.memory.take());
  return followed([files], context, interval);
}

function recordTaker(
  { encoding, line_bytes_max: lineBytesMax, multiline }: LogDefinition,
  tell: (path: string, record: { text: string; lines: number; cut: boolean }) => boolean,
): (piece: Piece) => Taken {
  const waitMs = durationMs(multiline?.wait ?? "0s");
  const begins = multiline && { begins: compilePattern(multiline.begins), linesMax: multiline.lines_max, bytesMax: multiline.bytes_max };
  return ({ path, bytes, midway, full, ended, idleMs }) => {
    const complete = full || idleMs >= waitMs;
    const taken = takeRecords({ bytes, midway, ended, complete }, { encoding, lineBytesMax, multiline: begins });
    let told = false;
    for (const record of taken.records) told = tell(path, record) || told;
    return { bytes: taken.bytes, midway: taken.midway, told, againMs: taken.open ? waitMs - idleMs : undefined };
  };
}

function startJournal(definition: LogDefinition, context: BeaconContext, matches: Matches): RunningBeacon {
  const { from, line_bytes_max: lineBytesMax } = definition;
  const tell = ({ message, time, unit, identifier, pid, priority }: JournalEntry) => {
    const line = message.slice(0, lineBytesMax);
    const match = matches(line);
    if (match === undefined) return false;
    const { type, severity, ...told } = match;
    const fields = Object.fromEntries(Object.entries({ unit, identifier, pid, priority }).filter(([, value]) => value !== undefined));
    const lines = line.split("\n").length;
    const data: LogMatchedData = { source: "journal", line, lines, cut: line.length < message.length, ...fields, ...told };
    const subject = unit ?? identifier ?? definition.name;
    context.emit({ type, subject, time, ...(severity === undefined ? {} : { severity }), data });
    return true;
  };
  const lost = (message: string) => context.emit({ type: "log.lost", subject: definition.name, data: { reason: "cursor", message } });
  return followJournal({ matches: definition.journald!, from, known: context.memory.take(), tell, lost }, context);
}
