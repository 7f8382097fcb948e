/**
 * Versions of reactor files: what is in force is recorded, and which earlier text would be put back. The file is the truth: it is
 * written as an editor would (replace-file.ts), and read again. Nothing is overwritten that is not in force, since nobody could get it back.
 */
import { NeedfireError } from "@needfire/shared/errors";
import { type Problem, problemText } from "@needfire/shared/yaml-file";
import { digestOf } from "./store/record.ts";
import type { FileVersion, TextlessVersion, VersionInForce } from "./store/store.ts";

/** Fewer characters of a version say too little. */
const prefixCharactersMin = 4;

/** A file that is in force. */
export interface FileInForce {
  file: string;
  text: string;
}

/** What is to be known of a reactor for it. */
interface Versioned {
  name: string;
  version: string;
  file: string;
}

/** What a text would be, if it came into force. */
export type CheckedText = { ok: true; names: string[] } | { ok: false; problems: readonly Problem[] };

/** `before`: what was in force of each file when it was looked at last; what has gone since is told, too. */
export function versionsInForce(
  files: readonly FileInForce[],
  reactors: readonly Versioned[],
  before: readonly TextlessVersion[],
): VersionInForce[] {
  const byFile = Map.groupBy(reactors, ({ file }) => file);
  const there = files.map(({ file, text }) => ({
    file,
    text,
    reactors: Object.fromEntries((byFile.get(file) ?? []).map(({ name, version }) => [name, version])),
  }));
  const names = new Set(files.map(({ file }) => file));
  const gone = before.filter(({ file, reactors: had }) => Object.keys(had).length > 0 && !names.has(file));
  return [...there, ...gone.map(({ file }) => ({ file, text: "", reactors: {} }))];
}

/** A version as a reactor sees it. `version`: the reactor's own; undefined: the file had no such reactor. */
export interface ReactorVersion {
  version: string | undefined;
  file: string;
  digest: string;
  since: number;
  text: string;
  inForce: boolean;
}

/** Newest first. Of a file that was gone there is no text. */
export function versionsOf(reactor: string, kept: readonly FileVersion[], files: readonly FileInForce[]): ReactorVersion[] {
  const digests = new Map(files.map(({ file, text }) => [file, digestOf(text)]));
  const newest = new Set<string>();
  return kept.flatMap(({ file, digest, since, text, reactors }) => {
    const inForce = digests.get(file) === digest && !newest.has(file);
    newest.add(file);
    if (Object.keys(reactors).length === 0) return [];
    return [{ version: reactors[reactor], file, digest, since, text, inForce }];
  });
}

/** The same with what is in force now at the top, when it is not kept yet, since it has just come or the disk takes nothing. */
export function withPresent(
  versions: readonly ReactorVersion[],
  { reactor, files, now }: { reactor: Versioned | undefined; files: readonly FileInForce[]; now: number },
): readonly ReactorVersion[] {
  const source = files.find(({ file }) => file === reactor?.file);
  if (reactor === undefined || source === undefined || versions.some(({ inForce, file }) => inForce && file === source.file))
    return versions;
  const present = { version: reactor.version, ...source, digest: digestOf(source.text), since: now, inForce: true };
  return [present, ...versions];
}

/** The one that is meant: by the reactor's version or the file's, or the beginning of one. Throws `NOT_FOUND`, `CONFLICT`, `BAD_REQUEST`. */
export function versionNamed(wanted: string, versions: readonly ReactorVersion[], reactor: string): ReactorVersion {
  if (wanted.length < prefixCharactersMin)
    throw new NeedfireError("BAD_REQUEST", `"${wanted}" says too little: at least ${prefixCharactersMin} characters of a version`);
  const found = versions.filter(({ version, digest }) => version?.startsWith(wanted) === true || digest.startsWith(wanted));
  const [first] = found;
  if (first === undefined)
    throw new NeedfireError("NOT_FOUND", `${reactor} has no version ${wanted} (needfire reactors versions ${reactor})`);
  const meant = new Set(found.map(({ version, digest }) => (version?.startsWith(wanted) === true ? version : digest)));
  if (meant.size > 1) throw new NeedfireError("CONFLICT", `${wanted} is the beginning of ${[...meant].join(" and ")}: say more of it`);
  return first;
}

/** What a rollback would put back for what. */
export interface Rollback {
  reactor: string;
  file: string;
  from: ReactorVersion;
  to: ReactorVersion;
}

/** `to`: without it, the newest version of which the reactor was another than it is. Throws `NOT_FOUND`, `CONFLICT`, `BAD_REQUEST`. */
export function planRollback(reactor: string, to: string | undefined, versions: readonly ReactorVersion[]): Rollback {
  const [newest] = versions;
  if (newest === undefined)
    throw new NeedfireError("NOT_FOUND", `there is no reactor "${reactor}", and there was none (needfire reactors list)`);
  const from = versions.find(({ inForce, version }) => inForce && version !== undefined) ?? versions.find(({ inForce }) => inForce);
  if (from === undefined) {
    const has = versions.find(({ version }) => version !== undefined) ?? newest;
    const how = `needfire reactors show ${reactor} --version ${has.version ?? has.digest.slice(0, 12)} prints what it was`;
    throw new NeedfireError("CONFLICT", `no file of ${reactor} is in force that could be put back (${has.file} is gone): ${how}`);
  }
  const others = versions.filter(({ file, digest }) => file === from.file && digest !== from.digest);
  const target =
    to === undefined
      ? others.find(({ version }) => version !== undefined && version !== from.version)
      : versionNamed(to, others.some(({ version, digest }) => matches(to, version, digest)) ? others : [from], reactor);
  if (target === undefined) throw new NeedfireError("CONFLICT", `there is no earlier version of ${reactor} to go back to`);
  if (target.digest === from.digest)
    throw new NeedfireError("CONFLICT", `this version of ${reactor} is in force already: nothing to put back`);
  return { reactor, file: from.file, from, to: target };
}

/** Before anything is written. Throws `CONFLICT` when what was good then is not any more. */
export function checkRollback({ file, text, reactors }: { file: string; text: CheckedText; reactors: readonly Versioned[] }): void {
  if (!text.ok) throw new NeedfireError("CONFLICT", `the earlier text is no good any more: ${problemText(text.problems[0]!)}`);
  const names = new Set(text.names);
  const double = reactors.find((reactor) => reactor.file !== file && names.has(reactor.name));
  if (double !== undefined)
    throw new NeedfireError("CONFLICT", `the earlier text has the reactor "${double.name}", which is in ${double.file} by now`);
}

function matches(wanted: string, version: string | undefined, digest: string): boolean {
  return version?.startsWith(wanted) === true || digest.startsWith(wanted);
}
