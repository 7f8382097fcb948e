import assert from "node:assert/strict";
import { test } from "node:test";
import { severities, type Severity } from "@needfire/shared/event";
import type { AgentMessage } from "@needfire/shared/wire";
import { Outbox } from "./outbox.ts";

const batch = (lane: Severity, after: number): AgentMessage => ({ kind: "events", body: { lane, epoch: "e", after, events: [1] } });
const ping: AgentMessage = { kind: "ping", body: {} };
const named = (message: AgentMessage) => (message.kind === "events" ? `${message.body.lane} ${message.body.after}` : message.kind);

test("P8: critical events and words of the protocol overtake batches of the lower lanes; nothing else changes its order", () => {
  const outbox = new Outbox();
  for (const after of [1, 2]) for (const lane of severities.toReversed()) outbox.add(batch(lane, after));
  outbox.add(ping);
  outbox.add({ kind: "bye", body: {} });
  const left: string[] = [];
  for (let message = outbox.take(); message !== undefined; message = outbox.take()) left.push(named(message));
  assert.deepEqual(left, ["critical 1", "critical 2", "ping", "low 1", "normal 1", "high 1", "low 2", "normal 2", "high 2", "bye"]);
});

test("it takes so many frames and no more", () => {
  const outbox = new Outbox();
  let taken = 0;
  while (outbox.add(taken % 2 === 0 ? ping : batch("low", taken))) taken++;
  assert.equal(taken, 4_096);
  outbox.clear();
  assert.equal(outbox.take(), undefined);
  assert.ok(outbox.add(ping));
});
