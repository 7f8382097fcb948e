/**
 * The `user` beacon: accounts, groups, the rules of sudo and the keys that may log in, compared with the look before. It knows the accounts that
 * the host itself keeps, not those of a directory service, and never tells a password or its hash.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { GroupData, userSubjects } from "@needfire/shared/beacons/user";
import { globMatcher } from "@needfire/shared/glob";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { isOnNetwork, readMounts } from "./mounts.ts";
import { type Look, polled } from "../polled.ts";
import { SeenFiles } from "./seen-files.ts";
import { accountChange, type Change, groupChange, keyChanges, knownAccount, type KnownAccount, sudoChange } from "./user-compare.ts";
import {
  type Key,
  parseGroups,
  parseKeys,
  parsePasswd,
  parseShadow,
  parseSudoers,
  type PasswdEntry,
  type ShadowEntry,
} from "./user-parse.ts";

const fileBytesMax = 8 * 1024 * 1024;
const sudoFilesMax = 500;
const namedMax = 3;

export function start(definition: DefinitionOf<"user">, context: BeaconContext): RunningBeacon {
  const watch = new UserWatch(definition, context);
  return polled(context, { interval: definition.interval, topic: "user" }, (look) => watch.look(look));
}

type Subject = (typeof userSubjects)[number];

/** Rows in memory: `u NAME`, `g NAME`, `s PATH`, `k NAME:PATH` as they were seen, and `baseline SUBJECT` for what is known as a whole. */
class UserWatch {
  readonly #definition: DefinitionOf<"user">;
  readonly #context: BeaconContext;
  readonly #excludes: (name: string) => boolean;
  readonly #files = new SeenFiles(fileBytesMax);
  readonly #known: Map<string, unknown>;
  #passwd = new Map<string, PasswdEntry>();
  #shadow: Map<string, ShadowEntry> | undefined;
  #trouble: string[] = [];
  /** Something was not judged, since a remedy was changing it: all is read again, though it may not change any more. */
  #isHeldBack = false;

  constructor(definition: DefinitionOf<"user">, context: BeaconContext) {
    this.#definition = definition;
    this.#context = context;
    this.#excludes = definition.exclude.length === 0 ? () => false : globMatcher(definition.exclude);
    this.#known = context.memory.take();
  }

  async look(look: Look): Promise<void> {
    this.#trouble = [];
    this.#isHeldBack = false;
    // Keys hang on the accounts.
    const isKnown = await this.#readAccounts(look);
    if (this.#watches("groups")) await this.#lookAtGroups(look);
    if (this.#watches("sudo")) await this.#lookAtSudo(look);
    if (this.#watches("keys") && isKnown) await this.#lookAtKeys(look);
    this.#files.end({ anew: this.#isHeldBack });
    const more = this.#trouble.length - namedMax;
    const named = this.#trouble.slice(0, namedMax).join("; ");
    this.#context.degraded(this.#trouble.length === 0 ? undefined : `cannot be read: ${named}${more > 0 ? `; and ${more} more` : ""}`);
  }

  #watches(subject: Subject): boolean {
    return this.#definition.watch.includes(subject);
  }

  /** False: who has an account is not known. */
  async #readAccounts(look: Look): Promise<boolean> {
    const passwd = await this.#text("/etc/passwd");
    if (passwd.kind === "unreadable") return false;
    const isWatched = this.#watches("accounts");
    const shadow = isWatched ? await this.#text("/etc/shadow") : ({ kind: "same" } as const);
    if (passwd.kind !== "same") this.#passwd = this.#named(parsePasswd(passwd.kind === "text" ? passwd.text : ""));
    if (shadow.kind === "unreadable") this.#shadow = undefined;
    else if (shadow.kind !== "same") this.#shadow = shadow.kind === "text" ? parseShadow(shadow.text) : undefined;
    if (!isWatched || (passwd.kind === "same" && shadow.kind === "same")) return true;
    const accounts = new Map([...this.#passwd].map(([name, entry]) => [name, knownAccount(entry, this.#shadow?.get(name))]));
    this.#compare({ subject: "accounts", prefix: "u ", now: accounts, look }, (_, before, after) =>
      accountChange(before as KnownAccount | undefined, after),
    );
    return true;
  }

  async #lookAtGroups(look: Look): Promise<void> {
    const seen = await this.#text("/etc/group");
    if (seen.kind === "same" || seen.kind === "unreadable") return;
    const groups = this.#named(parseGroups(seen.kind === "text" ? seen.text : ""));
    this.#compare({ subject: "groups", prefix: "g ", now: groups, look }, (_, before, after) =>
      groupChange(before as GroupData | undefined, after),
    );
  }

