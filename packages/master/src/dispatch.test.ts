import assert from "node:assert/strict";
import { test } from "node:test";
import type { Severity } from "@needfire/shared/event";
import { NeedfireError } from "@needfire/shared/errors";
import { executionId, taskId } from "@needfire/shared/ids";
import type { Execution } from "@needfire/shared/task";
import type { TurnLimits } from "./command-turns.ts";
import { type Backlog, Dispatch } from "./dispatch.ts";
import { TestClock } from "./fixture.ts";
import type { Session } from "./sessions.ts";
import type { Mark, OpenExecution } from "./store/store.ts";

const task = taskId("tidy", "web1:e1:1");

function command(number: number, agent = "web1", priority: Severity = "normal"): Execution {
  const id = executionId(task, number);
  return { id, task, agent, action: "file.remove", args: { path: "/x" }, purpose: "do", priority, rung: 0, attempt: 1, created: 1_000_000 };
}

/** `isSettled`: the record says of all agents that what has no mark has not gone out. */
interface Given extends Partial<TurnLimits> {
  isSettled?: boolean;
}

/** Agents that have a session, and what was sent to them. `known`: the numbering that the master's record of an agent has. */
function setting(unfinished: OpenExecution[] = [], known?: string, { isSettled = false, ...limits }: Given = {}) {
  const clock = new TestClock();
  const monotonic = new TestClock(0);
  const present = new Set<string>();
  const sent: string[] = [];
  const left: (number | undefined)[] = [];
  const secrets: (string[] | undefined)[] = [];
  const dry: (boolean | undefined)[] = [];
  const marks: Mark[][] = [];
  const backlogs: Backlog[] = [];
  const behind: (number | undefined)[] = [];
  const link = { full: false, tooLarge: false };
  /** Of the agents. */
  const numbering = { now: known ?? "e1" };
  const dispatch = new Dispatch(
    {
      reveal: (args) => ({ ok: true, args, secrets: JSON.stringify(args).match(/hush\w*/g) ?? [] }),
      epochOf: () => known,
      isSettled: () => isSettled,
      sessionOf: (agent) => (present.has(agent) ? ({ agent, epoch: numbering.now } as Session) : undefined),
      send: (session, message) => {
        assert.ok(message.kind === "execute" || message.kind === "cancel");
        if (link.tooLarge) throw new NeedfireError("FRAME_TOO_LARGE", "too many bytes");
        if (link.full) return false;
        const { kind, body } = message;
        const how = kind === "cancel" ? "cancel " : body.again === true ? "again " : "";
        sent.push(`${how}${session.agent} ${body.execution}`);
        if (kind === "execute") left.push(body.expiresInMs);
        if (kind === "execute") behind.push(body.behindMs);
        if (kind === "execute") secrets.push(body.secrets);
        if (kind === "execute") dry.push(body.dryRun);
        return true;
      },
      mark: (some) => void marks.push(some),
      clock,
      monotonic,
      expiresMs: 60_000,
      limits: { commandsMax: 1_000, perAgentMax: 1_000, risesAfterMs: 10_000, ...limits },
      onBacklog: (backlog) => void backlogs.push(backlog),
    },
    unfinished,
  );
  const reasons = () => dispatch.tick().map(({ execution, reason }) => [execution.id, reason]);
  return { dispatch, clock, monotonic, present, sent, left, secrets, dry, marks, backlogs, behind, link, numbering, reasons };
}

const numbers = (sent: string[]) => sent.map((line) => Number(line.slice(line.lastIndexOf(".") + 1)));

test("P3: a command that its host has had beforehand may have run: in another numbering it goes out as again, and cancelled it is not over before the host says so", () => {
  const { dispatch, present, sent, reasons, monotonic, numbering } = setting([], "e1");
  numbering.now = "e2";
  dispatch.start({ ...command(1), lent: { held: "e1" }, expiresMs: 600_000 });
  dispatch.start({ ...command(2), lent: {} });
  dispatch.start({ ...command(3), lent: { held: "e2" } });
  dispatch.start({ ...command(4), lent: { held: "e2" } });
  assert.deepEqual(dispatch.cancel(`${task}.4`), []);
  present.add("web1");
  dispatch.resume("web1");
  assert.deepEqual(
    sent,
    [`again web1 ${task}.1`, `again web1 ${task}.2`, `web1 ${task}.3`, `cancel web1 ${task}.4`].toSorted(
      (a, b) => sent.indexOf(a) - sent.indexOf(b),
    ),
  );
  monotonic.time = 599_999;
  assert.deepEqual(
    reasons().map(([id]) => id),
    [2, 3, 4].map((number) => `${task}.${number}`),
    "what its host has is waited for",
  );
});

