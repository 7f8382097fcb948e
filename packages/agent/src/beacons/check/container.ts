/**
 * The `container` beacon: listens to the engine's events and tells when a container starts, ends, is unhealthy or runs out of memory. Where it was in
 * the stream is kept with what was told, so that after a restart it goes on from there; a look at all containers, at every connection and now
 * and then, finds what the engine has forgotten.
 */
import { existsSync } from "node:fs";
import { durationMs } from "@needfire/shared/duration";
import { errorText } from "@needfire/shared/errors";
import { globMatcher } from "@needfire/shared/glob";
import type { RemediesAtLook } from "../../remedies.ts";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { Engine } from "./container-engine.ts";
import {
  type EngineEvent,
  type Found,
  type Known,
  onEvent,
  onFound,
  parseEvent,
  parseIds,
  parseList,
  type Step,
} from "./container-state.ts";

type ContainerDefinition = DefinitionOf<"container">;

const sockets = ["/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock"];
/** The waits before the engine is tried again, doubling. */
const retryMs = { first: 1_000, last: 60_000 };
/** The engine has told what happened before when it has been quiet for so long; at the latest after the other time. */
const quietMs = 400;
const replayMsMax = 10_000;
/** Containers that are known at a time. */
const containersMax = 10_000;
/** A container that ends so soon after the engine was told to end it was asked to. */
const askedMsMax = 60_000;
const endingSignals = new Set([undefined, "2", "3", "9", "15", "SIGINT", "SIGQUIT", "SIGKILL", "SIGTERM"]);

const sinceRow = "since";
const rowOf = (id: string) => `container:${id}`;

const eventFilter = {
  type: ["container"],
  // Podman filters by its own name of what it tells as `die`.
  event: ["start", "die", "died", "oom", "health_status", "kill", "destroy", "remove"],
};

export function start(definition: ContainerDefinition, context: BeaconContext): RunningBeacon {
  const containers = new Containers(definition, context);
  const { first, done } = containers.run();
  done.catch((error: unknown) => context.fail(error));
  return {
    ready: first,
    restate: () => containers.restate(),
    stop: () => done.catch(() => undefined), // told through `fail`
  };
}

class Containers {
  readonly #definition: ContainerDefinition;
  readonly #context: BeaconContext;
  readonly #known = new Map<string, Known>();
  readonly #wanted: (container: { name: string; image: string; labels: Record<string, string> }) => boolean;
  /** Up to where the engine's events are known, ns; undefined: it has never been seen. */
  #since: number | undefined;
  /** What the stream spoke of while all were looked at: it knows better. */
  #touched = new Set<string>();
  readonly #asked = new Map<string, number>();
  readonly #wakers = new Set<() => void>();
  #isFull = false;
  /** A remedy has ended that no look has seen yet. */
  #isDue = false;

  constructor(definition: ContainerDefinition, context: BeaconContext) {
    this.#definition = definition;
    this.#context = context;
    this.#wanted = wantedBy(definition);
    for (const [key, value] of context.memory.take()) {
      if (key === sinceRow) this.#since = value as number;
      else this.#known.set(key.slice(rowOf("").length), value as Known); // our own rows
    }
  }

  /** `first`: it watches, or cannot and has said so. */
  run(): { first: Promise<void>; done: Promise<void> } {
    const { promise: first, resolve: watches } = Promise.withResolvers<void>();
    const done = this.#loop(watches);
    return { first: Promise.race([first, done]), done };
  }

