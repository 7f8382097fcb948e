/**
 * What the master's tests share: a real directory, events and keys to work with, a clock that stands still, a log that says nothing.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import pino from "pino";
import { dataProblem } from "@needfire/shared/event-types";
import { type EventDraft, type IncomingEvent, eventSource, type Severity } from "@needfire/shared/event";
import { eventId } from "@needfire/shared/ids";
import { z85Encode } from "@needfire/shared/identity";
import { encode } from "@needfire/shared/wire";
import { type WireEvent, wireEvent } from "@needfire/shared/wire-event";
import type { EventsFrame } from "./admission.ts";
import type { Committed, Writes } from "./store/store.ts";

export const silent = pino({ level: "silent" });

export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "needfire-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Time that only the test moves. */
export class TestClock {
  time: number;

  constructor(time = 1_000_000) {
    this.time = time;
  }

  now(): number {
    return this.time;
  }
}

/** A public key that nobody has the secret of. */
export function somePublicKey(): string {
  return z85Encode(randomBytes(32));
}

/** An event as intake hands it on. */
export function incoming(sequence: number, given: Partial<IncomingEvent> = {}): IncomingEvent {
  const { agent = "web1", epoch = "e1", beacon } = given;
  return {
    id: eventId(agent, epoch, sequence),
    type: "test.happened",
    source: eventSource(agent, beacon),
    agent,
    epoch,
    sequence,
    time: sequence * 1_000,
    received: sequence * 1_000 + 1,
    severity: "normal",
    data: { n: sequence },
    ...given,
  };
}

/** The frame in which an agent sends these events; the gate has looked at its envelope. */
export function eventsFrame(
  events: readonly unknown[],
  { agent = "web1", epoch = "e1", lane = "normal" as Severity, after = 0, resumed = false } = {},
): EventsFrame {
  const frame = encode({ kind: "events", body: { lane, epoch, after, ...(resumed ? { resumed } : {}), events: [...events] } });
  return { agent, frame, received: 1_000_000 };
}

/** An event in such a frame. */
export function wire(sequence: number, given: Partial<EventDraft> = {}): WireEvent {
  return wireEvent(sequence, { type: "test.happened", time: sequence * 1_000, severity: "normal", data: { n: sequence }, ...given });
}

/** Takes everything that is to be made durable, and fails while it is told to. */
export class FakeCommit {
  readonly writes: Omit<Writes, "now">[] = [];
  failing: Error | undefined;
  /** Commits that wait for a disk that is held. */
  held = 0;
  #disk: Promise<void> = Promise.resolve();

  /** Nothing is kept until the answer is resolved. */
  hold(): PromiseWithResolvers<void> {
    const disk = Promise.withResolvers<void>();
    this.#disk = disk.promise;
    return disk;
  }

  readonly commit = async (writes: Omit<Writes, "now">): Promise<Committed> => {
    this.held++;
    await this.#disk;
    this.held--;
    if (this.failing !== undefined) throw this.failing;
    for (const { type, data } of writes.events ?? []) assert.equal(dataProblem(type, data), undefined, type);
    this.writes.push(writes);
    return { taken: [], events: [] };
  };

  eventTypes(): string[] {
    return this.writes.flatMap(({ events = [] }) => events.map(({ type }) => type));
  }
}

/** Lets everything that is ready run, timers aside. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((done) => setImmediate(done));
}