test("what its host is to drop of what it had beforehand never goes out as a command, also when that is critical", () => {
  const { dispatch, present, sent, reasons } = setting();
  present.add("web1");
  dispatch.start({ ...command(1, "web1", "critical"), lent: { held: "e1" } }, { cancelled: true });
  dispatch.start({ ...command(2), lent: {} }, { cancelled: true });
  assert.deepEqual(sent, [`cancel web1 ${command(1).id}`, `cancel web1 ${command(2).id}`]);
  assert.deepEqual(dispatch.cancel(command(1).id), []);
  dispatch.resume("web1");
  assert.equal(sent.filter((line) => !line.startsWith("cancel ")).length, 0);
  assert.deepEqual(reasons(), [], "the host has not said what became of it");
});

test("P3: over a restart a command is known by the numbering in which its host had it beforehand", () => {
  const { dispatch, present, sent, marks, numbering } = setting(
    [
      { ...command(1), lent: { held: "e1" }, epoch: "e1" },
      { ...command(2), lent: { held: "e1" } },
    ],
    "e2",
  );
  numbering.now = "e2";
  present.add("web1");
  dispatch.resume("web1");
  assert.deepEqual(sent, [`again web1 ${task}.1`, `again web1 ${task}.2`]);
  assert.deepEqual(
    marks.flat().map(({ epoch }) => epoch),
    ["e1", "e1"],
  );
});

test("a command waits for its agent, goes to it alone when it comes, and is marked as sent", () => {
  const { dispatch, present, sent, marks } = setting([command(1)]);
  dispatch.start(command(2));
  dispatch.start(command(3, "db1"));
  assert.deepEqual(sent, []);
  present.add("web1");
  dispatch.resume("web1");
  assert.deepEqual(sent, [`web1 ${task}.1`, `web1 ${task}.2`]);
  assert.deepEqual(marks, [[1, 2].map((number) => ({ execution: `${task}.${number}`, state: "sent", at: 1_000_000, epoch: "e1" }))]);
});

test("what is not confirmed goes out again after a time; what is confirmed only when the agent comes back", () => {
  const { dispatch, monotonic, present, sent } = setting();
  present.add("web1");
  dispatch.start(command(1));
  dispatch.start(command(2));
  dispatch.accepted("web1", command(2).id);
  monotonic.time = 9_999;
  dispatch.tick();
  assert.equal(sent.length, 2);
  monotonic.time += 1;
  dispatch.tick();
  assert.deepEqual(sent.slice(2), [`web1 ${task}.1`]);
  monotonic.time += 9_999;
  dispatch.tick();
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
  const { dispatch, monotonic, present, sent, reasons } = setting([command(1), command(2)]);
  dispatch.start(command(3));
  dispatch.ended(command(1).id);
  monotonic.time = 59_999;
  assert.deepEqual(reasons(), []);
  monotonic.time += 1;
  const expired = [
    [command(2).id, "file.remove on web1 had no result within its time"],
    [command(3).id, "web1 was not there within the time of file.remove"],
  ];
  assert.deepEqual([reasons(), reasons()], [expired, expired]);
  dispatch.ended(command(2).id);
  dispatch.ended(command(3).id);
  assert.deepEqual(reasons(), []);
  present.add("web1");
  dispatch.resume("web1");
  assert.deepEqual(sent, []);
});

test("a link that takes no more delays a command; a command that fits no frame is given up with the reason", () => {
  const { dispatch, present, sent, marks, link, reasons } = setting();
  present.add("web1");
  link.full = true;
  dispatch.start(command(1));
  assert.deepEqual(marks, []);
  link.full = false;
  dispatch.tick();
  assert.equal(sent.length, 1);
  link.tooLarge = true;
  dispatch.start(command(2));
  link.tooLarge = false;
  assert.deepEqual(reasons(), [[command(2).id, "file.remove cannot be sent: too many bytes"]]);
  assert.equal(sent.length, 1);
});

