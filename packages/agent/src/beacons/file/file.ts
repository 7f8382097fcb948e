/**
 * The `file` beacon: files and directories that were created, changed or removed, and managed files that are not as they should be.
 *
 * A notification only says where to look (file-look.ts); what is said in an event is read from the disk and judged against what is known
 * (file-known.ts): for a managed file how it must be, for any other how it was last seen. So a restored file is not news (P7), and a state
 * is told once. While a remedy is under way the judgement waits (file-holds.ts), and is made afresh when the remedy ended.
 */
import type { FileBeacon, FileEventData } from "@needfire/shared/beacons/file";
import { durationMs } from "@needfire/shared/duration";
import type { ManagedFile } from "@needfire/shared/managed-file";
import type { BeaconContext, RunningBeacon } from "../beacon.ts";
import { addAuditRules, type AuditRules } from "./audit-rules.ts";
import { FileActors, type Witnessed } from "./file-actors.ts";
import { Holds } from "./file-holds.ts";
import { desiredHere, desiredText } from "./file-desired.ts";
import { diffBetween, drift, judgePlain, type Side, stateKey } from "./file-judge.ts";
import { type Before, KnownFiles } from "./file-known.ts";
import { FileLook, sweepMs } from "./file-look.ts";
import { compileScope, type FileScope } from "./file-scope.ts";
import { fileOf, readState, type Snapshot } from "./file-state.ts";
import { startWatch } from "./file-watch.ts";
import { Settle } from "./settle.ts";

/**
 * Why a judgement is made now. `cause`: an execution that may have done what is found; `free`: a command that runs did not, so it is not
 * waited for; `now`: only what can be read at once counts; `afterRemedy`: one for this very path ended; `before`: it is the first look, and compares with what was known then;
 * `seen`: who did it.
 */
interface Occasion {
  cause?: string;
  seen?: Witnessed;
  free?: boolean;
  now?: boolean;
  afterRemedy?: boolean;
  before?: Before;
}

export function start(
  definition: FileBeacon,
  context: BeaconContext,
  { watch = startWatch, sweepEveryMs = sweepMs, heldMs = undefined as number | undefined } = {},
): RunningBeacon {
  const beacon = new FileBeaconRun(definition, context, { watch, sweepEveryMs, heldMs });
  const ready = beacon.start();
  ready.catch((error: unknown) => context.fail(error));
  return { ready, stop: () => beacon.stop(), restate: () => beacon.restate() };
}

class FileBeaconRun {
  readonly #definition: FileBeacon;
  readonly #context: BeaconContext;
  readonly #scope: FileScope;
  readonly #known: KnownFiles;
  readonly #look: FileLook;
  readonly #holds: Holds;
  readonly #settle: Settle;
  readonly #actors: FileActors;
  #rules: AuditRules | undefined;
  readonly #stop = new AbortController();
  readonly #unsubscribe: (() => void)[] = [];

  readonly #limits = new Map<string, string>();
  /** Until the first look is done, a touch says nothing about what was before. */
  readonly #early = new Set<string>();
  #baseline = false;
  /** Paths being judged, and those to be judged again after that. */
  readonly #busy = new Map<string, Promise<void>>();
  readonly #again = new Map<string, Occasion>();

