import assert from "node:assert/strict";
import { test } from "node:test";
import { NeedfireError } from "@needfire/shared/errors";
import { executionId, taskId } from "@needfire/shared/ids";
import type { Execution } from "@needfire/shared/task";
import { Dispatch } from "./dispatch.ts";
import { TestClock } from "./fixture.ts";
import type { Session } from "./sessions.ts";
import type { Mark } from "./store/store.ts";

const task = taskId("tidy", "web1:e1:1");

function command(number: number, agent = "web1"): Execution {
  return { id: executionId(task, number), task, agent, action: "file.remove", args: { path: "/x" }, purpose: "do", created: 1_000_000 };
}

/** Agents that have a session, and what was sent to them. */
function setting(unfinished: Execution[] = []) {
  const clock = new TestClock();
  const present = new Set<string>();
  const sent: string[] = [];
  const marks: Mark[][] = [];
  const link = { full: false, tooLarge: false };
  const dispatch = new Dispatch(
    {
      sessionOf: (agent) => (present.has(agent) ? ({ agent } as Session) : undefined),
      send: (session, message) => {
        assert.ok(message.kind === "execute");
        if (link.tooLarge) throw new NeedfireError("FRAME_TOO_LARGE", "too many bytes");
        if (link.full) return false;
        sent.push(`${session.agent} ${message.body.execution}`);
        return true;
      },
      mark: (some) => void marks.push(some),
      clock,
      expiresMs: 60_000,
    },
    unfinished,
  );
  return { dispatch, clock, present, sent, marks, link };
}

test("a command waits for its agent, goes to it alone when it comes, and is marked as sent", () => {
  const { dispatch, present, sent, marks } = setting([command(1)]);
  dispatch.start(command(2));
  dispatch.start(command(3, "db1"));
  assert.deepEqual(sent, []);
  present.add("web1");
  dispatch.resume("web1");
  assert.deepEqual(sent, [`web1 ${task}.1`, `web1 ${task}.2`]);
  assert.deepEqual(marks, [[1, 2].map((number) => ({ execution: `${task}.${number}`, state: "sent", at: 1_000_000 }))]);
});

test("what is not confirmed goes out again after a time; what is confirmed only when the agent comes back", () => {
  const { dispatch, clock, present, sent } = setting();
  present.add("web1");
  dispatch.start(command(1));
  dispatch.start(command(2));
  dispatch.accepted("web1", command(2).id);
  dispatch.tick((clock.time += 10_000));
  assert.equal(sent.length, 2);
  dispatch.tick((clock.time += 1));
  assert.deepEqual(sent.slice(2), [`web1 ${task}.1`]);
  dispatch.tick((clock.time += 10_000));
  assert.equal(sent.length, 3);
  dispatch.resume("web1");
  assert.equal(sent.length, 5);
});

test("a confirmation counts once, and only from the agent that has the command", () => {
  const { dispatch, present, marks } = setting();
  present.add("web1");
  dispatch.start(command(1));
  dispatch.accepted("db1", command(1).id);
  dispatch.accepted("web1", command(7).id);
  assert.equal(marks.length, 1);
  dispatch.accepted("web1", command(1).id);
  dispatch.accepted("web1", command(1).id);
  assert.deepEqual(marks.slice(1), [[{ execution: command(1).id, state: "accepted", at: 1_000_000 }]]);
});

test("what ended is not sent again; what waited too long is told of until it has ended, and not sent", () => {
  const { dispatch, clock, present, sent } = setting([command(1), command(2)]);
  dispatch.ended(command(1).id);
  assert.deepEqual(dispatch.tick((clock.time += 60_000)), []);
  clock.time += 1;
  assert.deepEqual(
    dispatch.tick(clock.time).map(({ execution, reason }) => [execution.id, reason]),
    [[command(2).id, "file.remove on web1 had no result within its time"]],
  );
  assert.equal(dispatch.tick(clock.time).length, 1);
  dispatch.ended(command(2).id);
  assert.deepEqual(dispatch.tick(clock.time), []);
  present.add("web1");
  dispatch.resume("web1");
  assert.deepEqual(sent, []);
});

test("a link that takes no more delays a command; a command that fits no frame is given up with the reason", () => {
  const { dispatch, clock, present, sent, marks, link } = setting();
  present.add("web1");
  link.full = true;
  dispatch.start(command(1));
  assert.deepEqual(marks, []);
  link.full = false;
  dispatch.resume("web1");
  assert.equal(sent.length, 1);
  link.tooLarge = true;
  dispatch.start(command(2));
  assert.deepEqual(
    dispatch.tick(clock.time).map(({ execution, reason }) => [execution.id, reason]),
    [[command(2).id, "file.remove cannot be sent: too many bytes"]],
  );
});
