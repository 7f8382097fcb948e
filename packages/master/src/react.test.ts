import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "@needfire/shared/event";
import { executionId, taskId } from "@needfire/shared/ids";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { loadReactors } from "@needfire/shared/reactor";
import type { Task } from "@needfire/shared/task";
import { incoming, TestClock } from "./fixture.ts";
import { React } from "./react.ts";

const loaded = loadReactors("r.yaml", "name: tidy\non: file.drifted\ndo:\n  - file.restore: { path: /etc/motd }\n");
assert.ok(loaded.ok);
const index = new ReactorIndex(loaded.reactors);

function event(position: number, type: string, given: Partial<Event> = {}): Event {
  const { epoch: _epoch, sequence: _sequence, ...rest } = incoming(position, { type });
  return { ...rest, ...given, position };
}

function setting(stored: Task[] = []) {
  return new React(
    {
      store: { task: (id) => stored.find((task) => task.id === id) },
      reactors: () => index,
      agentView: (id) => ({ id, labels: {}, facts: {} }),
      clock: new TestClock(),
    },
    [],
  );
}

test("only what a reactor waits for, and results, can have consequences", () => {
  const react = setting();
  assert.deepEqual(
    ["file.drifted", "execution.finished", "file.changed"].map((type) => react.hears(type)),
    [true, true, false],
  );
});

test("what the store did not take is forgotten, so that it is not taken for a cause", async () => {
  const react = setting();
  const changes = await react.judge([event(1, "file.drifted")], []);
  const execution = executionId(taskId("tidy", "web1:e1:1"), 1);
  assert.equal(await react.ownerOf(execution), "web1");
  react.forget(changes);
  assert.equal(await react.ownerOf(execution), undefined);
});

test("P7: an effect of a task that has ended long ago is still known as one", async () => {
  const first = setting();
  const [change] = await first.judge([event(1, "file.drifted")], []);
  const later = setting([change!.task]);
  const execution = executionId(change!.task.id, 1);
  assert.deepEqual(await later.judge([event(2, "file.drifted", { cause: execution })], []), []);
  assert.equal((await later.judge([event(3, "file.drifted")], [])).length, 1);
});

test("a command that is given up twice ends its task once", async () => {
  const react = setting();
  const [change] = await react.judge([event(1, "file.drifted")], []);
  const [effect] = change!.effects.filter(({ kind }) => kind === "execute");
  assert.ok(effect?.kind === "execute");
  const expired = { execution: effect.execution, reason: "nobody answered" };
  const changes = await react.judge([], [expired, expired]);
  assert.deepEqual(
    changes.map(({ task }) => task.status.state),
    ["escalated"],
  );
});
