/**
 * Names and numbers of users and groups, from /etc/passwd and /etc/group. Read again when those files change. Accounts of a directory
 * service are not seen here: a managed file can name those by number.
 */
import { readFileSync, statSync } from "node:fs";

/** A name that is known is believed for this long without a look at the file; one that is not known is looked up at once. */
const trustMs = 1_000;

class Table {
  readonly #file: string;
  #stamp = "";
  #checked = Number.NEGATIVE_INFINITY;
  #ids = new Map<string, number>();
  #names = new Map<number, string>();

  constructor(file: string) {
    this.#file = file;
  }

  /** A name, or a number as text. Undefined: nobody is called that. */
  id(name: string): number | undefined {
    this.#refresh(this.#ids.has(name));
    return this.#ids.get(name) ?? (/^[0-9]{1,10}$/.test(name) ? Number(name) : undefined);
  }

  /** The name, or the number as text when there is none. */
  name(id: number): string {
    this.#refresh(this.#names.has(id));
    return this.#names.get(id) ?? String(id);
  }

  #refresh(known: boolean): void {
    const now = performance.now();
    if (known && now - this.#checked < trustMs) return;
    this.#checked = now;
    const stat = statSync(this.#file, { throwIfNoEntry: false });
    const stamp = stat === undefined ? "none" : `${stat.ino}:${stat.size}:${stat.ctimeMs}`;
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    this.#ids = new Map();
    this.#names = new Map();
    for (const line of stat === undefined ? [] : readFileSync(this.#file, "utf8").split("\n")) {
      const [name, , id] = line.split(":");
      if (!name || !id || !/^[0-9]+$/.test(id)) continue;
      if (!this.#ids.has(name)) this.#ids.set(name, Number(id));
      if (!this.#names.has(Number(id))) this.#names.set(Number(id), name);
    }
  }
}

export interface Account {
  uid: number;
  gid: number;
  home: string;
}

export class Accounts {
  readonly users: Table;
  readonly groups: Table;
  readonly #passwd: string;

  constructor({ passwd = "/etc/passwd", group = "/etc/group" }: { passwd?: string; group?: string } = {}) {
    this.users = new Table(passwd);
    this.groups = new Table(group);
    this.#passwd = passwd;
  }

  /** Whom a program may be run as: by name, or by number as text. Undefined: there is no such account. */
  account(user: string): Account | undefined {
    for (const line of readFileSync(this.#passwd, "utf8").split("\n")) {
      const [name, , uid, gid, , home] = line.split(":");
      if (name !== user && uid !== user) continue;
      if (/^[0-9]+$/.test(uid ?? "") && /^[0-9]+$/.test(gid ?? "")) return { uid: Number(uid), gid: Number(gid), home: home || "/" };
    }
    return undefined;
  }
}
