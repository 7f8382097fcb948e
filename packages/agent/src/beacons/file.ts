/**
 * The `file` beacon: files and directories that were created, changed or removed, and managed files that are not as they should be.
 *
 * A notification only says where to look; what is said in an event is read from the disk and judged against what is known: for a
 * managed file how it must be, for any other how it was last seen. So a restored file is not news (P7), and a state is told once.
 * While a remedy is under way the judgement waits, and is made afresh when the remedy ended.
 */
import type { FileBeacon, FileEventData } from "@needfire/shared/beacons/file";
import { durationMs } from "@needfire/shared/duration";
import { errorText, systemCode } from "@needfire/shared/errors";
import type { ManagedFile } from "@needfire/shared/managed-file";
import type { EndedRemedy } from "../remedies.ts";
import type { BeaconContext, RunningBeacon } from "./beacon.ts";
import { desiredState, diffBetween, drift, judgePlain, type Side, stateKey } from "./file-judge.ts";
import { compileScope, type FileScope } from "./file-scope.ts";
import { readState, type Snapshot, textOf } from "./file-state.ts";
import { type FileWatch, type StartWatch, startWatch } from "./file-watch.ts";
import { walk } from "./file-walk.ts";
import { Settle } from "./settle.ts";

/** Texts of unmanaged files that are kept for a later diff, in all. */
const keptTextBytesMax = 64 * 1024 * 1024;
/**
 * How often to look at everything although the kernel tells of changes: its queue may overflow, and a symbolic link above a watched
 * directory may be turned elsewhere. A look that takes long is made less often.
 */
const sweepMs = 60_000;
const sweepShare = 100;

/** How a plain file was last seen. */
interface Known extends Side {
  stamp: string | undefined;
}

/** What was said of a managed file: the state, and the very file that had it. */
interface Reported {
  key: string;
  identity: string;
}

/** Why a judgement is made now: an execution that is the cause of what is found; a remedy for this path that ended. */
interface Occasion {
  cause?: string;
  afterRemedy?: boolean;
}

export function start(definition: FileBeacon, context: BeaconContext, { watch = startWatch, sweepEveryMs = sweepMs } = {}): RunningBeacon {
  const beacon = new FileBeaconRun(definition, context, { watch, sweepEveryMs });
  const ready = beacon.start();
  ready.catch((error: unknown) => context.fail(error));
  return { ready, stop: () => beacon.stop(), restate: () => beacon.restate() };
}

class FileBeaconRun {
  readonly #definition: FileBeacon;
  readonly #context: BeaconContext;
  readonly #startWatch: StartWatch;
  readonly #sweepEveryMs: number;
  readonly #scope: FileScope;
  readonly #settle: Settle;
  readonly #stop = new AbortController();
  readonly #unsubscribe: (() => void)[] = [];

  readonly #known = new Map<string, Known>();
  #keptTextBytes = 0;
  readonly #reported = new Map<string, Reported>();
  /** Stamps of managed files as last judged, so that a look at an untouched file costs no read. */
  readonly #judged = new Map<string, { stamp: string | undefined; file: ManagedFile }>();
  readonly #unreadable = new Set<string>();

  /** Until the first look is done, a touch says nothing about what was before. */
  readonly #early = new Set<string>();
  #baseline = false;
  /** Paths that wait for a remedy to end. */
  readonly #held = new Set<string>();
  /** Managed files that were touched while a command ran, and are not judged yet: they only settle. */
  readonly #settling = new Set<string>();
  /** Paths being judged, and those to be judged again after that. */
  readonly #busy = new Map<string, Promise<void>>();
  readonly #again = new Map<string, Occasion>();

  #watch: FileWatch | undefined;
  #roots = "";
  #polling = false;
  #sweepTimer: NodeJS.Timeout | undefined;
  #chain: Promise<void> = Promise.resolve();

