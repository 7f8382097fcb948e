/**
 * Where a file beacon looks, and when: subscribes to the kernel's notifications, looks at everything from time to time, at once after the
 * kernel's queue was full, and often where the kernel gives no watches. Says which paths to look at, and never what is to be said of them.
 */
import type { FileBeacon } from "@needfire/shared/beacons/file";
import { durationMs } from "@needfire/shared/duration";
import { errorText, systemCode } from "@needfire/shared/errors";
import type { BeaconContext } from "../beacon.ts";
import type { FileScope } from "./file-scope.ts";
import { type FileWatch, type StartWatch } from "./file-watch.ts";
import { walk } from "./file-walk.ts";
import type { Overflow } from "./notification-queue.ts";

/**
 * How often to look at everything although the kernel tells of changes: a symbolic link above a watched directory may be turned elsewhere.
 * A look that takes long is made less often.
 */
export const sweepMs = 60_000;
const sweepShare = 100;
/** After an overflow the look is at once, but looks for that reason take no more than this share of the time. */
const rescanShare = 10;

export interface Looking {
  definition: FileBeacon;
  context: BeaconContext;
  scope: FileScope;
  signal: AbortSignal;
  startWatch: StartWatch;
  sweepEveryMs: number;
  /** The kernel says that something may have changed there. */
  touched(path: string): void;
  /** A path that is to be looked at, in a look at everything; it may not be there any more. */
  look(path: string): void;
  /** What is known to be there. */
  known(): Iterable<string>;
  /** A look at everything is over, that began at this time of day; `unlisted`: directories that could not be listed. */
  looked(begun: number, unlisted: ReadonlySet<string>): void;
  unlisted(directory: string | undefined, message: string): void;
}

export class FileLook {
  readonly #looking: Looking;
  readonly #unsubscribe: () => void;
  #watch: FileWatch | undefined;
  #roots = "";
  #polling = false;
  #timer: NodeJS.Timeout | undefined;
  /** Since the last look at everything began: the kernel's queue may have been full; it was. */
  #overflowed = false;
  #lost = false;
  /** Before this, by the monotonic clock, no overflow leads to a look. */
  #rescanAt = 0;
  #chain: Promise<void> = Promise.resolve();

  constructor(looking: Looking) {
    this.#looking = looking;
    this.#unsubscribe = looking.context.notifications.onOverflow((overflow) => this.#overflow(overflow));
  }

  /** Watches, then makes the first look; resolves after it. */
  async start(firstLook: () => Promise<void>): Promise<void> {
    const started = this.#chain.then(async () => {
      await this.rewatch();
      await firstLook();
      if (!this.#overflowed) this.#schedule(this.#usualWait(0));
    });
    this.#chain = started.catch(() => undefined); // told by whoever waits for it
    await started;
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    clearTimeout(this.#timer);
    await this.#watch?.close(); // first: the chain may be waiting for it to be ready
    await this.#chain;
  }

  /** Longer works run one after another; the failure of one is the beacon's. */
  inTurn(work: () => Promise<void>): void {
    this.#chain = this.#chain.then(async () => {
      if (this.#looking.signal.aborted) return;
      try {
        await work();
      } catch (error) {
        this.#looking.context.fail(error);
      }
    });
  }

  /** Subscribes anew when other directories matter. The old watch ends after the new one stands, so nothing is missed between. */
  async rewatch({ always = false } = {}): Promise<void> {
    const { scope, signal, startWatch, context, touched, unlisted } = this.#looking;
    const roots = scope.roots().sort().join("\0");
    if (this.#polling || signal.aborted || (!always && this.#watch !== undefined && roots === this.#roots)) return;
    this.#roots = roots;
    const old = this.#watch;
    this.#watch = startWatch(scope, {
      touched,
      heard: () => context.notifications.heard(),
      exhausted: (error) => this.#pollInstead(error),
      failed: (error, path) => unlisted(path, errorText(error)),
    });
    await this.#watch.ready;
    await old?.close();
  }

  /** Visits every path there is, and resolves with the directories that could not be listed. */
  async walk(visit: (path: string) => void): Promise<ReadonlySet<string>> {
    const { scope, signal, context, unlisted } = this.#looking;
    const failed = new Set<string>();
    await walk(scope, {
      visit: (path) => {
        try {
          visit(path);
        } catch (error) {
          context.fail(error);
        }
      },
      unreadable: (error, directory) => {
        failed.add(directory);
        unlisted(directory, errorText(error));
      },
      signal,
    });
    return failed;
  }

  /** Looks at everything again. A path whose stamp is the same costs one `lstat`. */
  async #sweep(): Promise<void> {
    const { known, look, looked, context, signal } = this.#looking;
    const begun = context.clock.now();
    const gone = new Set(known());
    const unlisted = await this.walk((path) => {
      gone.delete(path);
      look(path);
    });
    if (signal.aborted) return;
    for (const path of gone) look(path);
    looked(begun, unlisted);
  }

  #schedule(waitMs: number): void {
    if (this.#looking.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.inTurn(() => this.#lookAgain()), waitMs);
  }

  async #lookAgain(): Promise<void> {
    const begun = performance.now();
    const overflowed = this.#overflowed;
    this.#overflowed = false;
    this.#lost = false;
    // A directory whose making was not told is not watched.
    if (overflowed) await this.rewatch({ always: true });
    await this.#sweep();
    const now = performance.now();
    if (overflowed) this.#rescanAt = now + (now - begun) * (rescanShare - 1);
    this.#schedule(this.#overflowed ? this.#rescanAt - now : this.#usualWait(now - begun));
  }

  #usualWait(tookMs: number): number {
    const { definition, sweepEveryMs } = this.#looking;
    return this.#polling ? durationMs(definition.poll) : Math.max(sweepEveryMs, tookMs * sweepShare);
  }

  #overflow({ lost, queuedMax }: Overflow): void {
    const { signal, context, definition } = this.#looking;
    if (signal.aborted || this.#polling) return;
    // One look makes up for all that is lost before it begins.
    const isNews = lost && !this.#lost;
    this.#lost ||= lost;
    this.#overflowed = true;
    this.#schedule(Math.max(0, this.#rescanAt - performance.now()));
    if (!isNews) return;
    const message = `the kernel's queue of ${queuedMax} notifications was full: not every change was told; the beacon looks at everything again (fs.inotify.max_queued_events)`;
    context.emit({ type: "beacon.overflow", subject: definition.name, severity: "high", data: { message } });
  }

  #pollInstead(error: Error): void {
    const { signal, context, definition } = this.#looking;
    if (this.#polling || signal.aborted) return;
    this.#polling = true;
    const limit =
      systemCode(error) === "ENOSPC"
        ? "fs.inotify.max_user_watches"
        : "fs.inotify.max_user_instances, or this process's limit of open files";
    const message = `the kernel's limit of watches is reached (${errorText(error)}): raise ${limit}, or watch less. Until the beacon is started again it looks every ${definition.poll}`;
    context.emit({ type: "beacon.overflow", subject: definition.name, severity: "high", data: { message } });
    const watch = this.#watch;
    this.inTurn(async () => {
      await (watch ?? this.#watch)?.close();
      this.#schedule(this.#usualWait(0));
    });
  }
}