  async #lookAtSudo(look: Look): Promise<void> {
    const now = new Map<string, string[]>();
    for (const path of await this.#sudoFiles()) {
      const seen = await this.#text(path);
      const before = this.#known.get(`s ${path}`) as string[] | undefined;
      // What cannot be read stays as it was known.
      if (seen.kind === "text") now.set(path, parseSudoers(seen.text));
      else if (seen.kind !== "absent" && before !== undefined) now.set(path, before);
    }
    this.#compare({ subject: "sudo", prefix: "s ", now, look }, (path, before, after) =>
      sudoChange(path, before as string[] | undefined, after),
    );
  }

  /** sudo passes over names with a dot or with a tilde at the end. */
  async #sudoFiles(): Promise<string[]> {
    const files: string[] = [];
    for (const path of this.#definition.sudoers) {
      try {
        const names = await readdir(this.#path(path));
        files.push(...names.filter((name) => !/\.|~$/.test(name)).map((name) => join(path, name)));
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "ENOTDIR") files.push(path);
        else if (code !== "ENOENT") this.#trouble.push(`${path}: ${code}`);
      }
    }
    if (files.length > sudoFilesMax) this.#trouble.push(`more than ${sudoFilesMax} files of sudo`);
    return files.toSorted().slice(0, sudoFilesMax);
  }

  async #lookAtKeys(look: Look): Promise<void> {
    const wanted = new Set<string>();
    const far = new Set<string>();
    const mounts = readMounts();
    const hasBaseline = this.#known.has("baseline keys");
    for (const { name, home } of this.#passwd.values()) {
      for (const path of this.#keyFiles(name, home)) {
        const row = `k ${name}:${path}`;
        wanted.add(row);
        if (isOnNetwork(this.#path(path), mounts)) far.add(name);
        if (far.has(name)) continue;
        const seen = await this.#text(path, row);
        if (seen.kind === "same" || seen.kind === "unreadable" || this.#holdsBack(name, look)) continue;
        const before = (this.#known.get(row) ?? []) as Key[];
        const after = seen.kind === "text" ? parseKeys(seen.text) : [];
        if (isDeepStrictEqual(before, after)) continue;
        if (hasBaseline) this.#tell(keyChanges({ user: name, path }, before, after), name, look);
        this.#keep(row, after.length === 0 ? undefined : after);
      }
    }
    if (far.size > 0) this.#trouble.push(`keys of ${far.size} accounts, which lie on the network`);
    // Of accounts that are gone: that was told.
    for (const row of this.#known.keys()) if (row.startsWith("k ") && !wanted.has(row)) this.#keep(row, undefined);
    this.#keep("baseline keys", true);
  }

  #keyFiles(name: string, home: string): string[] {
    const tokens: Record<string, string> = { "%u": name, "%h": home, "%%": "%" };
    return this.#definition.authorized_keys.map((file) => {
      const path = file.replaceAll(/%[uh%]/g, (token) => tokens[token]!);
      return path.startsWith("/") ? path : join("/", home, path);
    });
  }

  /** One kind of things, as they are now, with what is known of them; in one turn. */
  #compare<T>(
    { subject, prefix, now, look }: { subject: Subject; prefix: string; now: Map<string, T>; look: Look },
    changeOf: (key: string, before: unknown, after: T | undefined) => Change | undefined,
  ): void {
    const hasBaseline = this.#known.has(`baseline ${subject}`);
    const gone = [...this.#known.keys()].filter((row) => row.startsWith(prefix) && !now.has(row.slice(prefix.length)));
    for (const key of [...gone.map((row) => row.slice(prefix.length)), ...now.keys()]) {
      const before = this.#known.get(prefix + key);
      const after = now.get(key);
      if (isDeepStrictEqual(before, after) || this.#holdsBack(key, look)) continue;
      const change = changeOf(key, before, after);
      if (change !== undefined && hasBaseline && !this.#excludes(key)) this.#tell([change], key, look);
      this.#keep(prefix + key, after);
    }
    this.#keep(`baseline ${subject}`, true);
  }

  #holdsBack(subject: string, look: Look): boolean {
    const isHeld = look.held(subject);
    this.#isHeldBack ||= isHeld;
    return isHeld;
  }

  #tell(changes: Change[], subject: string, look: Look): void {
    for (const { type, data } of changes) this.#context.emit({ type, subject, ...look.cause(subject), data });
  }

  #keep(row: string, value: unknown): void {
    if (this.#known.get(row) === value) return;
    if (value === undefined) this.#known.delete(row);
    else this.#known.set(row, value);
    this.#context.memory.set(row, value);
  }

  #named<T>(entries: Map<string, T>): Map<string, T> {
    return new Map([...entries].filter(([name]) => !this.#excludes(name)));
  }

  async #text(path: string, reader = path) {
    const seen = await this.#files.look(this.#path(path), reader);
    if (seen.kind === "unreadable") this.#trouble.push(seen.message);
    return seen;
  }

  #path(path: string): string {
    return this.#definition.root === "/" ? path : join(this.#definition.root, path);
  }
}