test("only so many are on their way to an agent; each confirmation, and each end, lets the next one out", () => {
  const { dispatch, present, sent } = setting();
  present.add("web1");
  present.add("db1");
  for (let number = 1; number <= 300; number++) dispatch.start(command(number));
  assert.equal(sent.length, 256);
  dispatch.start(command(301, "db1"));
  assert.equal(sent.at(-1), `db1 ${task}.301`);
  dispatch.accepted("web1", command(100).id);
  dispatch.accepted("web1", command(100).id);
  dispatch.ended(command(7).id);
  dispatch.ended(command(100).id);
  assert.deepEqual(numbers(sent.slice(257)), [257, 258]);
  for (let number = 1; number <= 300; number++) dispatch.accepted("web1", command(number).id);
  assert.equal(new Set(sent).size, 301);
  assert.equal(sent.length, 301);
});

test("P8: what waits goes out by the task's priority, the oldest first", () => {
  const { dispatch, present, sent } = setting([command(1, "web1", "low"), command(2), command(3, "web1", "critical")]);
  for (const [number, priority] of [
    [4, "critical"],
    [5, "high"],
    [6, "normal"],
  ] as const)
    dispatch.start(command(number, "web1", priority));
  present.add("web1");
  dispatch.resume("web1");
  assert.deepEqual(numbers(sent), [3, 4, 5, 2, 6, 1]);
});

test("a critical command overtakes those that wait for the window", () => {
  const { dispatch, present, sent } = setting();
  present.add("web1");
  for (let number = 1; number <= 260; number++) dispatch.start(command(number));
  dispatch.start(command(261, "web1", "critical"));
  dispatch.accepted("web1", command(1).id);
  assert.deepEqual(numbers(sent.slice(256)), [261]);
});

test("of all hosts so many commands are out at once: who ends lets in the next one, wherever it is, and what waits says for what (P5)", () => {
  const { dispatch, monotonic, present, sent } = setting([], undefined, { commandsMax: 2, perAgentMax: 2 });
  for (const agent of ["web1", "db1"]) present.add(agent);
  for (const [number, agent] of ["web1", "web1", "web1", "db1", "off"].entries()) {
    monotonic.time = number;
    dispatch.start(command(number + 1, agent));
  }
  dispatch.start(command(6, "db1", "high"));
  assert.deepEqual(numbers(sent), [1, 2]);
  const wait = (number: number) => dispatch.waitOf(command(number).id, { withPlace: true });
  assert.equal(wait(3), "its turn: 0 before it; 2 commands are with web1 (commands_per_agent_max)");
  assert.equal(wait(4), "its turn: 1 before it; 2 commands are with hosts (commands_max)");
  assert.equal(wait(5), "off, which is not connected");
  assert.deepEqual([wait(1), wait(7), dispatch.counts()], [undefined, undefined, { given: 2, waiting: 3 }]);
  dispatch.accepted("web1", command(1).id);
  assert.equal(sent.length, 2, "a command that is confirmed is still there");
  dispatch.ended(command(1).id);
  assert.deepEqual(numbers(sent), [1, 2, 6]);
  dispatch.start(command(7, "web1", "critical"));
  assert.deepEqual(numbers(sent), [1, 2, 6, 7], "P8: the critical wait for no limit");
  for (const number of [2, 6]) dispatch.ended(command(number).id);
  assert.deepEqual(numbers(sent), [1, 2, 6, 7, 3]);
  present.delete("web1");
  dispatch.left("web1");
  assert.deepEqual(numbers(sent), [1, 2, 6, 7, 3, 4], "what is with a host that is away takes up no room");
});

test("what has waited for long goes before what comes now, and its host hears how it stands there", () => {
  const { dispatch, monotonic, present, sent, behind } = setting([], undefined, { perAgentMax: 1 });
  present.add("web1");
  dispatch.start(command(1));
  dispatch.start(command(2, "web1", "low"));
  monotonic.time = 20_001;
  dispatch.start(command(3, "web1", "high"));
  dispatch.start(command(4, "web1", "normal"));
  for (const number of [1, 2, 3]) dispatch.ended(command(number).id);
  assert.deepEqual(numbers(sent), [1, 2, 3, 4]);
  assert.deepEqual(behind, [10_000, -1, 0, 10_000]);
});

