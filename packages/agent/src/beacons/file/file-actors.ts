/**
 * Who changed a file, for a file beacon's events: what the audit log has of it. A record is of one change: what has been told with one event
 * is not told with the next, since a program that opened a file once may write to it for hours, and somebody else meanwhile.
 */
import type { FileEventData } from "@needfire/shared/beacons/file";
import type { Accounts } from "../../accounts.ts";
import type { AuditLog } from "./audit-log.ts";
import type { AuditedChange } from "./audit-records.ts";

type Actor = NonNullable<FileEventData["by"]>;

/** What the log has of a change. `foreign`: certainly nothing did it that this agent started. */
export interface Witnessed {
  change: AuditedChange;
  by: Actor;
  foreign: boolean;
}

/** Where a path leads, or led: `file` is its device and inode number. */
export interface Changed {
  path: string;
  file: string | undefined;
}

/** The record of a change is made as the call begins, and the notification comes when it is done. */
const callMsMax = 250;

export class FileActors {
  readonly #audit: AuditLog;
  readonly #accounts: Accounts;
  readonly #told = new WeakSet<AuditedChange>();
  /** Whether a record that is not there yet may be on its way: the paths are audited, or one was found before. */
  #expected: boolean;

  constructor({ audit, accounts, expected }: { audit: AuditLog; accounts: Accounts; expected: boolean }) {
    this.#audit = audit;
    this.#accounts = accounts;
    this.#expected = expected;
  }

  get known(): boolean {
    return this.#audit.readable;
  }

  /** Who made the last change, as far as that is not told yet. */
  last(changed: Changed): Promise<Witnessed | undefined> {
    return this.#find(changed, () => true);
  }

  /** Who made a change since then that certainly nothing did which this agent started. `since`: by the monotonic clock. */
  foreign(changed: Changed, since: number): Promise<Witnessed | undefined> {
    const sinceTime = Date.now() - (performance.now() - since) - callMsMax;
    return this.#find(changed, (change) => change.time >= sinceTime && this.#audit.isForeign(change));
  }

  /** It is told with an event. */
  told({ change }: Witnessed): void {
    this.#told.add(change);
  }

  async #find({ path, file }: Changed, fits: (change: AuditedChange) => boolean): Promise<Witnessed | undefined> {
    const change = await this.#audit.who({ path, file, fits: (each) => !this.#told.has(each) && fits(each) }, this.#expected);
    if (change === undefined) return undefined;
    this.#expected = true;
    return { change, by: this.#actor(change), foreign: this.#audit.isForeign(change) };
  }

  #actor({ uid, loginUid, executable, pid }: AuditedChange): Actor {
    const { users } = this.#accounts;
    return {
      user: users.name(uid),
      ...(loginUid === undefined ? {} : { login_user: users.name(loginUid) }),
      ...(executable === undefined ? {} : { executable }),
      pid,
    };
  }
}
