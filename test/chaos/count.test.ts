/** The count sees what it is there for: one round that fits, and every way in which one may not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { EventView, TaskView } from "@needfire/shared/api";
import type { SpoiledJournal } from "./journal-file.ts";
import { countRound, type HostRecord, type Observed } from "./count.ts";

const time = "2026-01-01T00:00:00.000000Z";

function event(id: string, position: number, more: Partial<EventView> = {}): EventView {
  const agent = id.split(":")[0]!;
  return {
    id,
    position,
    agent,
    type: "file.created",
    source: `/agents/${agent}`,
    time,
    received: time,
    severity: "normal",
    data: {},
    ...more,
  };
}

function task(id: string, reactor: string, of: string, more: Partial<TaskView> = {}): TaskView {
  const execution = {
    id: `${id}.1`,
    task: id,
    agent: "a1",
    action: "command.run",
    args: {},
    purpose: "do",
    state: "succeeded",
    created: time,
  } as const;
  return {
    id,
    reactor,
    reactor_version: "1",
    event: of,
    agent: "a1",
    priority: "normal",
    state: "resolved",
    branch: "do",
    labels: {},
    key: [],
    count: 1,
    steps: [],
    rung: 1,
    attempt: 1,
    attempts: 1,
    joined: 0,
    rungs: [],
    otherwise: [],
    history: [],
    undo_due: [],
    created: time,
    updated: time,
    executions: [execution],
    ...more,
  };
}

/** Two files that were seen and answered, and one event that was sent and echoed. */
function fitting(): Observed & { spoiled: SpoiledJournal[]; hosts: [HostRecord]; events: EventView[]; tasks: TaskView[] } {
  const finished = (number: number, cause: string) => event(`a1:e1:${number}`, number, { type: "execution.finished", cause });
  return {
    hosts: [
      {
        agent: "a1",
        folder: "/host/a1",
        files: [0, 1].map((number) => ({ number, life: 0 })),
        lives: [{}],
        destroyed: new Set(),
        ran: ["/host/a1/00000", "/host/a1/00001"],
      },
    ],
    sent: [{ number: 0, id: "master:m:1" }],
    spoiled: [],
    events: [
      event("a1:e1:1", 1, { subject: "/host/a1/00000" }),
      event("a1:e1:2", 2, { subject: "/host/a1/00001" }),
      finished(3, "t-0.1"),
      finished(4, "t-1.1"),
      event("master:m:1", 5, { type: "chaos.sent", data: { number: 0 } }),
      event("master:m:2", 6, { type: "chaos.echo", data: { number: 0 } }),
    ],
    tasks: [
      task("t-0", "number-a1-00000", "a1:e1:1", { subject: "/host/a1/00000" }),
      task("t-1", "number-a1-00001", "a1:e1:2", { subject: "/host/a1/00001" }),
      task("t-2", "echo", "master:m:1", { agent: "master" }),
    ],
  };
}

test("a round that fits has no mismatch", () => {
  const { mismatches, files, unseen, ran, executions } = countRound(fitting());
  assert.deepEqual(
    { mismatches, files, unseen, ran, executions },
    { mismatches: [], files: 2, unseen: 0, ran: 2, executions: { succeeded: 2 } },
  );
});

const wrongs: [what: string, spoil: (observed: ReturnType<typeof fitting>) => void, expected: RegExp][] = [
  ["an event that is not there, and its number", ({ events }) => events.splice(1, 1), /a1:e1:1 to 4 these are missing: 2/],
  [
    "a file that no event tells of",
    ({ hosts: [host] }) => (host.files as { number: number; life: number }[]).push({ number: 2, life: 0 }),
    /made and not in the journal: 00002/,
  ],
  [
    "an event twice under one number",
    ({ events }) => events.push({ ...events[0]!, position: 7 }),
    /a1:e1:1 is in the journal more than once/,
  ],
  [
    "an event twice under two numbers",
    ({ events }) => events.push(event("a1:e1:5", 7, { subject: "/host/a1/00000" })),
    /00000 became 2 events/,
  ],
  [
    "an event about a file that nobody made",
    ({ events }) => events.push(event("a1:e1:5", 7, { subject: "/host/a1/00009" })),
    /00009, which was never made/,
  ],
  ["two events in one place", ({ events }) => (events[1]!.position = 1), /the position 1/],
  ["a reaction that did not come", ({ tasks }) => tasks.splice(0, 1), /should have made a task of number-a1-00000 and made no task/],
  ["a reaction of another reactor", ({ tasks }) => (tasks[0]!.reactor = "number-a1-00001"), /should have made a task of number-a1-00000/],
  ["a task twice", ({ tasks }) => tasks.push(tasks[0]!), /the task t-0 is there twice/],
  [
    "a task of an event that is not in the journal",
    ({ tasks }) => tasks.push(task("t-9", "x", "a1:e1:99")),
    /t-9 is of a1:e1:99, which is not/,
  ],
  ["a task that has not ended", ({ tasks }) => (tasks[0]!.state = "running"), /have not ended: t-0/],
  ["a command that ran twice", ({ hosts: [host] }) => (host.ran as string[]).push("/host/a1/00000"), /ran 2 times/],
  [
    "a command that is told as run and did not",
    ({ hosts: [host] }) => (host.ran as string[]).pop(),
    /00001 .* told as succeeded; it ran 0 times/,
  ],
  [
    "a command that nobody decided on",
    ({ hosts: [host] }) => (host.ran as string[]).push("/host/a1/00007"),
    /ran for \/host\/a1\/00007, and there is no task/,
  ],
  ["a result twice", ({ events }) => events.push(event("a1:e1:5", 7, { type: "execution.finished", cause: "t-0.1" })), /has 2 results/],
  ["a command that failed", ({ tasks }) => (tasks[0]!.executions[0]!.state = "failed"), /is failed/],
  ["a sent event that has an id and is not there", ({ events }) => events.splice(4, 1), /was given the id master:m:1/],
  ["a sent event without its echo", ({ events }) => events.pop(), /the echoes none/],
];
for (const [what, spoil, expected] of wrongs) {
  test(`it sees ${what}`, () => {
    const observed = fitting();
    spoil(observed);
    const { mismatches } = countRound(observed);
    assert.ok(
      mismatches.some((text) => expected.test(text)),
      mismatches.join("\n"),
    );
  });
}