test("over a restart what was given out still counts, and goes out again at once; the rest takes its turn", () => {
  const given = { epoch: "e1" };
  const unfinished = [
    { ...command(1), ...given },
    command(2),
    { ...command(3, "db1"), ...given, begun: true as const },
    command(4, "db1", "high"),
  ];
  const { dispatch, present, sent } = setting(unfinished, "e1", { commandsMax: 2 });
  for (const agent of ["web1", "db1"]) present.add(agent);
  dispatch.resume("web1");
  assert.deepEqual(numbers(sent), [1, 2], "it is not known yet that the other host is there");
  dispatch.resume("db1");
  assert.deepEqual(numbers(sent), [1, 2, 3], "three are out, which two lives have given out");
  dispatch.ended(command(1).id);
  assert.equal(sent.length, 3);
  dispatch.ended(command(2).id);
  assert.deepEqual(numbers(sent), [1, 2, 3, 4]);
});

test("P5: what did not get its turn within its time says so, as often as it is told", () => {
  const { dispatch, monotonic, present, reasons } = setting([], undefined, { commandsMax: 1 });
  present.add("web1");
  dispatch.start({ ...command(1), expiresMs: 600_000 });
  dispatch.start(command(2));
  monotonic.time = 60_000;
  const why = "file.remove did not get its turn within its time; it waited for its turn: 1 command is with hosts (commands_max)";
  assert.deepEqual([reasons(), reasons()], [[[command(2).id, why]], [[command(2).id, why]]]);
  dispatch.start(command(3));
  monotonic.time = 120_000;
  dispatch.ended(command(2).id);
  dispatch.ended(command(1).id);
  assert.deepEqual(
    reasons().map(([id, reason]) => [id, String(reason).includes("did not get its turn within its time")]),
    [[command(3).id, true]],
    "also when there is room by then",
  );
});

test("P4: that commands have waited for their turn for a minute is told once, until none waits any more", () => {
  const { dispatch, monotonic, present, backlogs } = setting([], undefined, { perAgentMax: 1 });
  present.add("web1");
  const long = { expiresMs: 600_000 };
  const at = (time: number) => {
    monotonic.time = time;
    dispatch.tick();
  };
  for (const number of [1, 2, 3]) dispatch.start({ ...command(number), ...long });
  for (const time of [1_000, 60_999]) at(time);
  assert.deepEqual(backlogs, []);
  for (const time of [61_000, 62_000, 200_000]) at(time);
  assert.deepEqual(backlogs, [{ given: 1, waiting: 2 }]);
  for (const number of [1, 2]) dispatch.ended(command(number).id);
  at(201_000);
  dispatch.start({ ...command(4), ...long });
  for (const time of [202_000, 261_999]) at(time);
  assert.equal(backlogs.length, 1);
  at(262_000);
  assert.deepEqual(backlogs.slice(1), [{ given: 1, waiting: 1 }]);
});

test("after a frame was lost on the way out, what is not confirmed goes out again soon", () => {
  const { dispatch, monotonic, present, sent } = setting();
  present.add("web1");
  for (const number of [1, 2]) dispatch.start(command(number));
  dispatch.accepted("web1", command(1).id);
  dispatch.slow("web1");
  dispatch.slow("nobody");
  dispatch.tick();
  assert.equal(sent.length, 2);
  monotonic.time = 500;
  dispatch.tick();
  assert.deepEqual(numbers(sent), [1, 2, 2]);
  monotonic.time = 1_000;
  dispatch.tick();
  assert.equal(sent.length, 3);
});

test("a cancelled command that has not gone out never will, and is told of until it has ended", () => {
  const { dispatch, present, sent, reasons } = setting();
  dispatch.start(command(1));
  const told = [[command(1).id, "it was cancelled before it was sent"]];
  assert.deepEqual(
    dispatch.cancel(command(1).id).map(({ execution, reason }) => [execution.id, reason]),
    told,
  );
  assert.deepEqual(dispatch.cancel(command(1).id), []);
  present.add("web1");
  dispatch.resume("web1");
  assert.deepEqual(reasons(), told);
  dispatch.ended(command(1).id);
  assert.deepEqual([sent, reasons()], [[], []]);
});

