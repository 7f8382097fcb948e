/**
 * Committed events as they come, for whoever watches. A watcher that does not keep up loses events and is told how many (P4).
 */
import { PassThrough, type Readable } from "node:stream";
import type { Event } from "@needfire/shared/event";
import { hideMarks } from "@needfire/shared/secret";
import { eventView } from "./views.ts";

/** Bytes that may wait for one watcher. */
const watcherBytesMax = 4 * 1024 * 1024;
const watchersMax = 100;

interface Watcher {
  stream: PassThrough;
  accepts(event: Event): boolean;
  dropped: number;
  /** What came while the past was still being looked up. */
  held: Event[] | undefined;
}

/** Events that may come while the past is being looked up. */
const heldEventsMax = 10_000;

export class Feed {
  readonly #watchers = new Set<Watcher>();
  readonly #onWanted: (wanted: boolean) => void;
  readonly #mask: (text: string) => string;

  /**
   * `onWanted`: told when the first watcher comes and when the last one has gone; nobody need publish in between. `mask`: takes the values of
   * secrets out of a text: what came in before a value was known as one is in the past as it came.
   */
  constructor(onWanted: (wanted: boolean) => void, mask: (text: string) => string = (text) => text) {
    this.#onWanted = onWanted;
    this.#mask = mask;
  }

  get full(): boolean {
    return this.#watchers.size >= watchersMax;
  }

  /** A stream of JSON lines, one an event; `{"dropped": n}` where some are missing. Those of `past` come first, none of them twice. */
  open(accepts: (event: Event) => boolean, past?: Promise<Event[]>): Readable {
    const stream = new PassThrough({ highWaterMark: watcherBytesMax });
    const watcher: Watcher = { stream, accepts, dropped: 0, held: past === undefined ? undefined : [] };
    this.#watchers.add(watcher);
    if (this.#watchers.size === 1) this.#onWanted(true);
    const forget = () => {
      if (this.#watchers.delete(watcher) && this.#watchers.size === 0) this.#onWanted(false);
    };
    watcher.stream.on("drain", () => tellDropped(watcher));
    watcher.stream.on("close", forget).on("error", forget);
    // An empty line at once, so that the watcher knows that it is being served.
    watcher.stream.write("\n");
    past?.then(
      (events) => this.#catchUp(watcher, events),
      (error: Error) => watcher.stream.destroy(error),
    );
    return watcher.stream;
  }

  /** `missed`: events of that moment that are not shown, since there were too many. */
  publish(events: readonly Event[], missed = 0): void {
    for (const watcher of this.#watchers) watcher.dropped += missed;
    for (const event of events) {
      for (const watcher of this.#watchers) if (watcher.accepts(event)) this.#write(watcher, event);
    }
  }

  stop(): void {
    for (const { stream } of this.#watchers) stream.end();
  }

  #catchUp(watcher: Watcher, past: readonly Event[]): void {
    const held = watcher.held ?? [];
    watcher.held = undefined;
    const last = past.at(-1)?.position ?? 0;
    for (const event of past) this.#write(watcher, event);
    for (const event of held) if (event.position > last) this.#write(watcher, event);
  }

  #write(watcher: Watcher, event: Event): void {
    if (watcher.held !== undefined) {
      if (watcher.held.length < heldEventsMax) watcher.held.push(event);
      else watcher.dropped++;
      return;
    }
    if (watcher.stream.writableNeedDrain) {
      watcher.dropped++;
      return;
    }
    tellDropped(watcher);
    watcher.stream.write(`${this.#mask(hideMarks(JSON.stringify(eventView(event))))}\n`);
  }
}

function tellDropped(watcher: Watcher): void {
  if (watcher.dropped === 0) return;
  watcher.stream.write(`${JSON.stringify({ dropped: watcher.dropped })}\n`);
  watcher.dropped = 0;
}
