import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { executionId, taskId } from "@needfire/shared/ids";
import { Masking } from "@needfire/shared/masking";
import { decodeFromAgent, glance } from "@needfire/shared/wire";
import { eventData, type WireEvent } from "@needfire/shared/wire-event";
import { eventsFrame, wire } from "./fixture.ts";
import { maskFrame } from "./mask-frame.ts";

const mine = executionId(taskId("tidy", "web1:e1:1"), 1);
const report = { execution: mine, action: "command.run", outcome: "succeeded", changed: true, started: 1, ended: 2 };

/** The batch as it is after masking; undefined when it is the same bytes. */
function masked(secrets: string[], ...events: unknown[]): WireEvent[] | undefined {
  const { frame } = eventsFrame(events);
  const left = maskFrame(new Masking(secrets), frame);
  if (left === frame) return undefined;
  const decoded = decodeFromAgent(left);
  assert.ok(decoded.ok && decoded.message.kind === "events" && glance(left).ok);
  return decoded.message.body.events as WireEvent[];
}

test("a batch without a secret goes on as it came; of one that has one only that is another", () => {
  const others = [wire(1, { data: { path: "/etc/hosts", list: [1.5, null, { deep: "text" }] } }), wire(2)];
  assert.equal(masked([], ...others), undefined);
  assert.equal(masked(["hush-hush"], ...others), undefined);
  const diff = wire(3, { subject: "/etc/hush-hush", data: { diff: "-a\n+token: hush-hush\n", n: 1 } });
  const [first, second, third] = masked(["hush-hush"], ...others, diff)!;
  assert.deepEqual([first, second], others);
  assert.deepEqual([third![0], third![4], eventData(third![7])], [3, "/etc/***", { diff: "-a\n+token: ***\n", n: 1 }]);
});

test("what an action gave is masked, and a secret that is a part of an id or of a name takes nothing from whose result it is", () => {
  const data = { ...report, message: "it said hush", result: { stdout: "hush" } };
  const secrets = [mine.slice(-10), "succeeded", "result", "hush", "command.run"];
  const [event] = masked(secrets, wire(1, { type: "execution.finished", cause: mine, data }))!;
  assert.deepEqual(eventData(event![7]), { ...report, message: "it said ***", result: { stdout: "***" } });
  assert.equal(event![6], mine);
});

test("a report that is none is masked whole, since it is told of why it is turned away", () => {
  const [event] = masked(["hush"], wire(1, { type: "execution.finished", cause: mine, data: { ...report, outcome: "hush" } }))!;
  assert.equal(eventData(event![7])["outcome"], "***");
});

test("P1: a batch that fills its frame is no larger without secrets, so that it is taken, however short they are", () => {
  const data = { ...report, result: { stdout: "1*é 1*é".repeat(110_000) } };
  const [event] = masked(["1", "*", "é "], wire(1, { type: "execution.finished", cause: mine, data }))!;
  assert.doesNotMatch(JSON.stringify(eventData(event![7])["result"]), /1|é /);
});

test("what is no event, or no batch, is no trouble", () => {
  const bad = [wire(1).with(5, "../hush-hush" as never), "hush-hush", { a: ["hush-hush"] }, [null, new Uint8Array([1])]];
  assert.deepEqual(masked(["hush-hush"], ...bad), [wire(1).with(5, "../***" as never), "***", { a: ["***"] }, [null, Buffer.from([1])]]);
  const noise = Buffer.from("hush-hush");
  assert.equal(maskFrame(new Masking(["hush-hush"]), noise), noise);
  fc.assert(
    fc.property(fc.array(fc.jsonValue({ maxDepth: 3 }), { minLength: 1, maxLength: 3 }), fc.string({ minLength: 8 }), (values, secret) => {
      masked([secret], ...values, secret);
    }),
  );
});
