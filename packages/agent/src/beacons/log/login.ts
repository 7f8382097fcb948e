/**
 * The `login` beacon: sessions and failed logins, from whatever the host writes of them. Records and logs are followed like any log
 * (follow.ts); reports of one login from several sources become one event, and what is open is known, so that its end has a user, an address
 * and a duration.
 */
import { existsSync } from "node:fs";
import type { LoginClosedData, LoginData, LoginFailedData } from "@needfire/shared/beacons/login";
import { durationMs } from "@needfire/shared/duration";
import { globMatcher } from "@needfire/shared/glob";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { followed, FollowedFiles, type FollowOptions } from "./follow.ts";
import type { Piece, Taken } from "./follow-tail.ts";
import { followJournal } from "./journal.ts";
import { takeRecords } from "./log-records.ts";
import { type Claim, LoginClaims } from "./login-claims.ts";
import { type LoginReport, loginReports, parseSyslogLine } from "./login-lines.ts";
import { type LoginRecord, parseRecord, recordBytes } from "./login-records.ts";

type LoginDefinition = DefinitionOf<"login">;
type Source = LoginData["source"];
type Session = Pick<LoginReport, "user" | "address" | "port" | "terminal" | "service" | "method" | "by" | "time">;

/** Sessions that are known to be open; of more than that the end is told without the beginning. */
const sessionsMax = 5_000;
/** Names and addresses in events. */
const textCharactersMax = 256;
/** Records wait so long for the log, which says more of the same login; of one that failed, only after PAM has let it wait. */
const recordWaitMs = { wtmp: 1_000, btmp: 4_000 };
/** What is told of a session so soon after its beginning is about the same one, not about a later process of that number. */
const sameSessionMs = 60_000;
const logLine = { encoding: "utf-8", lineBytesMax: 4_096 } as const;
const claimsKey = "claims";
const sessionPrefix = "session/";
/** In the journal what a process is called is the kernel's word, not its own. */
const commands = ["sshd", "sshd-session", "su", "sudo", "login"];

export function start(definition: LoginDefinition, context: BeaconContext): RunningBeacon {
  const known = context.memory.take();
  const logins = new Logins(definition, context, known);
  const { interval, wtmp, btmp, logs, journal_directory: directory } = definition;
  const journal = definition.journald === "always" || (definition.journald === "auto" && !logs.some((path) => existsSync(path)));
  const hasWords = journal || logs.some((path) => existsSync(path));
  const common = { from: "end", intervalMs: durationMs(interval), lost: () => undefined } as const;
  const records = (path: string, key: keyof typeof recordWaitMs): FollowOptions => ({
    ...common,
    ...{ paths: [path], key, recordBytes: recordBytes() },
    take: (piece) => logins.takeRecordsOf(piece, { source: key, waitMs: hasWords ? recordWaitMs[key] : 0 }),
  });
  const files = followed(
    [
      new FollowedFiles({ ...common, paths: journal ? [] : logs, key: "log", take: (piece) => logins.takeLines(piece) }, context, known),
      new FollowedFiles(records(wtmp, "wtmp"), context, known),
      new FollowedFiles(records(btmp, "btmp"), context, known),
    ],
    context,
    interval,
  );
  if (!journal) return files;
  const matches = { units: [], identifiers: [], matches: commands.map((name) => `_COMM=${name}`), ...definedOf({ directory }) };
  const tell = (entry: { identifier?: string | undefined; pid?: number | undefined; message: string; time: number }) =>
    logins.report("journal", loginReports({ ...entry, program: entry.identifier ?? "" }));
  const entries = followJournal({ matches, from: "end", known, tell, lost: () => undefined }, context);
  return {
    ready: Promise.all([files.ready, entries.ready]).then(() => undefined),
    stop: async () => void (await Promise.all([files.stop(), entries.stop()])),
  };
}