  restate(): void {
    for (const [id, known] of this.#known) if (known.unhealthy) this.#emit(id, known, { type: "container.unhealthy" }, {});
  }

  async #loop(watches: () => void): Promise<void> {
    const { signal, remedies } = this.#context;
    const followed = remedies.follow("container", () => {
      this.#isDue = true;
      for (const wake of this.#wakers) wake();
    });
    let wait = retryMs.first;
    while (!signal.aborted) {
      const socket = this.#definition.socket ?? sockets.find((each) => existsSync(each)) ?? sockets[0]!;
      try {
        await this.#session(new Engine(socket), {
          look: () => followed.look(),
          connected: () => {
            wait = retryMs.first;
            watches();
          },
        });
      } catch (error) {
        if (signal.aborted) break;
        this.#context.degraded(`the container engine at ${socket} cannot be listened to: ${errorText(error).slice(0, 300)}`);
      }
      watches();
      await this.#rest(wait * (1 + Math.random() / 5), signal);
      wait = Math.min(wait * 2, retryMs.last);
    }
    followed.stop();
  }

  /** From a connection to its end, which is always an error. */
  async #session(engine: Engine, { look, connected }: { look: () => RemediesAtLook; connected: () => void }): Promise<void> {
    const session = new AbortController();
    const signal = AbortSignal.any([this.#context.signal, session.signal]);
    const isFirst = this.#since === undefined;
    if (this.#since === undefined) this.#keepSince(this.#context.clock.now() * 1e6);
    const known = this.#since!;
    let heard = performance.now();
    const line = (text: string) => {
      heard = performance.now();
      this.#takeLine(text, known, { engine, signal, look });
    };
    try {
      const opened = Promise.withResolvers<void>();
      const stream = engine.lines(eventsPath(known), { signal, line, opened: opened.resolve });
      const ended = stream.then(() => Promise.reject(new Error("it ended the stream of events")));
      const looks = async () => {
        await opened.promise;
        // What has happened meanwhile comes first, all at once: looked at before, its last state would be told before its beginning.
        for (const limit = heard + replayMsMax; performance.now() < Math.min(limit, heard + quietMs);)
          await this.#rest(quietMs / 4, signal);
        await this.#looks(engine, { signal, look, isFirst, connected });
      };
      await Promise.race([ended, looks()]);
    } finally {
      session.abort();
    }
  }

  async #looks(
    engine: Engine,
    { signal, look, isFirst, connected }: { signal: AbortSignal; look: () => RemediesAtLook; isFirst: boolean; connected: () => void },
  ): Promise<void> {
    for (let first = isFirst; !signal.aborted; first = false) {
      this.#isDue = false;
      await this.#lookAtAll(engine, { signal, remedies: look(), isFirst: first });
      this.#context.degraded(
        this.#isFull ? `there are more than ${containersMax} containers: only the first of them are watched` : undefined,
      );
      connected();
      if (!this.#isDue)
        await this.#rest(durationMs(this.#definition.interval) * this.#context.pace.factor * (0.9 + Math.random() / 5), signal);
    }
  }

  async #lookAtAll(
    engine: Engine,
    { signal, remedies, isFirst }: { signal: AbortSignal; remedies: RemediesAtLook; isFirst: boolean },
  ): Promise<void> {
    this.#touched = new Set();
    this.#isFull = false;
    const list = await engine.get("/containers/json?all=1", signal);
    const unhealthy = parseIds(await engine.get(`/containers/json?filters=${encode({ health: ["unhealthy"] })}`, signal));
    const found = new Map([...parseList(list, unhealthy)].filter(([, each]) => this.#wanted(each)));
    for (const [id, each] of found)
      if (!each.running && this.#known.get(id)?.running === true) Object.assign(each, await endOf(engine, id, signal));
    if (signal.aborted) return;
    for (const id of new Set([...this.#known.keys(), ...found.keys()])) {
      const name = found.get(id)?.name ?? this.#known.get(id)?.name;
      if (this.#touched.has(id) || remedies.held(name)) continue;
      this.#step(id, onFound(this.#known.get(id), found.get(id), isFirst), remedies);
    }
    remedies.done();
  }

  #takeLine(
    text: string,
    known: number,
    { engine, signal, look }: { engine: Engine; signal: AbortSignal; look: () => RemediesAtLook },
  ): void {
    const event = parseEvent(text);
    if (event === undefined || event.time <= known || !this.#wanted(event) || signal.aborted) return;
    this.#touched.add(event.id);
    if (event.action === "kill") return this.#noteAsked(event);
    // Podman says that there is a new state of health, but not which.
    if (event.action === "health_status") return void this.#lookAtHealth(engine, event, { signal, look });
    const remedies = look();
    if (event.action !== "oom" && remedies.held(event.name)) return; // judged when that has ended
    this.#step(event.id, onEvent(this.#known.get(event.id), event), remedies, event.time);
  }

  async #lookAtHealth(
    engine: Engine,
    event: EngineEvent,
    { signal, look }: { signal: AbortSignal; look: () => RemediesAtLook },
  ): Promise<void> {
    try {
      const { State: state } = (await engine.get(`/containers/${event.id}/json`, signal)) as { State?: { Health?: { Status?: unknown } } };
      const status = String(state?.Health?.Status);
      const remedies = look();
      if (signal.aborted || remedies.held(event.name) || this.#known.get(event.id)?.running !== true) return;
      this.#step(event.id, onEvent(this.#known.get(event.id), { ...event, action: `health_status: ${status}` }), remedies, event.time);
    } catch (error) {
      this.#context.log.debug({ err: error }, "a container's health could not be read; the next look at all finds it");
    }
  }

  #noteAsked({ id, labels, time }: EngineEvent): void {
    if (!endingSignals.has(labels["signal"])) return;
    if (this.#asked.size >= containersMax) this.#asked.clear();
    this.#asked.set(id, time);
  }

  /** Events, what is known and how far the stream is known go to disk together. */
  #step(id: string, { known, tell }: Step, remedies: RemediesAtLook, time?: number): void {
    const before = this.#known.get(id);
    const about = known ?? before;
    for (const told of about === undefined ? [] : tell)
      this.#emit(id, about!, told, { ...remedies.cause(about!.name), ...(time === undefined ? {} : { time: time / 1e6 }) });
    if (known === undefined) this.#known.delete(id);
    else if (before !== undefined || this.#known.size < containersMax) this.#known.set(id, known);
    else this.#isFull = true;
    if (known?.running !== before?.running || known?.unhealthy !== before?.unhealthy)
      this.#context.memory.set(rowOf(id), this.#known.get(id));
    if (time !== undefined && (tell.length > 0 || known !== before) && time > (this.#since ?? 0)) this.#keepSince(time);
  }

  #emit(id: string, { name, image }: Known, told: Step["tell"][number], more: { cause?: string; time?: number }): void {
    const data = { id, name, image };
    if (told.type !== "container.died") return this.#context.emit({ type: told.type, subject: name, ...more, data });
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    const now = more.time ?? this.#context.clock.now();
    this.#context.emit({
      type: told.type,
      subject: name,
      ...more,
      data: {
        ...data,
        ...(told.exitCode === undefined ? {} : { exit_code: told.exitCode }),
        ...(told.oomKilled === undefined ? {} : { oom_killed: told.oomKilled }),
        asked: asked !== undefined && now - asked / 1e6 <= askedMsMax,
      },
    });
  }

  #keepSince(time: number): void {
    this.#since = time;
    this.#context.memory.set(sinceRow, time);
  }

  /** Until the time is over, a remedy has ended, or the signal comes. */
  async #rest(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    const wake = () => resolve();
    this.#wakers.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    await promise;
    signal.removeEventListener("abort", wake);
    this.#wakers.delete(wake);
    clearTimeout(timer);
  }
}

function wantedBy({
  names,
  images,
  labels = [],
}: ContainerDefinition): (container: { name: string; image: string; labels: Record<string, string> }) => boolean {
  const named = names === undefined ? () => true : globMatcher(names);
  const made = images === undefined ? () => true : globMatcher(images);
  const pairs = labels.map((label) => /^([^=]*)(?:=(.*))?$/s.exec(label)!.slice(1) as [string, string | undefined]);
  return (container) =>
    named(container.name) &&
    made(container.image) &&
    pairs.every(([key, value]) => Object.hasOwn(container.labels, key) && (value === undefined || container.labels[key] === value));
}

async function endOf(engine: Engine, id: string, signal: AbortSignal): Promise<Pick<Found, "exitCode" | "oomKilled">> {
  try {
    const { State: state } = (await engine.get(`/containers/${id}/json`, signal)) as {
      State?: { ExitCode?: unknown; OOMKilled?: unknown };
    };
    return {
      ...(typeof state?.ExitCode === "number" ? { exitCode: state.ExitCode } : {}),
      ...(state?.OOMKilled === true ? { oomKilled: true } : {}),
    };
  } catch {
    return {}; // it is gone by now
  }
}

/** A microsecond earlier than what is known: a number does not hold every nanosecond, and what is known already is passed over. */
function eventsPath(since: number): string {
  const us = Math.floor(since / 1e3) - 1;
  return `/events?since=${Math.floor(us / 1e6)}.${String(us % 1e6).padStart(6, "0")}000&filters=${encode(eventFilter)}`;
}

function encode(filters: Record<string, string[]>): string {
  return encodeURIComponent(JSON.stringify(filters));
}