  constructor(definition: FileBeacon, context: BeaconContext, { watch, sweepEveryMs }: { watch: StartWatch; sweepEveryMs: number }) {
    const { managed } = context;
    this.#definition = definition;
    this.#context = context;
    this.#startWatch = watch;
    this.#sweepEveryMs = sweepEveryMs;
    this.#scope = compileScope(definition, {
      has: (path) => managed.get(path) !== undefined,
      paths: () => managed.all().map(({ path }) => path),
    });
    this.#settle = new Settle(durationMs(definition.settle), (path) => this.#judge(path, {}));
  }

  async start(): Promise<void> {
    const { managed, remedies } = this.#context;
    this.#unsubscribe.push(managed.onChange(() => this.#inTurn(() => this.#takeManaged())));
    this.#unsubscribe.push(remedies.onEnd((ended) => this.#remedyEnded(ended)));
    const started = this.#chain.then(async () => {
      await this.#rewatch();
      await this.#firstLook();
      this.#scheduleSweep(0);
    });
    this.#chain = started.catch(() => undefined); // told through `ready`
    await started;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#settle.clear();
    clearTimeout(this.#sweepTimer);
    await this.#watch?.close(); // first: the chain may be waiting for it to be ready
    await this.#chain;
    await Promise.all(this.#busy.values());
  }

  /** What is not as it should be is judged as if for the first time. */
  restate(): void {
    this.#unreadable.clear();
    for (const path of [...this.#reported.keys()]) {
      this.#reported.delete(path);
      this.#judged.delete(path);
      this.#judge(path, {});
    }
  }

  // Looking

  #touched(path: string): void {
    if (this.#stop.signal.aborted || !this.#concerns(path)) return;
    if (this.#waitsForRemedy(path)) return void this.#held.add(path);
    if (this.#context.remedies.holdingHost() !== undefined) this.#settling.add(path);
    this.#settle.touch(path);
  }

  #concerns(path: string): boolean {
    return this.#scope.wants(path) || this.#known.has(path);
  }

  /** What a managed file must be is known: a command that may change anything does not put off its judgement, which may take long. */
  #waitsForRemedy(path: string): boolean {
    const { managed, remedies } = this.#context;
    return (managed.get(path) === undefined ? remedies.holding(path) : remedies.holdingPath(path)) !== undefined;
  }

  /** Subscribes anew when other directories matter. The old watch ends after the new one stands, so nothing is missed between. */
  async #rewatch(): Promise<void> {
    const roots = this.#scope.roots().sort().join("\0");
    if (this.#polling || this.#stop.signal.aborted || (this.#watch !== undefined && roots === this.#roots)) return;
    this.#roots = roots;
    const old = this.#watch;
    this.#watch = this.#startWatch(this.#scope, {
      touched: (path) => this.#touched(path),
      exhausted: (error) => this.#pollInstead(error),
      failed: (error, path) => this.#cannotRead(path, errorText(error), "list"),
    });
    await this.#watch.ready;
    await old?.close();
  }

  async #firstLook(): Promise<void> {
    await this.#walk((path) => (this.#context.managed.get(path) === undefined ? this.#learn(path) : this.#judge(path, {})));
    await Promise.all(this.#busy.values());
    this.#baseline = true;
    for (const path of this.#early) this.#judge(path, {});
    this.#early.clear();
  }

  async #walk(visit: (path: string) => void): Promise<void> {
    await walk(this.#scope, {
      visit: (path) => {
        try {
          visit(path);
        } catch (error) {
          this.#context.fail(error);
        }
      },
      unreadable: (error, directory) => this.#cannotRead(directory, errorText(error), "list"),
      signal: this.#stop.signal,
    });
  }

  /** Looks at everything again. A path whose stamp is the same costs one `lstat`. */
  async #sweep(): Promise<void> {
    const gone = new Set(this.#known.keys());
    await this.#walk((path) => {
      gone.delete(path);
      this.#lookAt(path);
    });
    for (const path of gone) this.#lookAt(path);
  }

  #lookAt(path: string): void {
    if (this.#waitsForRemedy(path)) this.#held.add(path);
    else this.#judge(path, {});
  }

  #scheduleSweep(tookMs: number): void {
    if (this.#stop.signal.aborted) return;
    const wait = this.#polling ? durationMs(this.#definition.poll) : Math.max(this.#sweepEveryMs, tookMs * sweepShare);
    clearTimeout(this.#sweepTimer);
    this.#sweepTimer = setTimeout(() => {
      this.#inTurn(async () => {
        const begun = performance.now();
        await this.#sweep();
        this.#scheduleSweep(performance.now() - begun);
      });
    }, wait);
  }

  #pollInstead(error: Error): void {
    if (this.#polling || this.#stop.signal.aborted) return;
    this.#polling = true;
    const limit =
      systemCode(error) === "ENOSPC"
        ? "fs.inotify.max_user_watches"
        : "fs.inotify.max_user_instances, or this process's limit of open files";
    const message = `the kernel's limit of watches is reached (${errorText(error)}): raise ${limit}, or watch less. Until the beacon is started again it looks every ${this.#definition.poll}`;
    this.#context.emit({ type: "beacon.overflow", subject: this.#definition.name, severity: "high", data: { message } });
    const watch = this.#watch;
    this.#inTurn(async () => {
      await (watch ?? this.#watch)?.close();
      this.#scheduleSweep(0);
    });
  }

  /** Longer works run one after another; the failure of one is the beacon's. */
  #inTurn(work: () => Promise<void>): void {
    this.#chain = this.#chain.then(async () => {
      if (this.#stop.signal.aborted) return;
      try {
        await work();
      } catch (error) {
        this.#context.fail(error);
      }
    });
  }

  // Remedies

  #remedyEnded({ execution, scope }: EndedRemedy): void {
    if (scope === "host") {
      for (const path of this.#settling) this.#held.add(path);
      this.#settling.clear();
      return this.#release({ cause: execution });
    }
    if (!("path" in scope)) return;
    const { path } = scope;
    this.#held.delete(path);
    this.#release({});
    // Judged without waiting for a notification: those of the remedy's own doing may come after its end. What differs in a managed file
    // now is not what the remedy made of it, so it is somebody else's doing and has no cause.
    if (this.#concerns(path))
      this.#judge(path, this.#context.managed.get(path) === undefined ? { cause: execution } : { afterRemedy: true });
  }

  #release(occasion: Occasion): void {
    for (const path of this.#held) {
      if (this.#waitsForRemedy(path)) continue;
      this.#held.delete(path);
      this.#judge(path, occasion);
    }
  }

  // The managed list

  async #takeManaged(): Promise<void> {
    const { managed } = this.#context;
    await this.#rewatch();
    for (const path of [...this.#judged.keys()].filter((path) => managed.get(path) === undefined)) {
      this.#judged.delete(path);
      this.#reported.delete(path);
      if (this.#scope.wants(path)) this.#learn(path);
    }
    for (const { path } of managed.all()) {
      if (!this.#scope.wants(path)) continue;
      this.#forget(path);
      this.#lookAt(path);
    }
  }

  // Judging

  #judge(path: string, occasion: Occasion): void {
    if (this.#stop.signal.aborted || !this.#concerns(path)) return;
    const { managed } = this.#context;
    const file = managed.get(path);
    if (!this.#baseline && file === undefined) return void this.#early.add(path);
    if (this.#waitsForRemedy(path)) return void this.#held.add(path);
    if (this.#busy.has(path)) return void this.#again.set(path, occasion);
    this.#settling.delete(path);
    const judged = this.#judged.get(path);
    const stamp = file === undefined ? this.#known.get(path)?.stamp : judged?.file === file ? judged.stamp : undefined;
    const snapshot = readState(path, { accounts: managed.accounts, textBytesMax: this.#definition.diff_bytes_max, known: stamp });
    if (snapshot === "unchanged") return;
    if (snapshot instanceof Promise) this.#whileBusy(path, async () => this.#conclude(path, file, await snapshot, occasion));
    else {
      const concluded = this.#conclude(path, file, snapshot, occasion);
      if (concluded !== undefined) this.#whileBusy(path, () => concluded);
    }
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
    if (snapshot.trouble === undefined) this.#unreadable.delete(path);
    else this.#cannotRead(path, snapshot.trouble);
    // Not even its state could be read: what was known stays.
    if (snapshot.trouble !== undefined && snapshot.state === null) return;
    return file === undefined ? this.#concludePlain(path, snapshot, occasion) : this.#concludeManaged(file, snapshot, occasion);
  }

  #concludePlain(path: string, snapshot: Snapshot, { cause }: Occasion): void {
    const before: Side = this.#known.get(path) ?? { state: null };
    this.#keep(path, snapshot);
    const verdict = judgePlain(before.state, snapshot.state);
    if (verdict.kind === "same") return;
    const diff = diffBetween(path, { before, after: snapshot, secret: this.#definition.secret });
    const data: FileEventData = { path, changes: verdict.changes, before: before.state, after: snapshot.state, ...diff };
    this.#context.emit({ type: verdict.type, subject: path, ...(cause === undefined ? {} : { cause }), data });
  }

  #concludeManaged(file: ManagedFile, snapshot: Snapshot, { cause, afterRemedy = false }: Occasion): Promise<void> | void {
    const { path } = file;
    const desired = this.#desired(file);
    const changes = drift(desired, snapshot.state);
    this.#judged.set(path, { stamp: snapshot.stamp, file });
    if (changes.length === 0) return void this.#reported.delete(path);
    const key = `${stateKey(desired)}\n${stateKey(snapshot.state)}`;
    const last = this.#reported.get(path);
    // The same state is told once. After a remedy the very same file means that the remedy did not help, and telling it again would be
    // a loop; another file of that state means that somebody did it again.
    if (last?.key === key && !(afterRemedy && last.identity !== snapshot.identity)) return;
    this.#reported.set(path, { key, identity: snapshot.identity });
    return this.#tellDrift(file, { changes, before: desired, after: snapshot, cause: cause ?? this.#context.remedies.holdingHost() });
  }

  async #tellDrift(
    file: ManagedFile,
    found: { changes: FileEventData["changes"]; before: Side["state"]; after: Snapshot; cause: string | undefined },
  ): Promise<void> {
    const { changes, before, after, cause } = found;
    const secret = this.#definition.secret || file.secret;
    const text = secret ? {} : await this.#desiredText(file);
    const diff = diffBetween(file.path, { before: { state: before, ...text }, after, secret });
    const data: FileEventData = { path: file.path, changes, before, after: after.state, ...diff };
    this.#context.emit({ type: "file.drifted", subject: file.path, ...(cause === undefined ? {} : { cause }), data });
  }

  async #desiredText(file: ManagedFile): Promise<{ text: string } | { noText: string }> {
    const { diff_bytes_max: textBytesMax } = this.#definition;
    if (file.size > textBytesMax) return { noText: "too large" };
    try {
      return textOf(await this.#context.managed.content(file), textBytesMax);
    } catch (error) {
      return { noText: `not at hand (${errorText(error)})` };
    }
  }

  /** Names as this host shows them, so that "0" and "root" are one owner. */
  #desired(file: ManagedFile) {
    const { users, groups } = this.#context.managed.accounts;
    const uid = users.id(file.owner);
    const gid = groups.id(file.group);
    return desiredState({
      ...file,
      owner: uid === undefined ? file.owner : users.name(uid),
      group: gid === undefined ? file.group : groups.name(gid),
    });
  }

  /** Takes a path's state as known, without a word. */
  #learn(path: string): void {
    const snapshot = readState(path, { accounts: this.#context.managed.accounts, textBytesMax: this.#definition.diff_bytes_max });
    if (snapshot === "unchanged") return;
    const take = (learned: Snapshot) => {
      if (learned.trouble !== undefined) this.#cannotRead(path, learned.trouble);
      this.#keep(path, learned);
    };
    if (snapshot instanceof Promise) this.#whileBusy(path, async () => take(await snapshot));
    else take(snapshot);
  }

  #keep(path: string, { state, text, noText, stamp }: Snapshot): void {
    this.#forget(path);
    if (state === null) return;
    const kept = text !== undefined && !this.#definition.secret && this.#keptTextBytes + text.length <= keptTextBytesMax;
    if (kept) this.#keptTextBytes += text.length;
    this.#known.set(path, { state, stamp, ...(kept ? { text } : { noText: noText ?? "not kept" }) });
  }

  #forget(path: string): void {
    this.#keptTextBytes -= this.#known.get(path)?.text?.length ?? 0;
    this.#known.delete(path);
  }

  /** Told once: of a path until it can be read again, of a directory that cannot be listed once for all. */
  #cannotRead(path: string | undefined, message: string, what: "read" | "list" = "read"): void {
    const key = what === "read" ? (path ?? "") : `${path ?? ""}/`;
    if (this.#unreadable.has(key) || this.#stop.signal.aborted) return;
    this.#unreadable.add(key);
    this.#context.emit({
      type: "file.unreadable",
      ...(path === undefined ? {} : { subject: path }),
      data: { message, ...(path === undefined ? {} : { path }) },
    });
  }
}