test("the cancellation of a command that may be on its host goes out, and again, until there is a result", () => {
  const { dispatch, monotonic, present, sent, reasons } = setting([command(1), { ...command(2), cancelled: true }]);
  assert.deepEqual(dispatch.cancel(command(1).id), []);
  const both = [1, 2].map((number) => `cancel web1 ${task}.${number}`);
  present.add("web1");
  dispatch.resume("web1");
  assert.deepEqual(sent.splice(0), both);
  monotonic.time = 10_000;
  assert.deepEqual(reasons(), []);
  assert.deepEqual(sent.splice(0), both);
  dispatch.ended(command(1).id);
  monotonic.time = 20_000;
  dispatch.tick();
  assert.deepEqual(sent.splice(0), both.slice(1));
  monotonic.time = 60_000;
  assert.deepEqual(reasons(), [[command(2).id, "web1 did not say within its time what became of it"]]);
  assert.deepEqual([sent, dispatch.cancel("t-0000000000000000.1")], [[], []]);
});

test("a clock that is stepped expires nothing and revives nothing; a restart goes on with the time that is left", () => {
  const old = { ...command(1), created: 1_000_000 - 50_000 };
  const { dispatch, clock, monotonic, present, sent, left, reasons } = setting([
    { ...command(2), created: 1_000_000 - 3_600_000 },
    old,
    { ...command(3), created: 1_000_000 + 3_600_000 },
  ]);
  dispatch.start(command(4));
  present.add("web1");
  dispatch.resume("web1");
  assert.deepEqual(numbers(sent), [1, 3, 4], "what expired while the master was away does not go out");
  assert.deepEqual(left, [10_000, 60_000, 60_000]);
  const ids = () => reasons().map(([id]) => id);
  assert.deepEqual(ids(), [command(2).id]);
  clock.time += 3_600_000;
  assert.deepEqual(ids(), [command(2).id]);
  monotonic.time = 10_000;
  clock.time -= 7_200_000;
  assert.deepEqual(ids(), [command(2).id, old.id]);
});

test("a command goes out with the list of the secrets in it, so that its host can mask them", () => {
  const { dispatch, present, secrets } = setting();
  present.add("web1");
  dispatch.start({ ...command(1), args: { argv: ["send", "hush1", "hush2"] } });
  dispatch.start(command(2));
  assert.deepEqual(secrets, [["hush1", "hush2"], undefined]);
});

test("P3: a command that was sent in another numbering goes out as such, also when this master's life begins after the agent's facts", () => {
  // The last life has heard of numbering e2, and died before what it sent then was there: the agent does not know command 1.
  const unfinished = [{ ...command(1), epoch: "e1" }, { ...command(2), epoch: "e2" }, command(3)];
  const { dispatch, present, sent } = setting(unfinished, "e2");
  present.add("web1");
  dispatch.resume("web1");
  assert.deepEqual(sent, [`again web1 ${task}.1`, `web1 ${task}.2`, `web1 ${task}.3`]);
});

test("a command that could not leave in one numbering is a new one in the next", () => {
  const { dispatch, present, sent, link, numbering } = setting();
  present.add("web1");
  link.full = true;
  dispatch.start(command(1));
  link.full = false;
  numbering.now = "e2";
  dispatch.resume("web1");
  numbering.now = "e3";
  dispatch.resume("web1");
  assert.deepEqual(sent, [`web1 ${task}.1`, `again web1 ${task}.1`]);
});

test("an agent may ask for the content of its own commands, until they have ended", () => {
  const { dispatch, present } = setting();
  present.add("web1");
  const [digest, other] = ["a".repeat(64), "b".repeat(64)];
  const brings = () => [dispatch.brings("web1", digest!), dispatch.brings("web1", other!), dispatch.brings("web2", digest!)];
  assert.deepEqual(brings(), [false, false, false]);
  const execution = { ...command(1), action: "script.run" as const, args: { source: "x", digest } };
  dispatch.start(execution);
  assert.deepEqual(brings(), [true, false, false]);
  dispatch.accepted("web1", execution.id);
  assert.deepEqual(brings(), [true, false, false]);
  dispatch.ended(execution.id);
  assert.deepEqual(brings(), [false, false, false]);
});

