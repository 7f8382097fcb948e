/**
 * The engine in examples: what is said to people, limits, loops, the clock, and what becomes of state when reactors change.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadReactors } from "../reactor.ts";
import { delayWaitingMax } from "./flow.ts";
import { partialsMax } from "./correlate.ts";
import { ReactorIndex } from "./reactor-index.ts";
import { Rules } from "./rules.ts";
import { type Decision, eventsKeptMax, type Judgement, type Seen, type StateRow, type World } from "./types.ts";

const start = Date.parse("2026-01-01T00:00:00Z");
const emit = "do: [{ event.emit: { type: x.done } }]";

interface Told {
  type: string;
  at: number;
  agent?: string;
  subject?: string;
  data?: Record<string, unknown>;
  ancestry?: string[];
  root?: string;
  wall?: number;
}

/** An engine on a timeline; `at` in seconds from the start. */
class Stage {
  readonly rules: Rules;
  #events = 0;

  constructor(yaml: string, world: Partial<World> = {}) {
    const route = { priority: "low", owner: undefined, labels: {} } as const;
    this.rules = new Rules(indexed(yaml), {
      agentView: (id) => ({ id, labels: {}, facts: {} }),
      route: () => route,
      silence: () => undefined,
      ...world,
    });
  }

  hear({ type, at, agent = "web1", data = {}, ancestry = [], root, subject }: Told): Judgement {
    this.#events++;
    const id = `e${this.#events}`;
    const received = start + at * 1_000;
    const base = { position: this.#events, id, type, source: "", agent, time: 0, received, severity: "normal" as const, data };
    const event: Seen["event"] = subject === undefined ? base : { ...base, subject };
    return this.rules.hear({ event, agent, ancestry, root: root ?? id });
  }

  tick(at: number): Judgement {
    return this.rules.tick(start + at * 1_000);
  }

  reload(yaml: string): void {
    this.rules.setReactors(indexed(yaml));
  }
}

function indexed(yaml: string): ReactorIndex {
  const loaded = loadReactors("r.yaml", yaml);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return new ReactorIndex(loaded.reactors);
}

const told = ({ decisions }: Judgement) => decisions.map(({ reactor, reason }) => `${reactor.name} ${reason}`);
const details = ({ decisions }: Judgement) => decisions.map(({ reason, detail }) => `${reason}: ${detail}`);
const fired = (judgement: Judgement) => judgement.decisions.flatMap(({ firing }) => firing ?? []);
const only = ({ decisions }: Judgement): Decision => {
  assert.equal(decisions.length, 1, JSON.stringify(decisions));
  return decisions[0]!;
};

test("every decision says with its values why it was made (P5)", () => {
  const stage = new Stage(
    `name: login
on: login.failed
when: event.data.user != "backup"
correlate: { count: 3, within: 1m, by: [event.agent, event.data.address] }
flow: { once: 10m }
${emit}
`,
  );
  const fails = (at: number, data: Record<string, unknown>) => details(stage.hear({ type: "login.failed", at, data })).join();
  assert.equal(fails(0, { user: "backup" }), 'when-false: event.data.user != "backup"');
  assert.match(fails(0, {}), /^when-missing-field: event\.data\.user != "backup": No such key: user$/);
  assert.match(fails(0, { user: "x" }), /^when-missing-field: event\.data\.address: No such key/);
  const data = { user: "x", address: "10.0.0.1" };
  assert.equal(fails(1, data), 'waiting: 1 of 3 within 1m for ["web1","10.0.0.1"], the first at 2026-01-01T00:00:01.000Z');
  assert.equal(fails(2, data), 'waiting: 2 of 3 within 1m for ["web1","10.0.0.1"], the first at 2026-01-01T00:00:01.000Z');
  assert.equal(fails(3, data), 'fired: 3 events, 3 within 1m for ["web1","10.0.0.1"]');
  fails(4, data);
  fails(5, data);
  assert.equal(fails(6, data), "throttled: throttled until 2026-01-01T00:10:03.000Z; fired at 2026-01-01T00:00:03.000Z by e6");
});

test("a sequence and a set say what they wait for", () => {
  const stage = new Stage(
    `name: in-order
correlate: { within: 5m, sequence: [{ on: a.one }, { on: a.two, as: disk }] }
${emit}
---
name: in-any-order
correlate: { within: 5m, all: [{ on: a.one }, { on: a.two, as: disk }, { on: a.three }] }
${emit}
`,
  );
  assert.deepEqual(details(stage.hear({ type: "a.one", at: 0 })), [
    "waiting: step 2 of 2 (disk) is waiting since 2026-01-01T00:00:00.000Z",
    "waiting: 1 of 3 within 5m: disk, step3 are missing",
  ]);
  assert.deepEqual(details(stage.hear({ type: "a.two", at: 1 })), [
    "fired: all 2 steps in their order within 5m",
    "waiting: 2 of 3 within 5m: step3 is missing",
  ]);
  assert.deepEqual(details(stage.hear({ type: "a.two", at: 2 }))[0], "waiting: nothing is waiting for it");
});

test("an event that a waiting step, or a wait, does not take says so with both events' values", () => {
  const stage = new Stage(
    `name: in-order
correlate:
  within: 5m
  sequence: [{ on: config.changed, as: change }, { on: unit.failed, when: event.data.unit == matched.change.data.unit }]
${emit}
---
name: missing
on: backup.started
correlate:
  within: 5m
  none: { on: backup.finished, when: event.data.job == matched.first.data.job }
${emit}
`,
  );
  const failed = { type: "unit.failed", data: { unit: "cron" } };
  assert.deepEqual(details(stage.hear({ ...failed, at: 0 })), ["waiting: nothing is waiting for it"]);
  stage.hear({ type: "config.changed", at: 1, data: { unit: "nginx" } });
  assert.deepEqual(details(stage.hear({ ...failed, at: 2 })), [
    'waiting: step 2 of 2 (step2) is waiting since 2026-01-01T00:00:01.000Z; event.data.unit == matched.change.data.unit is false: "cron" == "nginx"',
  ]);
  stage.hear({ type: "backup.started", at: 3, data: { job: "a" } });
  assert.deepEqual(details(stage.hear({ type: "backup.finished", at: 4, data: { job: "b" } })), [
    'waiting: since 2026-01-01T00:00:03.000Z, until 2026-01-01T00:05:03.000Z; event.data.job == matched.first.data.job is false: "b" == "a"',
  ]);
});

test("what suppresses a firing is named, with its end where it has one", () => {
  const until = start + 3_600_000;
  const yaml = `name: fix
on: a.x
inhibited_by: [{ reactor: down, for: 5m }, { reactor: dead }]
only_during: [{ cron: "0 0 * * *", for: 1h }]
${emit}
---
name: down
on: host.down
${emit}
---
name: slow
on: never.heard
inhibited_by: [{ reactor: down, for: 1h }]
${emit}
---
name: dead
raise: { on: host.dead, by: event.agent }
clear: { on: host.back }
${emit}
`;
  const silence: World["silence"] = (reactor, agent) =>
    reactor === "fix" && agent === "web2" ? { id: "s12", until, why: "moving house" } : undefined;
  const stage = new Stage(yaml, { silence });
  const about = (agent: string, at: number) => only(stage.hear({ type: "a.x", at, agent }));
  const silenced = about("web2", 0);
  assert.deepEqual([silenced.reason, silenced.until], ["silenced", until]);
  assert.equal(silenced.detail, "silenced by s12 until 2026-01-01T01:00:00.000Z: moving house");
  stage.hear({ type: "host.down", at: 1 });
  const inhibited = about("web1", 2);
  assert.deepEqual([inhibited.reason, inhibited.until], ["inhibited", start + 301_000]);
  assert.equal(inhibited.detail, 'inhibited by down for ["web1"] until 2026-01-01T00:05:01.000Z');
  assert.equal(about("web3", 2).reason, "fired");
  stage.hear({ type: "host.dead", at: 3, agent: "web3" });
  assert.equal(about("web3", 4).detail, 'inhibited by dead, which is raised for ["web3"]');
  stage.hear({ type: "host.back", at: 5, agent: "web3" });
  assert.equal(about("web3", 5).reason, "fired");
  assert.equal(about("web1", 301).reason, "fired", "an inhibition is over at its end, also where it lasts longer for others");
  const muted = about("web1", 3_601);
  assert.deepEqual([muted.reason, muted.until], ["muted", start + 86_400_000]);
  assert.match(muted.detail, /^muted outside of 0 0 \* \* \* UTC for 1 h 0 min; the next window begins at 2026-01-02T00:00:00\.000Z$/);
});

test("one of several says which step it was, also when it waits before it fires", () => {
  const yaml = (flow: string) =>
    `name: any\ncorrelate: { any: [{ on: disk.full, as: full }, { on: disk.slow }], by: event.agent }\n${flow}${emit}\n`;
  const stage = new Stage(yaml(""));
  assert.equal(only(stage.hear({ type: "disk.full", at: 0 })).detail, 'full, one of 2 for ["web1"]');
  assert.equal(only(stage.hear({ type: "disk.slow", at: 1 })).detail, 'step2, one of 2 for ["web1"]');
  const late = new Stage(yaml("flow: { debounce: 10s }\n"));
  late.hear({ type: "disk.full", at: 0 });
  late.hear({ type: "disk.slow", at: 1 });
  assert.match(only(late.tick(20)).detail, /step2, one of 2/);
});

test("a problem is told once, and its end only if it was told", () => {
  const problem = (extra: string) => `name: disk
raise: { on: disk.full }
clear: { on: disk.fine }
${extra}
${emit}
on_clear: [{ event.emit: { type: x.over } }]
`;
  const stage = new Stage(problem("for: 30s"));
  const both = { agent: "web1", subject: "/var" };
  assert.equal(only(stage.hear({ type: "disk.full", at: 0, ...both })).until, start + 30_000);
  assert.deepEqual(told(stage.hear({ type: "disk.fine", at: 1, ...both })), ["disk cancelled"]);
  stage.hear({ type: "disk.full", at: 10, ...both });
  const [firing] = fired(stage.tick(40));
  assert.deepEqual([firing?.branch, firing?.trigger.event.id, firing?.key], ["do", "e3", ["web1", "/var"]]);
  assert.equal(
    only(stage.hear({ type: "disk.full", at: 50, ...both })).detail,
    'raised since 2026-01-01T00:00:40.000Z for ["web1","/var"]',
  );
  const [over] = fired(stage.hear({ type: "disk.fine", at: 60, ...both }));
  assert.deepEqual([over?.branch, over?.trigger.event.id], ["on_clear", "e5"]);
  assert.deepEqual(over?.plan.ok && over.plan.rungs[0]!.steps, [
    { action: "event.emit", args: { type: "x.over", severity: "normal", data: {} } },
  ]);
  assert.deepEqual(told(stage.hear({ type: "disk.fine", at: 61, ...both })), ["disk not-raised"]);
  const silenced = new Stage(problem(""), { silence: () => ({ id: "s1", until: start + 9, why: "" }) });
  assert.deepEqual(told(silenced.hear({ type: "disk.full", at: 0 })), ["disk silenced"]);
  assert.deepEqual(told(silenced.hear({ type: "disk.fine", at: 1 })), ["disk cleared"]);
});

test("of problems that were told together each end is told; one that ended before was not told", () => {
  const stage = new Stage(`name: disk
raise: { on: disk.full, by: event.agent }
clear: { on: disk.fine }
flow: { collect: 1m, by: [] }
${emit}
on_clear: [{ event.emit: { type: x.over } }]
`);
  for (const agent of ["a", "b", "c"]) stage.hear({ type: "disk.full", at: 0, agent });
  assert.deepEqual(told(stage.hear({ type: "disk.fine", at: 1, agent: "b" })), ["disk cleared"]);
  const [together] = fired(stage.tick(60));
  assert.deepEqual([together!.count, together!.events, together!.key], [3, ["e1", "e2", "e3"], ["c"]]);
  for (const agent of ["a", "c"])
    assert.deepEqual(
      fired(stage.hear({ type: "disk.fine", at: 61, agent })).map(({ branch, key }) => [branch, key]),
      [["on_clear", [agent]]],
    );
});

test("a firing that was put off tells its own problem, not the one that was raised since", () => {
  const stage = new Stage(`name: disk
raise: { on: disk.full, by: event.agent }
clear: { on: disk.fine }
flow: { once: 1m, overflow: delay, by: [] }
${emit}
on_clear: [{ event.emit: { type: x.over } }]
`);
  stage.hear({ type: "disk.full", at: 0, agent: "a" });
  assert.deepEqual(told(stage.hear({ type: "disk.full", at: 1, agent: "b" })), ["disk delayed"]);
  assert.deepEqual(told(stage.hear({ type: "disk.fine", at: 2, agent: "b" })), ["disk cleared"]);
  assert.deepEqual(told(stage.hear({ type: "disk.full", at: 3, agent: "b" })), ["disk delayed"]);
  assert.equal(fired(stage.tick(60))[0]!.trigger.event.id, "e2");
  assert.deepEqual(told(stage.hear({ type: "disk.fine", at: 61, agent: "b" })), ["disk cleared"]);
});

test("a remedy's own effect raises nothing, but it clears what it remedied", () => {
  const stage = new Stage(`name: unit
raise: { on: unit.failed }
clear: { on: unit.started }
${emit}
`);
  assert.deepEqual(told(stage.hear({ type: "unit.failed", at: 0 })), ["unit fired"]);
  assert.deepEqual(told(stage.hear({ type: "unit.failed", at: 1, ancestry: ["unit"] })), ["unit own-effect"]);
  assert.deepEqual(told(stage.hear({ type: "unit.started", at: 2, ancestry: ["unit"] })), ["unit cleared"]);
  assert.deepEqual(told(stage.hear({ type: "unit.failed", at: 3, ancestry: ["other"] })), ["unit fired"]);
});

test("a chain that is too deep is cut, and told once a minute for each root (P7)", () => {
  const stage = new Stage(`name: loop\non: a.x\nfollow: self\n${emit}`);
  const deep = Array.from({ length: 17 }, (_, index) => `r${index}`);
  const hear = (at: number, root: string) => stage.hear({ type: "a.x", at, ancestry: deep, root });
  assert.deepEqual(told(stage.hear({ type: "a.x", at: 0, ancestry: deep.slice(1) })), ["loop fired"]);
  const first = hear(1, "e0");
  assert.deepEqual(told(first), ["loop loop-cut"]);
  assert.match(only(first).detail, /^a chain of 17 remedies, and at most 16 are followed; the chain began with e0: r0 > r1/);
  assert.deepEqual(
    first.notices.map((notice) => notice.kind === "loop-cut" && [notice.root, notice.chain]),
    [["e0", deep]],
  );
  assert.deepEqual([told(hear(60, "e0")), hear(60, "e0").notices.length], [["loop loop-cut"], 0]);
  assert.equal(hear(60, "e1").notices.length, 1);
  assert.equal(hear(61, "e0").notices.length, 1);
});

test("a reactor that fires too often on what one event began is cut for a minute, also after a crash (P7)", () => {
  const yaml = `name: loop\non: a.x\nfollow: self\n${emit}`;
  const stage = new Stage(yaml);
  const hear = (on: Stage, at: number, root: string) => told(on.hear({ type: "a.x", at, ancestry: ["loop"], root })).join();
  for (let at = 0; at < 50; at++) assert.equal(hear(stage, at / 2, "e0"), "loop fired");
  const again = new Stage(yaml);
  again.rules.load(JSON.parse(JSON.stringify(stage.rules.takeDirty())) as StateRow[]);
  for (let at = 50; at < 100; at++) assert.equal(hear(again, at / 2, "e0"), "loop fired");
  assert.equal(hear(again, 50, "e0"), "loop loop-cut");
  assert.equal(hear(again, 50, "e1"), "loop fired", "another root's chain is another");
  assert.equal(told(again.hear({ type: "a.x", at: 50 })).join(), "loop fired", "nothing caused this one");
  assert.equal(hear(again, 60, "e0"), "loop fired", "a minute after the first");
});

test("of too many keys the one that was not touched for longest goes, which is told at once and then once a minute (P4)", () => {
  const stage = new Stage(`name: many\non: a.x\nkeys_max: 3\ncorrelate: { count: 2, within: 1h, by: event.agent }\n${emit}`);
  const hear = (agent: string, at: number) => stage.hear({ type: "a.x", at, agent });
  for (const agent of ["a", "b", "c"]) assert.deepEqual(hear(agent, 0).notices, []);
  const full = hear("d", 1);
  assert.deepEqual(
    full.notices.map((notice) => notice.kind === "keys-full" && [notice.reactor.name, notice.keysMax, notice.dropped]),
    [["many", 3, 1]],
  );
  assert.deepEqual(told(hear("b", 2)), ["many fired"], "b was kept");
  assert.deepEqual(told(hear("a", 3)), ["many waiting"], "a was forgotten");
  for (const agent of ["e", "f"]) assert.deepEqual(hear(agent, 4).notices, []);
  const later = stage.tick(61).notices;
  assert.deepEqual(
    later.map((notice) => notice.kind === "keys-full" && notice.dropped),
    [2],
  );
  assert.deepEqual([stage.tick(121).notices, stage.tick(200).notices], [[], []]);
});

test("a forgotten problem inhibits nobody any more", () => {
  const stage = new Stage(`name: down
keys_max: 2
raise: { on: host.down, by: [event.agent, event.subject] }
${emit}
---
name: fix
on: a.x
inhibited_by: [{ reactor: down }]
${emit}
`);
  stage.hear({ type: "host.down", at: 0, agent: "web1", subject: "a" });
  stage.hear({ type: "host.down", at: 1, agent: "web2", subject: "a" });
  assert.deepEqual(told(stage.hear({ type: "a.x", at: 1, agent: "web1" })), ["fix inhibited"]);
  stage.hear({ type: "host.down", at: 2, agent: "web2", subject: "b" });
  assert.deepEqual(told(stage.hear({ type: "a.x", at: 3, agent: "web1" })), ["fix fired"]);
  assert.deepEqual(told(stage.hear({ type: "a.x", at: 3, agent: "web2" })), ["fix inhibited"]);
});

test("what waits has limits: candidates of a delay, partial sequences, events of a firing", () => {
  const delay = new Stage(`name: slow\non: a.x\nflow: { once: 1h, overflow: delay }\n${emit}`);
  for (let count = 0; count <= delayWaitingMax; count++) assert.notEqual(only(delay.hear({ type: "a.x", at: 0 })).reason, "overflowed");
  const over = only(delay.hear({ type: "a.x", at: 1 }));
  assert.equal(over.reason, "overflowed");
  assert.match(over.detail, /throttled until 2026-01-01T01:00:00\.000Z and 1000 wait already; fired at .* by e1$/);
  assert.equal(fired(delay.tick(3_600))[0]!.trigger.event.id, "e2");

  const many = new Stage(
    `name: steps\ncorrelate: { within: 1h, consume: false, sequence: [{ on: a.x }, { on: a.y }, { on: a.z }] }\n${emit}`,
  );
  for (let count = 0; count < partialsMax; count++) assert.doesNotMatch(only(many.hear({ type: "a.x", at: 0 })).detail, /had to go/);
  for (let count = 0; count < 20; count++)
    assert.match(only(many.hear({ type: "a.x", at: 0 })).detail, /; 1 that began before had to go, since at most 100 of a key/);
  for (let count = 0; count < 10; count++) many.hear({ type: "a.y", at: 1 });
  const [row] = many.rules.takeDirty();
  assert.equal((row!.body as { state: { partials: unknown[] } }).state.partials.length, partialsMax);

  const digest = new Stage(`name: digest
on: a.x
correlate: { count: 150, within: 1h }
flow: { collect: 1m }
do: [{ event.emit: { type: x.done, data: { count: "\${{ count }}", seen: "\${{ events.size() }}", last: "\${{ events[99].id }}" } } }]
`);
  for (let count = 0; count < 450; count++) digest.hear({ type: "a.x", at: 0 });
  const [firing] = fired(digest.tick(60));
  assert.deepEqual([firing!.count, firing!.events.length, firing!.events[0], firing!.events.at(-1)], [450, eventsKeptMax, "e351", "e450"]);
  assert.deepEqual(firing!.plan.ok && firing!.plan.rungs[0]!.steps[0]!.args["data"], { count: 450, seen: 100, last: "e450" });
});

test("of many counted events state keeps hardly more than the times", () => {
  const stage = new Stage(`name: many\non: a.x\ncorrelate: { count: 10000, within: 1h }\n${emit}`);
  for (let count = 0; count < 9_999; count++) stage.hear({ type: "a.x", at: count / 10, data: { text: "x".repeat(100) } });
  const [row] = stage.rules.takeDirty();
  assert.ok(JSON.stringify(row).length < 9_999 * 14 + eventsKeptMax * 60, `${JSON.stringify(row).length} bytes`);
  const [firing] = fired(stage.hear({ type: "a.x", at: 999.9 }));
  assert.deepEqual([firing!.count, firing!.events.length, firing!.events.at(-1)], [10_000, eventsKeptMax, "e10000"]);
  const caused = new Stage(`name: many\non: a.x\ncorrelate: { count: 150, within: 1h }\n${emit}`);
  caused.hear({ type: "a.x", at: 0, ancestry: ["other"] });
  for (let count = 0; count < 148; count++) caused.hear({ type: "a.x", at: 1 });
  assert.deepEqual(fired(caused.hear({ type: "a.x", at: 2 }))[0]!.ancestry, ["other"], "what caused the oldest is known (P7)");
});

test("engine time goes on when the clock is set back, and says when people's clock will show it", () => {
  const stage = new Stage(`name: quiet\non: a.x\nflow: { debounce: 1m }\n${emit}`);
  stage.hear({ type: "a.x", at: 7_200 });
  const before = stage.rules.time;
  assert.deepEqual(told(stage.tick(7_197)), [], "a little back is nothing");
  assert.equal(stage.rules.time, before);
  stage.rules.takeDirty();
  assert.deepEqual(told(stage.tick(3_600)), []);
  assert.deepEqual(
    stage.rules.takeDirty().map(({ key, body }) => [key, body]),
    [["t[]", { time: before, skew: 3_600_000 }]],
  );
  assert.equal(stage.rules.time, before, "an hour back: from here time goes on");
  assert.equal(stage.rules.nextDue(), start + 3_660_000);
  const renewed = stage.hear({ type: "a.x", at: 3_610 });
  assert.equal(stage.rules.time, before + 10_000);
  assert.equal(only(renewed).until, start + 3_670_000);
  assert.match(only(renewed).detail, /fires at 2026-01-01T01:01:10\.000Z/);
  assert.deepEqual(told(stage.tick(3_669)), []);
  assert.deepEqual(told(stage.tick(3_670)), ["quiet fired"]);
});

test("silences and calendars go by people's clock, also after it was set back", () => {
  const asked: number[] = [];
  const silence: World["silence"] = (_reactor, _agent, now) => {
    asked.push(now);
    return { id: "s1", until: start + 50_000, why: "" };
  };
  const stage = new Stage(`name: a\non: a.x\n${emit}`, { silence });
  stage.hear({ type: "b.x", at: 7_200 });
  const silenced = only(stage.hear({ type: "a.x", at: 10 }));
  assert.deepEqual([asked, silenced.until, silenced.at], [[start + 10_000], start + 50_000, start + 10_000]);
  assert.match(silenced.detail, /until 2026-01-01T00:00:50\.000Z/);
  const muted = new Stage(`name: a\non: a.x\nmute_during: [{ cron: "0 0 * * *", for: 1h }]\n${emit}`);
  muted.hear({ type: "b.x", at: 7_200 });
  assert.equal(only(muted.hear({ type: "a.x", at: 10 })).until, start + 3_600_000);
});

test("nobody overtakes what a delay lets wait, not even in the moment in which it comes out", () => {
  const stage = new Stage(`name: lost
on: agent.beat
correlate: { none: {}, within: 1m, by: event.agent }
flow: { once: 1m, overflow: delay, by: [] }
${emit}
`);
  for (const [agent, at] of [
    ["web1", 0],
    ["web2", 10],
    ["web3", 60],
  ] as const)
    stage.hear({ type: "agent.beat", at, agent });
  stage.tick(119);
  const keys = (at: number) => fired(stage.tick(at)).map(({ key }) => key);
  assert.deepEqual([keys(120), keys(179), keys(180)], [[["web2"]], [], [["web3"]]]);
});

test("a reactor that changes keeps its state while the state means the same; one that is gone or off loses it, row by row", () => {
  const counts = (count: number, rest = "") => `name: three\non: a.x\n${rest}correlate: { count: ${count}, within: 1h }\n${emit}\n`;
  const stage = new Stage(counts(3));
  const row = { reactor: "three", key: "c[]" };
  stage.hear({ type: "a.x", at: 0 });
  stage.rules.takeDirty();
  stage.reload(counts(3, "description: better\nwhen: event.agent != 'web9'\n"));
  assert.deepEqual(stage.rules.takeDirty(), []);
  stage.hear({ type: "a.x", at: 1 });
  assert.deepEqual(told(stage.hear({ type: "a.x", at: 2 })), ["three fired"]);
  stage.hear({ type: "a.x", at: 3 });
  stage.rules.takeDirty();
  stage.reload(counts(2));
  const dropped = stage.rules.takeDirty();
  assert.deepEqual(
    dropped.map(({ reactor, key, body }) => ({ reactor, key, body })),
    [{ ...row, body: undefined }],
  );
  stage.hear({ type: "a.x", at: 4 });
  const saved = stage.rules.takeDirty();
  stage.reload(counts(2, "mode: off\n"));
  assert.deepEqual(
    [stage.rules.takeDirty().map(({ body }) => body), stage.hear({ type: "a.x", at: 5 }).decisions, stage.rules.nextDue()],
    [[undefined], [], undefined],
  );
  const changed = new Stage(counts(4));
  changed.rules.load(saved);
  assert.equal(changed.rules.time, start + 4_000);
  assert.deepEqual(
    changed.rules.takeDirty().map(({ reactor, key, body }) => ({ reactor, key, body })),
    [{ ...row, body: undefined }],
    "rows that fit no reactor any more are to be deleted",
  );
});

test("which key was touched last is known after any number of crashes", () => {
  const yaml = `name: many\non: a.x\nkeys_max: 3\ncorrelate: { count: 9, within: 1h, by: event.agent }\n${emit}`;
  const store = new Map<string, StateRow>();
  const touch = (agent: string) => {
    const stage = new Stage(yaml);
    stage.rules.load([...store.values()].toReversed());
    stage.hear({ type: "a.x", at: 0, agent });
    for (const row of stage.rules.takeDirty())
      if (row.body === undefined) store.delete(row.key);
      else store.set(row.key, row);
  };
  for (const agent of ["a", "b", "c", "c", "a", "d"]) touch(agent);
  assert.deepEqual([...store.keys()].toSorted(), ['c["a"]', 'c["c"]', 'c["d"]', "t[]"]);
});

test("a key that went and came again between two commits is one row, and one that came and went is none", () => {
  const stage = new Stage(`name: two\non: a.x\ncorrelate: { count: 2, within: 1h, by: event.agent }\n${emit}`);
  const hear = (times: number, agent: string) => {
    for (let count = 0; count < times; count++) stage.hear({ type: "a.x", at: 0, agent });
  };
  const taken = () => stage.rules.takeDirty().map(({ key, body }) => [key, body !== undefined]);
  hear(1, "a");
  assert.deepEqual(taken(), [
    ['c["a"]', true],
    ["t[]", true],
  ]);
  hear(2, "a");
  hear(2, "b");
  assert.deepEqual(taken(), [['c["a"]', true]]);
  hear(1, "a");
  assert.deepEqual(taken(), [['c["a"]', false]]);
  assert.deepEqual(taken(), []);
});

test("rows that were taken do not change any more", () => {
  const stage = new Stage(`name: three\non: a.x\ncorrelate: { count: 300, within: 1h }\nflow: { once: 1h, overflow: merge }\n${emit}`);
  const taken: { row: StateRow; text: string }[] = [];
  for (let at = 0; at < 1_000; at++) {
    stage.hear({ type: "a.x", at });
    taken.push(...stage.rules.takeDirty().map((row) => ({ row, text: JSON.stringify(row) })));
  }
  for (const { row, text } of taken) assert.equal(JSON.stringify(row), text);
});

test("the higher priority of the reactor and the route counts, and the route is known in conditions", () => {
  const route = { priority: "high", owner: "ops", labels: { impact: "big" } } as const;
  const one = (yaml: string) => fired(new Stage(yaml, { route: () => route }).hear({ type: "a.x", at: 0 }))[0];
  assert.equal(one(`name: a\non: a.x\npriority: critical\n${emit}`)?.priority, "critical");
  const routed = one(`name: a\non: a.x\nwhen: route.labels.impact == "big"\npriority: low\n${emit}`);
  assert.deepEqual([routed?.priority, routed?.route], ["high", route]);
  assert.equal(one(`name: a\non: a.x\nwhen: route.owner == "web"\n${emit}`), undefined);
});

test("values that cannot be worked out fire with the reason, and so does what wants a host where there is none", () => {
  const one = (action: string, agent = "web1") =>
    fired(new Stage(`name: a\non: a.x\ndo: [${action}]`).hear({ type: "a.x", at: 0, agent, data: { n: 1 } }))[0]?.plan;
  assert.deepEqual(one("{ file.restore: { path: /etc/motd } }", "master"), {
    ok: false,
    reason: "do[0]: file.restore runs on a host, and this event is about none",
  });
  const missing = one('{ command.run: { argv: ["${{ event.data.nope }}"] } }');
  assert.match(missing?.ok === false ? missing.reason : "", /^do\[0\] command\.run: \$\{\{ event\.data\.nope \}\}: No such key/);
  const wrong = one('{ command.run: { argv: "${{ event.data.n }}" } }');
  assert.equal(wrong?.ok === false && wrong.reason, "do[0] command.run: argv: expected array, got 1");
});

test("one firing's plan does not leak into the next one's", () => {
  const stage = new Stage("name: a\non: a.x\ndo: [{ command.run: { argv: [id], env: { A: b } } }]\n");
  const args = (at: number) => {
    const plan = fired(stage.hear({ type: "a.x", at }))[0]?.plan;
    assert.ok(plan?.ok);
    return plan.rungs[0]!.steps[0]!.args;
  };
  (args(0)["env"] as Record<string, string>)["A"] = "changed";
  assert.deepEqual(args(1)["env"], { A: "b" });
  const data = { inner: { list: [1] } };
  const echo = new Stage(
    'name: a\non: a.x\nvars: { v: { value: { x: [1] } } }\ndo: [{ event.emit: { type: x.y, data: { e: "${{ event.data }}", v: "${{ vars.v }}" } } }]\n',
  );
  for (let at = 0; at < 2; at++) {
    const [firing] = fired(echo.hear({ type: "a.x", at, data }));
    assert.ok(firing?.plan.ok);
    const given = firing.plan.rungs[0]!.steps[0]!.args["data"] as { e: typeof data; v: { x: number[] } };
    assert.deepEqual(given, { e: { inner: { list: [1] } }, v: { x: [1] } });
    given.e.inner.list.push(2);
    given.v.x.push(2);
  }
});

test("plan makes firings that are marked so, shadow only says so and inhibits nobody, off is not asked", () => {
  const modes = ["plan", "shadow", "off"].map((mode) => `name: ${mode}\non: a.x\nmode: ${mode}\n${emit}`);
  const hurt = ["plan", "shadow"].map((by) => `name: by-${by}\non: b.x\ninhibited_by: [${by}]\n${emit}`);
  const stage = new Stage([...modes, ...hurt].join("\n---\n"));
  const judgement = stage.hear({ type: "a.x", at: 0 });
  assert.deepEqual(told(judgement), ["plan planned", "shadow shadow"]);
  assert.deepEqual(
    fired(judgement).map(({ reactor }) => reactor.name),
    ["plan"],
  );
  assert.deepEqual(told(stage.hear({ type: "b.x", at: 1 })), ["by-plan inhibited", "by-shadow fired"]);
});

test("a periodic event that stops coming fires once, for each key that was seen before", () => {
  const stage = new Stage(`name: lost\non: agent.beat\ncorrelate: { none: {}, within: 30s, by: event.agent }\n${emit}`);
  for (let at = 0; at < 60; at += 20) for (const agent of ["web1", "web2"]) stage.hear({ type: "agent.beat", at, agent });
  assert.deepEqual(fired(stage.hear({ type: "agent.beat", at: 60, agent: "web1" })), []);
  const lost = fired(stage.tick(80));
  assert.deepEqual(
    lost.map(({ key, trigger }) => [key, trigger.event.id]),
    [[["web2"], "e6"]],
  );
  assert.deepEqual(
    fired(stage.tick(1_000)).map(({ key }) => key),
    [["web1"]],
  );
  assert.deepEqual(fired(stage.tick(9_000)), []);
});
