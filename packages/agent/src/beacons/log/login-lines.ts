/**
 * What sshd, su, sudo, login and PAM write of logins, as they hand it to syslog. Pure. Names of users are whatever a stranger typed: an
 * expression takes what stands at the fixed end of a line, never what a name pretends to be.
 */

/** What one source says of a login. `source`: sources that tell of the same thing differ in it. */
export interface LoginReport {
  kind: "opened" | "closed" | "failed";
  source: "record" | "program" | "pam";
  user: string;
  address?: string | undefined;
  port?: number | undefined;
  terminal?: string | undefined;
  service?: string | undefined;
  method?: string | undefined;
  by?: string | undefined;
  pid?: number | undefined;
  unknownUser?: boolean | undefined;
  attempts?: number | undefined;
  reason?: string | undefined;
  /** ms since the epoch. */
  time: number;
}

export interface SyslogLine {
  program: string;
  pid?: number | undefined;
  message: string;
  time: number;
}

/** Of a line so much is looked at. */
const messageCharactersMax = 2_048;

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const prefix = /^(?:(\d{4}-\d\d-\d\dT\S{8,21})|([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d)) \S+ ([\w./-]+)(?:\[(\d{1,10})\])?: (.*)$/s;

/** A line of auth.log or secure, in the traditional form (local time, no year) or with an RFC 3339 time. */
export function parseSyslogLine(line: string, now: number): SyslogLine | undefined {
  const found = prefix.exec(line.slice(0, messageCharactersMax));
  if (found === null) return undefined;
  const [, iso, month, day, hours, minutes, seconds, program, pid, message] = found;
  const time = iso === undefined ? localTime([month!, day!, hours!, minutes!, seconds!], now) : Date.parse(iso);
  if (Number.isNaN(time)) return undefined;
  return { program: program!, pid: pid === undefined ? undefined : Number(pid), message: message!, time };
}

/** The year is that which brings it next to now, but not more than a day after. */
function localTime([month, day, hours, minutes, seconds]: string[], now: number): number {
  const year = new Date(now).getFullYear();
  const at = (of: number) => new Date(of, months.indexOf(month!), Number(day), Number(hours), Number(minutes), Number(seconds)).getTime();
  return at(year) > now + 86_400_000 ? at(year - 1) : at(year);
}

type Said = Omit<LoginReport, "time" | "pid" | "service"> & { service?: string };

/** Of one line that stands for many. */
const repeatsMax = 1_000;

/** What a line says; nothing, usually. More than one where syslog has put repeated lines together. */
export function loginReports({ program, pid, message, time }: SyslogLine): LoginReport[] {
  const name = program.split("/").at(-1)!;
  const service = /^sshd(-session|-auth)?$/.test(name) ? "sshd" : name;
  const repeated = /^message repeated (\d{1,5}) times: \[ (.*)\]$/s.exec(message);
  const text = repeated?.[2] ?? message;
  const said = pamSays(text) ?? programs[service]?.(text);
  if (said === undefined) return [];
  const length = Math.min(Number(repeated?.[1] ?? 1), repeatsMax);
  return Array.from({ length }, () => ({ service, pid, time, ...said }));
}

const programs: Record<string, (message: string) => Said | undefined> = { sshd: sshdSays, su: suSays, sudo: sudoSays, login: loginSays };

function sshdSays(message: string): Said | undefined {
  const accepted = /^Accepted (\S+) for (.*) from (\S+) port (\d+)(?: ssh2)?(?:: [^ ]+ \S+)?$/s.exec(message);
  if (accepted !== null) return { kind: "opened", source: "program", ...atAddress(accepted, { method: 1, user: 2, address: 3, port: 4 }) };
  const failed = /^Failed (\S+) for (invalid user )?(.*) from (\S+) port (\d+)(?: ssh2)?(?:: [^ ]+ \S+)?$/s.exec(message);
  if (failed !== null) {
    const unknownUser = failed[2] !== undefined;
    return { kind: "failed", source: "program", unknownUser, ...atAddress(failed, { method: 1, user: 3, address: 4, port: 5 }) };
  }
  const left = /^Disconnected from user (.*) (\S+) port (\d+)$/s.exec(message);
  return left === null ? undefined : { kind: "closed", source: "program", ...atAddress(left, { user: 1, address: 2, port: 3 }) };
}

function atAddress(found: RegExpExecArray, at: { method?: number; user: number; address: number; port: number }) {
  const method = at.method === undefined ? {} : { method: found[at.method]!.split("/", 1)[0]! };
  return { ...method, user: found[at.user]!, address: found[at.address]!, port: Number(found[at.port]) };
}

function suSays(message: string): Said | undefined {
  // util-linux, then what shadow had before.
  const su = /^(FAILED SU )?\(to (\S+)\) (.+) on (\S+)$/.exec(message) ?? /^(FAILED|Successful) su for (\S+) by (\S+)$/.exec(message);
  if (su === null) return undefined;
  const kind = su[1]?.startsWith("FAILED") === true ? "failed" : "opened";
  return { kind, source: "program", user: su[2]!, by: su[3]!, ...terminalOf(su[4]) };
}

function sudoSays(message: string): Said | undefined {
  const sudo =
    /^ *(\S+) : (?:(\d+) incorrect password attempts?|(user NOT in sudoers|command not allowed|user NOT authorized on host)) ; (.*)$/s.exec(
      message,
    );
  if (sudo === null) return undefined;
  const user = / ; USER=(\S+)/.exec(` ; ${sudo[4]!}`)?.[1] ?? "root";
  const why = sudo[3] === undefined ? { method: "password", attempts: Number(sudo[2]) } : { reason: sudo[3] };
  return { kind: "failed", source: "program", user, by: sudo[1]!, ...terminalOf(/(?:^| )TTY=(\S+)/.exec(sudo[4]!)?.[1]), ...why };
}

function loginSays(message: string): Said | undefined {
  const failed = /^FAILED LOGIN (?:\(\d+\)|SESSION) (?:on|from) '?(\S+?)'? (?:FROM (\S+) )?FOR '?(.*?)'?, .*$/s.exec(message);
  if (failed !== null)
    return {
      kind: "failed",
      source: "program",
      user: failed[3]!,
      ...terminalOf(failed[1]),
      ...(failed[2] === undefined ? {} : { address: failed[2] }),
    };
  const on = /^(?:ROOT LOGIN|LOGIN) +ON '?(\S+?)'?(?: BY (\S+))?(?: FROM (\S+))?$/i.exec(message);
  if (on === null) return undefined;
  return {
    kind: "opened",
    source: "program",
    user: on[2] ?? "root",
    ...terminalOf(on[1]),
    ...(on[3] === undefined ? {} : { address: on[3] }),
  };
}

/** Programs that say themselves what failed: one module of PAM may refuse what the next one takes. */
const speakForThemselves = new Set(["sshd", "su", "su-l", "sudo", "login"]);

function pamSays(message: string): Said | undefined {
  const session = /^pam_unix\(([^):]+):session\): session (opened|closed) for user (.*?)(?:\(uid=\d+\))?(?: by (.*?)\(uid=\d+\))?$/s.exec(
    message,
  );
  if (session !== null) {
    const [, service, kind, user, by] = session;
    const who = by === undefined || by === "" || by === "LOGIN" ? {} : { by };
    return { kind: kind as "opened" | "closed", source: "pam", service: service!.replace(/^su-l$/, "su"), user: user!, ...who };
  }
  const failed = /^pam_\w+\(([^):]+):auth\): authentication failure; .*? tty=(\S*) ruser=(\S*) rhost=(\S*) +user=(.+)$/s.exec(message);
  if (failed === null || speakForThemselves.has(failed[1]!)) return undefined;
  const [, service, terminal, by, address, user] = failed;
  return {
    ...{ kind: "failed", source: "pam", service: service!, user: user! },
    ...terminalOf(terminal),
    ...(by === "" ? {} : { by: by! }),
    ...(address === "" ? {} : { address: address! }),
  };
}

function terminalOf(terminal: string | undefined): { terminal?: string } {
  return terminal === undefined || terminal === "" || terminal === "none" ? {} : { terminal: terminal.replace(/^\/dev\//, "") };
}