class Logins {
  readonly #context: BeaconContext;
  readonly #claims: LoginClaims;
  readonly #sessions = new Map<string, Session>();
  readonly #wanted: (report: LoginReport) => boolean;

  constructor(definition: LoginDefinition, context: BeaconContext, known: ReadonlyMap<string, unknown>) {
    this.#context = context;
    this.#claims = new LoginClaims(known.get(claimsKey) as Claim[] | undefined);
    this.#wanted = wantedBy(definition);
    for (const [key, session] of known)
      if (key.startsWith(sessionPrefix)) this.#sessions.set(key.slice(sessionPrefix.length), session as Session);
  }

  takeLines({ bytes, midway, ended }: Piece): Taken {
    const { records, ...taken } = takeRecords({ bytes, midway, ended, complete: true }, logLine);
    const reports = records.flatMap(({ text }) => loginReports(parseSyslogLine(text, this.#context.clock.now()) ?? noLine));
    return { bytes: taken.bytes, midway: taken.midway, told: this.report("log", reports) };
  }

  takeRecordsOf({ bytes, idleMs }: Piece, { source, waitMs }: { source: Source; waitMs: number }): Taken {
    const length = recordBytes();
    let told = false;
    for (let at = 0; at + length <= bytes.length; at += length) {
      const record = parseRecord(bytes.subarray(at, at + length));
      // One from the future is not waited for longer than for any other.
      const fresh = this.#context.clock.now() - record.time < waitMs && idleMs < waitMs;
      if (fresh) return { bytes: at, midway: false, told, againMs: waitMs - idleMs };
      told = this.#record(source, record) || told;
    }
    return { bytes: bytes.length - (bytes.length % length), midway: false, told };
  }

  /** One turn: events, and what is known by them. True: there were any. */
  report(source: Source, reports: readonly LoginReport[]): boolean {
    for (const report of reports) this.#take(source, report);
    // After a crash the other sources of the same logins must not be told as new.
    if (reports.length > 0) this.#context.memory.set(claimsKey, this.#claims.kept());
    return reports.length > 0;
  }

  #record(source: Source, { kind, pid, line, user, host, address, time }: LoginRecord): boolean {
    const where = address ?? (host === "" || host.startsWith(":") ? undefined : host);
    const report = { source: "record", user, address: where, terminal: terminalOf(line), pid, time } as const;
    if (source === "btmp") return this.report(source, [{ kind: "failed", ...report }]);
    if (kind === "boot") return this.#allEnded(source, time);
    if (kind === "user") return this.report(source, [{ kind: "opened", ...report }]);
    // The end of a session has but its terminal.
    const session = this.#sessions.get(`line ${line}`);
    if (kind !== "dead" || session === undefined) return false;
    return this.report(source, [{ kind: "closed", ...report, user: session.user, address: session.address }]);
  }

  #take(source: Source, report: LoginReport): void {
    const { kind } = report;
    const session = kind === "closed" ? this.#close(report) : undefined;
    if (kind === "opened") this.#open(report);
    if (!this.#claims.isNew(report, this.#context.clock.now())) return;
    const { time: openedAt, ...said } = session ?? { time: undefined };
    const told = { ...said, ...definedOf(report) };
    if (!this.#wanted(told)) return;
    const who = whoOf(told, source);
    const lasted = openedAt === undefined ? {} : { lasted_ms: Math.max(0, Math.round(report.time - openedAt)) };
    const data: LoginData | LoginClosedData | LoginFailedData =
      kind === "opened" ? who : kind === "closed" ? { ...who, ...lasted, reason: "logout" } : { ...who, ...failureOf(told) };
    this.#emit(`login.${kind}`, data, report.time);
  }

  #emit(type: string, data: LoginData, time: number): void {
    const { user, address } = data;
    this.#context.emit({ type, subject: address === undefined ? user : `${user}@${address}`, time, data });
  }

  // Sessions

  #open(report: LoginReport): void {
    for (const key of keysOf(report)) {
      const before = this.#sessions.get(key);
      if (before === undefined && this.#sessions.size >= sessionsMax) return;
      const { user, address, port, terminal, service, method, by, time } = report;
      const sameOne = before?.user === user && time - before.time < sameSessionMs ? before : undefined;
      const merged = { ...sameOne, ...definedOf({ user, address, port, terminal, service, method, by }), time: sameOne?.time ?? time };
      this.#sessions.set(key, merged);
      this.#context.memory.set(sessionPrefix + key, merged);
    }
  }

  #close(report: LoginReport): Session | undefined {
    let found: Session | undefined;
    for (const key of keysOf(report)) {
      const session = this.#sessions.get(key);
      if (session?.user !== report.user) continue;
      found ??= session;
      this.#forget(key);
      // By its connection, if it was found by its process.
      if (session.port !== undefined) this.#forget(`${session.service} ${session.address} ${session.port}`);
    }
    return found;
  }

  #forget(key: string): void {
    this.#sessions.delete(key);
    this.#context.memory.set(sessionPrefix + key, undefined);
  }

