import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  agentIdPattern,
  epochAt,
  eventId,
  eventTypePattern,
  executionId,
  executionIdPattern,
  idKind,
  parseEventId,
  taskId,
  taskOfExecution,
} from "./ids.ts";

const agentId = fc.stringMatching(new RegExp(agentIdPattern));

test("an event's id can be taken apart again", () => {
  fc.assert(
    fc.property(agentId, fc.nat({ max: 2 ** 40 }), fc.nat(), (agent, time, sequence) => {
      const epoch = epochAt(time);
      assert.deepEqual(parseEventId(eventId(agent, epoch, sequence)), { agent, epoch, sequence });
    }),
  );
});

test("an id in a cause says what it refers to", () => {
  const task = taskId("heal", "web1:mi4k2x:42");
  assert.equal(idKind(task), "task");
  assert.equal(idKind(executionId(task, 1)), "execution");
  assert.equal(idKind("web1:mi4k2x:42"), "event");
  for (const text of ["", "t-", `${task}.`, `${task}.1.2`, `${task}\n`, "web1:mi4k2x", "../x:1:1", "WEB:1:1"])
    assert.equal(idKind(text), undefined, text);
});

test("the same firing has the same task id, another has another", () => {
  assert.equal(taskId("heal", "a:1:1"), taskId("heal", "a:1:1"));
  assert.notEqual(taskId("heal", "a:1:1"), taskId("heal", "a:1:2"));
  assert.notEqual(taskId("ab", "c"), taskId("a", "bc"));
});

test("an execution belongs to its task", () => {
  const task = taskId("heal", "a:1:1");
  assert.equal(taskOfExecution(executionId(task, 12)), task);
  assert.match(executionId(task, 12), new RegExp(executionIdPattern));
});

test("an agent id is safe in a log line, a path and a terminal", () => {
  const pattern = new RegExp(agentIdPattern);
  for (const id of ["web1", "a", "db-3.example.org", "x_y"]) assert.match(id, pattern);
  for (const id of ["", ".", "..", "../x", "a/b", "Web1", "web1\n", "-a", "a-", "a b", "a\u001b[2J", "a".repeat(64), "wéb"])
    assert.doesNotMatch(id, pattern);
});

test("an event type has two parts at least", () => {
  const pattern = new RegExp(eventTypePattern);
  for (const type of ["file.changed", "a.b.c", "disk-0.full_up"]) assert.match(type, pattern);
  for (const type of ["file", ".changed", "file.", "file..x", "File.changed", "1.x", "file.changed\n", "file.*"])
    assert.doesNotMatch(type, pattern);
});
