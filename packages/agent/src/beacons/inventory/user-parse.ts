/**
 * What /etc/passwd, shadow, group, sudoers and authorized_keys say. Pure. Everything in them may be hostile: lines that are none are passed over,
 * lengths are capped, and of a password's hash only a digest leaves this file, which is never told.
 */
import { createHash } from "node:crypto";
import type { AuthorizedKeyData, GroupData } from "@needfire/shared/beacons/user";

const textCharactersMax = 500;
const membersMax = 1_000;
const rulesMax = 2_000;
const keysMax = 1_000;
const entriesMax = 20_000;

export interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
  home: string;
  shell: string;
  comment: string;
}

/** `digest`: changes with the password. */
export interface ShadowEntry {
  locked: boolean;
  passwordless: boolean;
  digest: string;
}

export type Key = Omit<AuthorizedKeyData, "user" | "path">;

export function parsePasswd(text: string): Map<string, PasswdEntry> {
  return byName(text, ([name, , uid, gid, comment, home, shell]) => {
    if (!isId(uid) || !isId(gid) || home === undefined) return undefined;
    const numbers = { uid: Number(uid), gid: Number(gid) };
    return { name: name!, ...numbers, home: short(home), shell: short(shell ?? ""), comment: short(comment ?? "") };
  });
}

/** A password that is locked keeps its hash behind an exclamation mark (usermod -L), so that locking is no other password. */
export function parseShadow(text: string): Map<string, ShadowEntry> {
  return byName(text, ([name, password]) => {
    if (password === undefined) return undefined;
    const hash = password.replace(/^!+/, "");
    const digest = createHash("sha256").update(`${name}\0${hash}`).digest("base64").slice(0, 16);
    return { locked: /^[!*]/.test(password), passwordless: password === "", digest };
  });
}

export function parseGroups(text: string): Map<string, GroupData> {
  return byName(text, ([name, , gid, members = ""]) => {
    if (!isId(gid)) return undefined;
    const named = [...new Set(members.split(",").filter((member) => member !== ""))].toSorted().slice(0, membersMax);
    return { name: name!, gid: Number(gid), members: named.map(short) };
  });
}

/** Rules of sudoers(5): lines that go on are joined, comments left out, blanks made one. `#include` and `#1000` are no comments. */
export function parseSudoers(text: string): string[] {
  const lines = text.replaceAll(/\\\r?\n/g, " ").split("\n");
  const rules = lines.map((line) => (/^\s*#(include|includedir|-?\d)/.test(line) ? line : line.replace(/(^|\s)#.*$/, "")));
  return [...new Set(rules.map((rule) => short(rule.trim().replaceAll(/\s+/g, " "))).filter((rule) => rule !== ""))].slice(0, rulesMax);
}

const keyType = /^(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]{1,100}$/;

/** As sshd reads authorized_keys: `[options] type key [comment]`; options may hold blanks in quotes. */
export function parseKeys(text: string): Key[] {
  const keys = new Map<string, Key>();
  for (const line of text.split("\n")) {
    const key = line.trim() === "" || /^\s*#/.test(line) ? undefined : parseKey(line.trim());
    if (key !== undefined && keys.size < keysMax) keys.set(identity(key), key);
  }
  return [...keys.values()];
}

/** A key that may be used for something else is another one. */
export function identity({ fingerprint, options }: Key): string {
  return `${fingerprint} ${options}`;
}

function parseKey(line: string): Key | undefined {
  const end = keyType.test(line.split(/\s/, 1)[0]!) ? 0 : optionsEnd(line);
  const [type = "", encoded = "", ...comment] = line.slice(end).trim().split(/\s+/);
  if (!keyType.test(type) || !/^[A-Za-z0-9+/]+=*$/.test(encoded)) return undefined;
  const digest = createHash("sha256").update(Buffer.from(encoded, "base64")).digest("base64").replace(/=+$/, "");
  const options = short(line.slice(0, end).trim());
  return { fingerprint: `SHA256:${digest}`, key_type: type, comment: short(comment.join(" ")), options };
}

/** Where the first blank stands that is not in quotes. */
function optionsEnd(line: string): number {
  let quoted = false;
  for (let at = 0; at < line.length; at += 1) {
    if (line[at] === '"' && line[at - 1] !== "\\") quoted = !quoted;
    else if (!quoted && /\s/.test(line[at]!)) return at;
  }
  return line.length;
}

/** Of two lines with one name the first counts, as for the system. Lines of NIS (+...) name nobody. */
function byName<T>(text: string, parse: (fields: string[]) => T | undefined): Map<string, T> {
  const entries = new Map<string, T>();
  for (const line of text.split("\n")) {
    const fields = line.split(":");
    const name = fields[0]!;
    if (name === "" || fields.length < 3 || /^[+#-]/.test(name) || name.length > 256 || entries.has(name)) continue;
    const entry = entries.size < entriesMax ? parse(fields) : undefined;
    if (entry !== undefined) entries.set(name, entry);
  }
  return entries;
}

function isId(text: string | undefined): boolean {
  return text !== undefined && /^\d{1,10}$/.test(text);
}

function short(text: string): string {
  return text.slice(0, textCharactersMax);
}