  /** The host has started: whatever was open before is not any more. */
  #allEnded(source: Source, time: number): boolean {
    let told = false;
    for (const [key, { time: openedAt, ...session }] of this.#sessions) {
      if (openedAt >= time) continue;
      this.#forget(key);
      told = true;
      const report: LoginReport = { kind: "closed", source: key.startsWith("line ") ? "record" : "program", time, ...session };
      if (!this.#claims.isNew(report, this.#context.clock.now()) || !this.#wanted(report)) continue;
      const lasted = Math.max(0, Math.round(time - openedAt));
      const data: LoginClosedData = { ...whoOf(report, source), lasted_ms: lasted, reason: "boot" };
      this.#emit("login.closed", data, time);
    }
    return told;
  }
}

const noLine = { program: "", message: "", time: 0 };

/** A session of a record is known by its terminal, one of a log by the process that wrote of it, and by its connection: sshd has several. */
function keysOf({ source, terminal, pid, service, address, port }: Omit<LoginReport, "kind" | "user" | "time">): string[] {
  if (source === "record") return terminal === undefined ? [] : [`line ${terminal}`];
  return [...(pid === undefined ? [] : [`${service} ${pid}`]), ...(port === undefined ? [] : [`${service} ${address} ${port}`])];
}

function wantedBy({
  events,
  users,
  exclude_users: notUsers,
  exclude_services: notServices,
}: LoginDefinition): (report: Pick<LoginReport, "kind" | "user" | "service">) => boolean {
  const any = () => true;
  const none = () => false;
  const isWanted = users.length === 0 ? any : globMatcher(users);
  const isUnwanted = notUsers.length === 0 ? none : globMatcher(notUsers);
  const isPassedOver = notServices.length === 0 ? none : globMatcher(notServices);
  return ({ kind, user, service }) => events.includes(kind) && isWanted(user) && !isUnwanted(user) && !isPassedOver(service ?? "");
}

function whoOf({ user, address, port, terminal, service, method, by, pid }: LoginReport, source: Source): LoginData {
  const texts = { user: user.slice(0, textCharactersMax), address, terminal, service, method, by };
  const capped = Object.fromEntries(Object.entries(definedOf(texts)).map(([name, text]) => [name, text?.slice(0, textCharactersMax)]));
  return { ...capped, user: texts.user, ...definedOf({ port, pid }), source };
}

function failureOf({ unknownUser, attempts = 1, reason }: LoginReport): Pick<LoginFailedData, "unknown_user" | "attempts" | "reason"> {
  return { ...definedOf({ unknown_user: unknownUser, reason }), attempts };
}

/** sshd has no terminal for a login that failed, and writes a word in its place. */
function terminalOf(line: string): string | undefined {
  return line === "" || line === "ssh:notty" || line === "ssh" || line === "~" ? undefined : line;
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

function definedOf<T extends object>(values: T): Defined<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>;
}