  constructor(
    definition: FileBeacon,
    context: BeaconContext,
    { watch, sweepEveryMs, heldMs }: { watch: typeof startWatch; sweepEveryMs: number; heldMs: number | undefined },
  ) {
    const { managed, remedies, audit } = context;
    const isManaged = (path: string) => managed.get(path) !== undefined;
    this.#definition = definition;
    this.#context = context;
    this.#scope = compileScope(definition, { has: isManaged, paths: () => managed.all().map(({ path }) => path) });
    this.#known = new KnownFiles(definition, context, (message) => this.#limited("memory", message));
    this.#holds = new Holds({
      ...{ remedies, isManaged },
      judge: (path, occasion) => this.#judge(path, occasion),
      ...(heldMs === undefined ? {} : { heldMs }),
    });
    this.#actors = new FileActors({ audit, accounts: managed.accounts, expected: definition.audit });
    this.#settle = new Settle(durationMs(definition.settle), (path) => this.#settled(path));
    this.#look = new FileLook({
      ...{ definition, context, sweepEveryMs, scope: this.#scope, signal: this.#stop.signal, startWatch: watch },
      touched: (path) => this.#touched(path),
      look: (path) => this.#judge(path, {}),
      known: () => this.#known.paths(),
      looked: (begun, unlisted) => this.#looked(begun, unlisted),
      unlisted: (directory, message) => this.#cannotRead(directory, message, "list"),
    });
  }

  async start(): Promise<void> {
    const { managed, remedies } = this.#context;
    const before = this.#known.restore(this.#scope);
    this.#unsubscribe.push(managed.onChange(() => this.#look.inTurn(() => this.#takeManaged())));
    this.#unsubscribe.push(remedies.onBegin((scope) => this.#holds.begins(scope)));
    this.#unsubscribe.push(remedies.onEnd((ended) => this.#holds.ended(ended, (path) => this.#concerns(path))));
    if (this.#definition.audit) await this.#addAuditRules();
    await this.#look.start(() => this.#firstLook(before));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    // Whether the remedy of a drift helped will not be seen any more: the next start says it if it did not.
    for (const path of this.#known.managedPaths()) if (this.#holds.isRemedied(path)) this.#known.report(path, null);
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#settle.clear();
    this.#holds.stop();
    await this.#look.stop();
    await Promise.all(this.#busy.values());
    await this.#rules?.remove();
  }

  /** What is not as it should be is judged as if for the first time. */
  restate(): void {
    for (const path of this.#known.unsay()) this.#judge(path, {});
  }

  // Looking

  #touched(path: string): void {
    if (this.#stop.signal.aborted || !this.#concerns(path)) return;
    // What is held may turn out not to be a command's doing.
    if (!this.#holds.touched(path) || this.#actors.known) this.#settle.touch(path);
  }

  #settled(path: string): void {
    const heldSince = this.#holds.since(path);
    if (heldSince === undefined) this.#judge(path, {});
    else void this.#acquit(path, heldSince);
  }

  /** A path that waits for the end of a command does not when somebody else changed it. */
  async #acquit(path: string, heldSince: number): Promise<void> {
    const seen = await this.#actors.foreign({ path, file: fileOf(this.#known.get(path)?.stamp) }, heldSince);
    // The command may have ended meanwhile.
    if (seen === undefined || this.#holds.since(path) !== heldSince) return;
    this.#holds.acquit(path);
    this.#judge(path, { free: true, seen });
  }

  #concerns(path: string): boolean {
    return this.#scope.wants(path) || this.#known.get(path) !== undefined;
  }

  /** What was known before is compared with what there is; what nobody knew is taken as it is. */
  async #firstLook(before: Before): Promise<void> {
    const begun = this.#context.clock.now();
    const gone = new Set(this.#known.paths());
    const unlisted = await this.#look.walk((path) => {
      const wasKnown = gone.delete(path);
      if (wasKnown || this.#context.managed.get(path) !== undefined || before.wanted(path)) this.#judge(path, { before });
      else this.#learn(path);
    });
    for (const path of gone) this.#judge(path, { before });
    await Promise.all(this.#busy.values());
    if (this.#stop.signal.aborted) return;
    this.#baseline = true;
    this.#known.complete();
    this.#looked(begun, unlisted);
    for (const path of this.#early) this.#judge(path, {});
    this.#early.clear();
  }

  #looked(begun: number, unlisted: ReadonlySet<string>): void {
    this.#known.noteAt(begun);
    for (const key of this.#known.unreadables()) {
      if (key.endsWith("/") && !unlisted.has(key.slice(0, -1))) this.#known.readable(key);
    }
  }

  async #takeManaged(): Promise<void> {
    const { managed } = this.#context;
    await this.#look.rewatch();
    for (const path of this.#known.managedPaths().filter((path) => managed.get(path) === undefined)) {
      this.#known.forget(path);
      if (this.#scope.wants(path)) this.#learn(path);
    }
    for (const { path } of managed.all()) if (this.#scope.wants(path)) this.#judge(path, {});
  }

  // Judging

  #judge(path: string, occasion: Occasion): void {
    if (this.#stop.signal.aborted || !this.#concerns(path)) return;
    const { managed } = this.#context;
    const file = managed.get(path);
    if (!this.#baseline && file === undefined && occasion.before === undefined) return void this.#early.add(path);
    if (this.#holds.waits(path, occasion.free)) return this.#holds.add(path);
    if (this.#busy.has(path)) return void (occasion.now === true || this.#again.set(path, occasion));
    this.#holds.judged(path);
    const snapshot = readState(path, {
      accounts: managed.accounts,
      textBytesMax: this.#definition.diff_bytes_max,
      known: file === undefined ? this.#knownStamp(path, occasion) : this.#known.judgedStamp(file),
    });
    if (snapshot === "unchanged") return;
    if (snapshot instanceof Promise && occasion.now === true) return;
    if (snapshot instanceof Promise) this.#whileBusy(path, async () => this.#conclude(path, file, await snapshot, occasion));
    else {
      const concluded = this.#conclude(path, file, snapshot, occasion);
      if (concluded !== undefined) this.#whileBusy(path, () => concluded);
    }
  }

  /** The first look reads what a later diff needs, also of what has not changed. */
  #knownStamp(path: string, { before }: Occasion): string | undefined {
    const known = this.#known.get(path);
    return known === undefined || (before !== undefined && this.#known.wantsText(known)) ? undefined : known.stamp;
  }

  #whileBusy(path: string, work: () => Promise<void> | void): void {
    const working = (async () => {
      try {
        await work();
      } catch (error) {
        this.#context.fail(error);
      }
      this.#busy.delete(path);
      const occasion = this.#again.get(path);
      this.#again.delete(path);
      if (occasion !== undefined) this.#judge(path, occasion);
    })();
    this.#busy.set(path, working);
  }

  #conclude(path: string, file: ManagedFile | undefined, snapshot: Snapshot, occasion: Occasion): Promise<void> | void {
    if (this.#stop.signal.aborted) return;
    if (snapshot.trouble === undefined) this.#known.readable(path);
    else this.#cannotRead(path, snapshot.trouble);
    // Not even its state could be read: what was known stays.
    if (snapshot.trouble !== undefined && snapshot.state === null) return;
    return file === undefined ? this.#concludePlain(path, snapshot, occasion) : this.#concludeManaged(file, snapshot, occasion);
  }

  #concludePlain(path: string, snapshot: Snapshot, occasion: Occasion): Promise<void> | void {
    const before: Side & { stamp?: string | undefined } = this.#known.get(path) ?? { state: null };
    const verdict = judgePlain(before.state, snapshot.state);
    if (verdict.kind === "same") return this.#known.keep(path, snapshot);
    const tell = (seen: Witnessed | undefined) => {
      if (this.#stop.signal.aborted) return;
      const diff = diffBetween(path, { before, after: snapshot, secret: this.#definition.secret });
      const data: FileEventData = { path, changes: verdict.changes, before: before.state, after: snapshot.state, ...diff };
      this.#tell(verdict.type, data, { ...occasion, ...(seen && { seen }) });
      this.#known.keep(path, snapshot);
    };
    if (occasion.seen !== undefined || occasion.before !== undefined || !this.#actors.known) return tell(occasion.seen);
    const file = fileOf(snapshot.state === null ? before.stamp : snapshot.identity);
    return this.#actors.last({ path, file }).then(tell);
  }

  #concludeManaged(file: ManagedFile, snapshot: Snapshot, occasion: Occasion): Promise<void> | void {
    const { path } = file;
    const desired = desiredHere(file, this.#context.managed.accounts);
    const changes = drift(desired, snapshot.state);
    this.#known.judged(file, snapshot.stamp);
    if (changes.length === 0) return this.#known.report(path, null);
    const key = `${stateKey(desired)}\n${stateKey(snapshot.state)}`;
    const last = this.#known.reported(path);
    // The same state is told once. After a remedy the very same file means that the remedy did not help, and telling it again would be
    // a loop; another file of that state means that somebody did it again.
    if (last?.key === key && !(occasion.afterRemedy === true && last.identity !== snapshot.identity)) return;
    const told = { key, identity: snapshot.identity };
    return this.#tellDrift(file, { changes, before: desired, after: snapshot, told, occasion });
  }

  async #tellDrift(
    file: ManagedFile,
    found: {
      changes: FileEventData["changes"];
      before: Side["state"];
      after: Snapshot;
      told: { key: string; identity: string };
      occasion: Occasion;
    },
  ): Promise<void> {
    const { changes, before, after, told, occasion } = found;
    const secret = this.#definition.secret || file.secret;
    const suspect = occasion.cause ?? (occasion.free === true ? undefined : this.#context.remedies.holdingHost());
    const text = secret ? {} : await desiredText(file, this.#context.managed, this.#definition.diff_bytes_max);
    const isNow = this.#actors.known && occasion.before === undefined;
    const seen = isNow ? await this.#actors.last({ path: file.path, file: fileOf(after.identity) }) : undefined;
    if (this.#stop.signal.aborted) return;
    const diff = diffBetween(file.path, { before: { state: before, ...text }, after, secret });
    const data: FileEventData = { path: file.path, changes, before, after: after.state, ...diff };
    this.#tell("file.drifted", data, { ...occasion, ...(suspect && { cause: suspect }), ...(seen && { seen }) });
    this.#known.report(file.path, told);
  }

  #tell(type: string, found: FileEventData, { cause, before, seen }: Occasion): void {
    const { path } = found;
    // What came of another login is not the doing of a command of ours (P7).
    const isCaused = cause !== undefined && seen?.foreign !== true;
    const data = { ...found, ...(before?.at === undefined ? {} : { since: before.at }), ...(seen && { by: seen.by }) };
    this.#context.emit({ type, subject: path, ...(isCaused ? { cause } : {}), data });
    if (seen !== undefined) this.#actors.told(seen);
  }

  async #addAuditRules(): Promise<void> {
    const { name } = this.#definition;
    this.#rules = await addAuditRules(name, [...new Set([...this.#scope.paths(), ...this.#scope.bases()])]);
    const unheard = this.#context.audit.readable ? undefined : "there is no audit log that may be read: is auditd running?";
    this.#limited("audit", [this.#rules.missing, unheard].filter((message) => message !== undefined).join("; "));
  }

  /** What is told of as a limit of this beacon, each by its name. */
  #limited(limit: string, message: string): void {
    if (message !== "") this.#limits.set(limit, message);
    if (this.#limits.size > 0) this.#context.degraded([...this.#limits.values()].join("; "));
  }

  /** Takes a path's state as known, without a word. */
  #learn(path: string): void {
    const snapshot = readState(path, { accounts: this.#context.managed.accounts, textBytesMax: this.#definition.diff_bytes_max });
    if (snapshot === "unchanged") return;
    const take = (learned: Snapshot) => {
      if (this.#stop.signal.aborted) return;
      if (learned.trouble !== undefined) this.#cannotRead(path, learned.trouble);
      this.#known.keep(path, learned);
    };
    if (snapshot instanceof Promise) this.#whileBusy(path, async () => take(await snapshot));
    else take(snapshot);
  }

  /** Told once: of a path until it can be read again, of a directory until it can be listed again. */
  #cannotRead(path: string | undefined, message: string, what: "read" | "list" = "read"): void {
    const key = what === "read" ? (path ?? "") : `${path ?? ""}/`;
    if (this.#stop.signal.aborted || this.#known.isUnreadable(key)) return;
    this.#context.emit({
      type: "file.unreadable",
      ...(path === undefined ? {} : { subject: path }),
      data: { message, ...(path === undefined ? {} : { path }) },
    });
    this.#known.unreadable(key);
  }
}