test("a command with a time of its own is not begun after it, and its result may come a little later", () => {
  const { dispatch, monotonic, present, left, reasons } = setting();
  present.add("web1");
  const own = { expiresMs: 3_000 };
  dispatch.start({ ...command(1), ...own });
  dispatch.start({ ...command(2, "db1"), ...own });
  dispatch.start(command(3, "db1"));
  assert.deepEqual(left, [3_000]);
  monotonic.time = 3_000;
  assert.deepEqual(reasons(), [[`${task}.2`, "db1 was not there within the time of file.remove"]]);
  dispatch.ended(`${task}.2`);
  monotonic.time = 17_999;
  assert.deepEqual(reasons(), []);
  monotonic.time = 18_000;
  assert.deepEqual(reasons(), [[`${task}.1`, "file.remove on web1 had no result within its time"]]);
});

test("a command whose task has a time to begin does not go out after it; what went out has all of its time", () => {
  const soon = { beginMs: 5_000 };
  const untried = (dispatch: Dispatch) => dispatch.tick().map((each) => [each.execution.id, each.untried]);
  const { dispatch, monotonic, present, sent } = setting();
  present.add("web1");
  dispatch.start({ ...command(1), ...soon });
  dispatch.start({ ...command(2, "db1"), ...soon });
  dispatch.start(command(3, "db1"));
  monotonic.time = 5_000;
  present.add("db1");
  dispatch.resume("db1");
  assert.deepEqual(numbers(sent), [1, 3]);
  assert.deepEqual(untried(dispatch), [[`${task}.2`, true]]);
  dispatch.ended(`${task}.2`);
  monotonic.time = 60_000;
  assert.deepEqual(
    untried(dispatch),
    [1, 3].map((number) => [`${task}.${number}`, false]),
    "what became of them is not known",
  );

  // Of a command that no mark says to have gone out that may not be certain, and yet it does not go out any more.
  const again = setting([
    { ...command(1), ...soon, created: 1_000_000 - 6_000 },
    { ...command(2), ...soon, created: 1_000_000 - 6_000, epoch: "e1" },
  ]);
  again.present.add("web1");
  again.dispatch.resume("web1");
  assert.deepEqual(numbers(again.sent), [2]);
  assert.deepEqual(untried(again.dispatch), [[`${task}.1`, false]]);
});

test("a host is told that a command is a dry run, also when it is sent again", () => {
  const { dispatch, monotonic, present, dry } = setting();
  present.add("web1");
  dispatch.start({ ...command(1), dryRun: true });
  dispatch.start(command(2));
  monotonic.time = 10_000;
  dispatch.tick();
  assert.deepEqual(dry, [true, undefined, true, undefined]);
});

test("P2: over a restart what has no mark is untried where its agent is settled, and not where a frame may have got out", () => {
  const unfinished = [
    command(1),
    { ...command(2), epoch: "e1" },
    { ...command(3), begun: true as const },
    { ...command(4), lent: { held: "e1" } },
    { ...command(5), cancelled: true as const },
  ];
  const ends = (isSettled: boolean) => {
    const { dispatch, monotonic } = setting(unfinished, "e1", { isSettled });
    const first = dispatch.tick().map(({ execution }) => execution.id);
    monotonic.time = 60_000;
    const untried = dispatch.tick().flatMap((each) => (each.untried === true ? [each.execution.id] : []));
    return { isMarked: dispatch.isMarked("web1"), first, untried };
  };
  assert.deepEqual(ends(true), { isMarked: true, first: [`${task}.5`], untried: [`${task}.1`] });
  assert.deepEqual(ends(false), { isMarked: false, first: [], untried: [] });
});

test("P3: what has never gone out is new to its host, whatever numbering that is in after a restart", () => {
  const sentBy = (isSettled: boolean) => {
    const { dispatch, present, sent, numbering } = setting([command(1)], "e1", { isSettled });
    numbering.now = "e2";
    present.add("web1");
    dispatch.resume("web1");
    assert.ok(dispatch.isMarked("web1"));
    return sent;
  };
  assert.deepEqual(sentBy(true), [`web1 ${task}.1`]);
  assert.deepEqual(sentBy(false), [`again web1 ${task}.1`]);
});