test("what an agent had not written down when it was killed was not made; what it had was", () => {
  const observed = fitting();
  const [host] = observed.hosts;
  const files = [...host.files, { number: 2, life: 0 }];
  const count = (left: Set<number>) => countRound({ ...observed, hosts: [{ ...host, files, lives: [{ left }] }] });
  assert.deepEqual([count(new Set()).unseen, count(new Set()).mismatches], [1, []]);
  assert.match(count(new Set([2])).mismatches.join(), /made and not in the journal: 00002/);
});

test("a command that was interrupted or expired may have run, once", () => {
  for (const state of ["interrupted", "expired"] as const) {
    for (const ran of [["/host/a1/00001"], ["/host/a1/00000", "/host/a1/00001"]]) {
      const observed = fitting();
      observed.tasks[0]!.executions[0]!.state = state;
      assert.deepEqual(countRound({ ...observed, hosts: [{ ...observed.hosts[0], ran }] }).mismatches, []);
    }
  }
});

test("what was in a damaged file may be missing when that is told, and nothing else", () => {
  const observed = fitting();
  const [host] = observed.hosts;
  const files = [...host.files, { number: 2, life: 0 }, { number: 3, life: 1 }];
  const after = event("a1:e2:1", 7, { type: "spool.damaged" });
  const closing = event("a1:e2:2", 8, { subject: "/host/a1/00003" });
  const hosts = [{ ...host, files, lives: [{ left: new Set([2]) }, {}], destroyed: new Set([2]), ran: [...host.ran, "/host/a1/00003"] }];
  const tasks = [...observed.tasks, task("t-3", "number-a1-00003", "a1:e2:2", { subject: "/host/a1/00003" })];
  const result = event("a1:e2:3", 9, { type: "execution.finished", cause: "t-3.1" });
  const told = countRound({ ...observed, hosts, tasks, events: [...observed.events, after, closing, result] });
  assert.deepEqual([told.told, told.mismatches], [1, []]);
  const untold = countRound({ ...observed, hosts, tasks, events: [...observed.events, { ...after, type: "x.y" }, closing, result] });
  assert.match(untold.mismatches.join(), /lost with a damaged file, and nobody tells: 00002/);
});

test("what stood on a destroyed page of the journal may be missing when it is told how much is left, and nothing else", () => {
  const observed = fitting();
  const [lost] = observed.events.splice(0, 1);
  const spoiled = [{ lost: [{ event: lost!, judged: true }], told: { type: "journal.damaged" as const, kept: { event_1: 5 } } }];
  const report = event("master:m:3", 9, { type: "journal.damaged", data: { kept: { event_1: 5, task: 3 } } });
  const told = (more: Partial<Observed>) => countRound({ ...observed, spoiled, events: [...observed.events, report], ...more });
  assert.deepEqual([told({}).told, told({}).mismatches], [1, []]);
  assert.match(told({ events: observed.events }).mismatches.join(), /1 lost; told was \[\]/);
  assert.match(told({ tasks: observed.tasks.slice(1) }).mismatches.join(), /should have made a task/);
  assert.match(told({ events: [...observed.events.slice(1), report] }).mismatches.join(), /a1:e1:1 to 4 these are missing: 2/);
  const unjudged = spoiled.map(({ told: how }) => ({ told: how, lost: [{ event: lost!, judged: false }] }));
  assert.doesNotMatch(told({ spoiled: unjudged, tasks: observed.tasks.slice(1) }).mismatches.join(), /should have made/);
});

test("what stood in a spoiled sealed partition may be missing when that is told once, and nothing else", () => {
  const observed = fitting();
  const lost = observed.events.splice(0, 2).map((each) => ({ event: each, judged: true }));
  const spoiled: SpoiledJournal[] = [{ lost, told: { type: "journal.partition_damaged", partition: 3 } }];
  const report = (partition: number, position = 9) =>
    event(`master:m:${position - 6}`, position, { type: "journal.partition_damaged", data: { partition } });
  const counted = (...more: EventView[]) => countRound({ ...observed, spoiled, events: [...observed.events, ...more] });
  assert.deepEqual([counted(report(3)).told, counted(report(3)).mismatches], [2, []]);
  assert.match(counted(report(4)).mismatches.join(), /sealed partition 3 2 events are missing; that was told 0 times/);
  assert.match(counted(report(3), report(3, 10)).mismatches.join(), /told 2 times/);
  assert.deepEqual(counted(...lost.map((each) => each.event)).mismatches, [], "a page that nobody needed is not missed");
});

test("a numbering that goes on from another has no gap from there on", () => {
  const observed = fitting();
  const brought = event("a1:e2:3", 7, { type: "x.y" });
  const turned = event("a1:e2:5", 8, { type: "spool.turned_back" });
  assert.deepEqual(countRound({ ...observed, events: [...observed.events, brought, turned] }).mismatches, []);
  const later = event("a1:e2:8", 9, { type: "x.y" });
  assert.match(
    countRound({ ...observed, events: [...observed.events, turned, later] }).mismatches.join(),
    /a1:e2:5 to 8 these are missing: 6 7/,
  );
});
