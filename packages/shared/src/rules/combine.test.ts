import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { loadReactors } from "../reactor.ts";
import { plainRoute } from "../router.ts";
import { problemText } from "../yaml-file.ts";
import { Aside } from "./aside.ts";
import { ReactorIndex } from "./reactor-index.ts";
import { Rules } from "./rules.ts";
import { combiningRowsMax, type Decision, type Firing, type Judgement, type Seen, type StateRow, type World } from "./types.ts";

const restore = 'do: [{ file.restore: { path: "${{ event.subject }}" } }]';
const drift = (lines: string, what = restore) => `name: drift\non: file.drifted\n${lines}\n${what}\n`;

function indexOf(yaml: string): ReactorIndex {
  const loaded = loadReactors("r.yaml", yaml);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return new ReactorIndex(loaded.reactors);
}

/** An engine on a timeline, in ms from its start. */
class Stage {
  rules: Rules;
  readonly #world: World;
  #events = 0;

  constructor(yaml: string, world: Partial<World> = {}) {
    this.#world = { agentView: (id) => ({ id, labels: {}, facts: {} }), route: plainRoute, silence: () => undefined, ...world };
    this.rules = new Rules(indexOf(yaml), this.#world);
  }

  hear(at: number, agent: string, subject = "/etc/a", given: Partial<Seen["event"]> = {}, ancestry: string[] = []): Judgement {
    const id = `${agent}:1:${++this.#events}`;
    const base = { position: this.#events, id, type: "file.drifted", source: "", time: at, severity: "normal" as const, data: {} };
    const event = { ...base, agent, subject, received: at + 1_000, ...given };
    return this.rules.hear({ event, agent, ancestry, root: ancestry.length > 0 ? "db1:1:1" : id });
  }

  tick(at: number): Judgement {
    return this.rules.tick(at + 1_000);
  }

  /** Another engine on what this one has handed over. */
  restart(yaml: string): void {
    const rows = this.rules.takeDirty();
    this.rules = new Rules(indexOf(yaml), this.#world);
    this.rules.load(JSON.parse(JSON.stringify(rows)) as StateRow[]);
  }
}

const said = ({ decisions }: Judgement) => decisions.map(({ reason }) => reason);
const fired = ({ decisions }: Pick<Judgement, "decisions">) => decisions.flatMap(({ firing }) => firing ?? []);
const hostsOf = ({ members, trigger }: Firing) => members?.map((member) => member.trigger.agent) ?? [trigger.agent];
/** Of one moment, by their first hosts. */
const groups = (judgement: Pick<Judgement, "decisions">) =>
  fired(judgement)
    .map(hostsOf)
    .toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1));

test("firings of several hosts that would do the same wait, and go together when the time of the first is over", () => {
  const stage = new Stage(drift("combine: 2s"));
  assert.deepEqual(said(stage.hear(0, "web1")), ["combining"]);
  const { decisions } = stage.hear(1_500, "web2");
  assert.equal(
    decisions[0]!.detail,
    "2 hosts since 1970-01-01T00:00:01.000Z; what would do the same goes together at 1970-01-01T00:00:03.000Z",
  );
  assert.equal(decisions[0]!.until, 3_000);
  assert.deepEqual(said(stage.tick(1_999)), []);
  const judgement = stage.tick(2_000);
  assert.deepEqual([said(judgement), groups(judgement)], [["fired"], [["web1", "web2"]]]);
  const [firing] = fired(judgement);
  assert.deepEqual([firing!.events, firing!.count], [["web1:1:1", "web2:1:2"], 2]);
  assert.equal(judgement.decisions[0]!.detail, "2 hosts: web1, web2");
  assert.deepEqual(groups(stage.tick(10_000)), []);
});

/** Two of them would do the same. */
function hearThree(stage: Stage): void {
  stage.hear(0, "web1", "/etc/a");
  stage.hear(0, "web2", "/etc/b");
  stage.hear(0, "web3", "/etc/a");
}

test("other arguments are another group; one host alone fires as ever, when its time is over", () => {
  const stage = new Stage(drift("combine: 2s"));
  hearThree(stage);
  const judgement = stage.tick(2_000);
  assert.deepEqual(groups(judgement), [["web1", "web3"], ["web2"]]);
  const alone = fired(judgement).find(({ trigger }) => trigger.agent === "web2");
  assert.equal(alone!.members, undefined);
});

test("all that would be done is compared: a later rung, a verification, an undo, whom it asks and what it calls for", () => {
  const steps = "steps: [{ service.restart: { name: nginx } }]";
  const own = '"${{ event.subject }}"';
  const ways = [
    `do:\n  - { ${steps} }\n  - steps: [{ command.run: { argv: [fix, ${own}] } }]`,
    `do:\n  - { ${steps}, verify: { command.run: { argv: [test, ${own}] } } }`,
    `do:\n  - { ${steps}, undo: { after: 1h, steps: [{ command.run: { argv: [fix, ${own}] } }] } }`,
    `do:\n  - { ${steps} }\notherwise: [{ event.emit: { type: x.y, subject: ${own} } }]`,
    `do:\n  - { ${steps} }\notherwise: [{ event.emit: { type: x.y, data: { why: "\${{ task.reason }}", of: ${own} } } }]`,
    `do:\n  - { ${steps} }\napprove: { from: [ann], message: ${own} }`,
    `do:\n  - { ${steps} }\napprove: { from: [ann], if: event.subject == "/etc/b" }`,
  ];
  for (const way of ways) {
    const stage = new Stage(drift("combine: 2s", way));
    hearThree(stage);
    assert.deepEqual(groups(stage.tick(2_000)), [["web1", "web3"], ["web2"]], way);
  }
});

test("who it is for is not compared: the host, its lock, its key, the event that its verification looks back on", () => {
  const lines = "combine: 2s\nlock: event.agent\ntask: { key: [event.agent, event.subject] }";
  const verify = "verify: { no_event: { on: file.drifted, when: event.subject == matched.trigger.subject }, within: 1m }";
  const otherwise = 'otherwise: [{ event.emit: { type: x.y, subject: "${{ event.subject }}", data: { tried: "${{ task.history }}" } } }]';
  const stage = new Stage(
    drift(lines, `do:\n  - steps: [{ file.restore: { path: "\${{ event.subject }}" } }]\n    ${verify}\n${otherwise}`),
  );
  for (const agent of ["web1", "web2"]) stage.hear(0, agent);
  const judgement = stage.tick(2_000);
  assert.deepEqual(groups(judgement), [["web1", "web2"]]);
  const keys = fired(judgement)[0]!.members!.map(({ plan }) => (plan.ok ? [plan.lock, plan.joinKey] : []));
  assert.deepEqual(keys, [
    [["web1"], ["web1", "/etc/a"]],
    [["web2"], ["web2", "/etc/a"]],
  ]);
});

test("a host that fires twice goes once, with both events", () => {
  const stage = new Stage(drift("combine: 2s"));
  stage.hear(0, "web1");
  stage.hear(0, "web2");
  const { decisions } = stage.hear(1_000, "web1");
  assert.deepEqual(
    [decisions[0]!.reason, decisions[0]!.detail],
    ["joined", "web1:1:1 of this host waits for others that would do the same"],
  );
  const [firing] = fired(stage.tick(2_000));
  assert.deepEqual(hostsOf(firing!), ["web1", "web2"]);
  assert.deepEqual([firing!.members![0]!.events, firing!.count], [["web1:1:1", "web1:1:3"], 3]);
});

test("what cannot be worked out is like nothing else: it fires at once, alone", () => {
  const stage = new Stage(drift("combine: 2s", 'do: [{ file.restore: { path: "${{ event.data.path }}" } }]'));
  for (const agent of ["web1", "web2"]) assert.deepEqual(groups(stage.hear(0, agent)), [[agent]]);
});

test("what begins to hold a host back while it waits does, and the others go", () => {
  const silence = (_reactor: string, agent: string, now: number) =>
    agent === "web2" && now >= 2_000 ? { id: "s-1", until: 9_000, why: "new disk" } : undefined;
  const stage = new Stage(drift("combine: 2s"), { silence });
  for (const agent of ["web1", "web2", "web3"]) stage.hear(0, agent);
  const judgement = stage.tick(2_000);
  assert.deepEqual([said(judgement), groups(judgement)], [["silenced", "fired"], [["web1", "web3"]]]);
});

test("values are those of when it fires: hosts that would not do the same any more go apart", () => {
  let size = 1;
  const agentView = (id: string) => ({ id, labels: {}, facts: { size: id === "web2" ? size : 1 } });
  const stage = new Stage(drift("combine: 2s", 'do: [{ command.run: { argv: [fix, "size ${{ agent.facts.size }}"] } }]'), { agentView });
  for (const agent of ["web1", "web2", "web3"]) stage.hear(0, agent);
  size = 2;
  assert.deepEqual(groups(stage.tick(2_000)), [["web1", "web3"], ["web2"]]);
});

test("P7: what led to one of them has led to all of them together", () => {
  const stage = new Stage(drift("combine: 2s"));
  stage.hear(0, "web1", "/etc/a", {}, ["deploy"]);
  stage.hear(0, "web2", "/etc/a", {}, ["update"]);
  const [firing] = fired(stage.tick(2_000));
  assert.deepEqual(firing!.ancestry, ["deploy", "update"]);
  assert.deepEqual(
    firing!.members!.map(({ ancestry }) => ancestry),
    [["deploy"], ["update"]],
  );
});

test("the most urgent of them says how urgent they are together", () => {
  const stage = new Stage(drift("combine: 2s"));
  stage.hear(0, "web1");
  stage.hear(0, "web2", "/etc/a", { severity: "critical" });
  assert.equal(fired(stage.tick(2_000))[0]!.priority, "critical");
});

test("in shadow each event is told of, and in mode plan the hosts are there to be seen", () => {
  const shadow = new Stage(drift("combine: 2s\nmode: shadow"));
  for (const agent of ["web1", "web2"]) assert.deepEqual(said(shadow.hear(0, agent)), ["combining"]);
  const told = shadow.tick(2_000).decisions.map(({ event, reason, detail }) => [event, reason, detail]);
  assert.deepEqual(told, [
    ["web1:1:1", "shadow", "2 hosts: web1, web2"],
    ["web2:1:2", "shadow", "2 hosts: web1, web2"],
  ]);
  const plan = new Stage(drift("combine: 2s\nmode: plan"));
  for (const agent of ["web1", "web2"]) plan.hear(0, agent);
  assert.deepEqual([said(plan.tick(2_000))], [["planned"]]);
});

test("a problem that is over before it was done for is not told of its end; the others' ends are", () => {
  const clears = "raise: { when: event.data.bad }\nclear: { when: '!event.data.bad' }\non_clear: [{ event.emit: { type: x.over } }]";
  const stage = new Stage(drift(`combine: 2s\n${clears}`));
  const event = (at: number, agent: string, bad: boolean) => stage.hear(at, agent, "/etc/a", { data: { bad } });
  for (const agent of ["web1", "web2"]) event(0, agent, true);
  assert.deepEqual(said(event(1_000, "web1", false)), ["cleared"]);
  assert.deepEqual(groups(stage.tick(2_000)), [["web1", "web2"]]);
  assert.equal(fired(event(3_000, "web2", false))[0]!.branch, "on_clear");
});

test("what waits outlives a restart, a reload, and that the reactor combines no more", () => {
  const stage = new Stage(drift("combine: 2s"));
  for (const agent of ["web1", "web2"]) stage.hear(0, agent);
  stage.restart(drift("combine: 5s"));
  stage.rules.setReactors(indexOf(drift("combine: 9s")));
  assert.deepEqual(groups(stage.tick(2_000)), [["web1", "web2"]]);
  for (const agent of ["web1", "web2"]) stage.hear(3_000, agent);
  stage.rules.setReactors(indexOf(drift("")));
  assert.deepEqual(groups(stage.tick(12_000)), [["web1"], ["web2"]]);
});

test("P4: when too many wait the oldest group goes before its time, and says so; keys_max lets go of none", () => {
  const stage = new Stage(drift("combine: 1m\nkeys_max: 1"));
  const decisions: Decision[] = [];
  for (let host = 0; host < combiningRowsMax; host++)
    decisions.push(...stage.hear(host, `h${host}`, host % 2 === 0 ? "/a" : "/b").decisions);
  const early = decisions.filter(({ firing }) => firing !== undefined);
  assert.equal(early.length, 1);
  assert.match(early[0]!.detail, /; before its time, since too many wait$/);
  const hosts = [...groups({ decisions: early }), ...groups(stage.tick(120_000))].flat();
  assert.equal(new Set(hosts).size, combiningRowsMax);
  assert.equal(hosts.length, combiningRowsMax);
});

test("a group that cannot be judged is set aside with all that waits in it, and that is told", () => {
  const aside = new Aside();
  const world: World = { agentView: (id) => ({ id, labels: {}, facts: {} }), route: plainRoute, silence: () => undefined };
  const stage = new Stage(drift("combine: 2s"));
  for (const agent of ["web1", "web2"]) stage.hear(0, agent);
  const rows = stage.rules.takeDirty();
  const index = indexOf(drift("combine: 2s"));
  const rules = new Rules(index, world, { aside });
  rules.load(rows);
  aside.add(index.reactors[0]!, rows.find(({ due }) => due !== undefined)!.key, "it throws");
  const { decisions, notices } = rules.tick(10_000);
  assert.deepEqual([decisions, notices.map(({ kind }) => kind)], [[], ["set-aside"]]);
  const gone = rules.takeDirty().filter(({ key }) => key.startsWith("g"));
  assert.deepEqual([gone.length, gone.filter(({ body }) => body !== undefined)], [3, []]);
});

const collecting = (what: string, lines = "") => drift(`flow: { collect: 1m }\n${lines}`, what);

test("what was collected of several hosts is done on each of them, and its steps see all of it", () => {
  const stage = new Stage(collecting('do: [{ command.run: { argv: [tidy, "${{ count }} drifts", "${{ events[0].agent }}"] } }]'));
  for (const [at, agent] of ["web1", "web2", "web1"].entries()) assert.deepEqual(said(stage.hear(at, agent)), ["collecting"]);
  stage.restart(collecting('do: [{ command.run: { argv: [tidy, "${{ count }} drifts", "${{ events[0].agent }}"] } }]'));
  const judgement = stage.tick(60_000);
  assert.deepEqual(groups(judgement), [["web2", "web1"]]);
  const [firing] = fired(judgement);
  assert.deepEqual([firing!.count, firing!.events.length], [3, 3]);
  const argv = firing!.members!.map(({ plan, trigger }) => [trigger.event.id, plan.ok && plan.rungs[0]!.steps[0]!.args["argv"]]);
  assert.deepEqual(argv, [
    ["web2:1:2", ["tidy", "3 drifts", "web1"]],
    ["web1:1:3", ["tidy", "3 drifts", "web1"]],
  ]);
});

test("of what was collected each host does what its own newest event says", () => {
  const stage = new Stage(collecting(restore));
  hearThree(stage);
  assert.deepEqual(groups(stage.tick(60_000)), [["web1", "web3"], ["web2"]]);
});

test("what was collected for a step of the master's is one firing, as ever, whatever the hosts", () => {
  const stage = new Stage(collecting("do: [{ event.emit: { type: x.y } }]"));
  for (const agent of ["web1", "web2"]) stage.hear(0, agent);
  assert.deepEqual(groups(stage.tick(60_000)), [["web2"]]);
});

test("P4: keys that are forgotten take the hosts along that were collected for them", () => {
  const stage = new Stage(collecting(restore, "keys_max: 1").replace("collect: 1m", "collect: 1m, by: event.subject"));
  for (const path of ["/etc/a", "/etc/b"]) for (const agent of ["web1", "web2"]) stage.hear(0, agent, path);
  assert.deepEqual(groups(stage.tick(60_000)), [["web1", "web2"]]);
  assert.deepEqual(groups(stage.tick(120_000)), []);
});

const bad: [title: string, lines: string, expected: RegExp][] = [
  ["no time", "combine: never", /3:10: expected a duration such as 30s/],
  ["no time at all", "combine: 0s", /3:10: expected a time from 1ms/],
  ["with targets", "combine: 2s\ntargets: 'web*'", /3:1: "combine" is for a reactor without "targets"/],
  ["with collect", "flow: { collect: 1m }\ncombine: 2s", /4:1: "combine" beside "collect"/],
];
for (const [title, lines, expected] of bad) {
  test(`combine is refused, with its place: ${title}`, () => {
    const loaded = loadReactors("r.yaml", drift(lines));
    assert.match(loaded.ok ? "" : loaded.problems.map(problemText).join("\n"), expected);
  });
}

test("combine is refused where no step runs on a host, and gives a rollout its limits", () => {
  const emits = loadReactors("r.yaml", drift("combine: 2s", "do: [{ event.emit: { type: x.y } }]"));
  assert.match(emits.ok ? "" : problemText(emits.problems[0]!), /3:1: "combine" is for steps that run on hosts/);
  for (const lines of ["combine: 2s", "flow: { collect: 1m }"]) {
    const loaded = loadReactors("r.yaml", drift(`${lines}\nlimits: { concurrent: 10%, per_agent: 3/1h }`));
    assert.ok(loaded.ok, JSON.stringify(loaded));
    assert.deepEqual(loaded.reactors[0]!.combining!.limits.concurrent, { percent: 10 });
  }
});

/** What came, or a crash: what was judged since the last commit is judged again then. */
type Step = { kind: "event"; after: number; agent: string; path: string } | { kind: "crash" } | { kind: "commit" };

const anySteps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("event" as const),
        after: fc.integer({ min: 0, max: 1_500 }),
        agent: fc.constantFrom("h1", "h2", "h3", "h4", "h5"),
        path: fc.constantFrom("/a", "/b", "/c"),
      }),
    },
    { weight: 2, arbitrary: fc.constantFrom({ kind: "crash" as const }, { kind: "commit" as const }) },
  ),
  { maxLength: 40 },
);
const windowMs = 2_000;

test("P2: every firing ends in exactly one task or host of a rollout, with the same arguments, and in time, whenever it crashes", () => {
  let combined = 0;
  fc.assert(
    fc.property(anySteps, (steps) => {
      const index = indexOf(drift(`combine: ${windowMs}ms`));
      const world: World = { agentView: (id) => ({ id, labels: {}, facts: {} }), route: plainRoute, silence: () => undefined };
      let rules = new Rules(index, world);
      const events: Seen[] = [];
      const store = new Map<string, StateRow>();
      let committed = { events: 0, decisions: 0 };
      const decisions: Decision[] = [];
      const hear = (seen: Seen) => decisions.push(...rules.hear(seen).decisions);
      const commit = () => {
        for (const row of rules.takeDirty()) {
          if (row.body === undefined) store.delete(`${row.reactor} ${row.key}`);
          else store.set(`${row.reactor} ${row.key}`, JSON.parse(JSON.stringify(row)) as StateRow);
        }
        committed = { events: events.length, decisions: decisions.length };
      };
      let now = 1_000;
      for (const step of steps) {
        if (step.kind === "commit") commit();
        else if (step.kind === "crash") {
          rules = new Rules(index, world);
          rules.load(store.values());
          decisions.length = committed.decisions;
          for (const seen of events.slice(committed.events)) hear(seen);
        } else {
          now += step.after;
          const { agent, path: subject } = step;
          const id = `${agent}:1:${events.length + 1}`;
          const position = events.length + 1;
          const base = { position, id, type: "file.drifted", source: "", agent, subject, time: now, received: now, data: {} };
          events.push({ event: { ...base, severity: "normal" }, agent, ancestry: [], root: id });
          hear(events.at(-1)!);
        }
      }
      decisions.push(...rules.tick(now + windowMs).decisions);
      const firings = fired({ decisions });
      const ended = firings.flatMap((firing) => firing.members ?? [firing]);
      // Each event is in one firing: as its trigger, or as one that joined that of its host.
      assert.deepEqual(ended.flatMap((each) => each.events).toSorted(), events.map(({ event }) => event.id).toSorted());
      assert.equal(new Set(ended.map(({ trigger }) => trigger.event.id)).size, ended.length);
      for (const { members = [], events: all } of firings) {
        if (members.length > 0) combined++;
        assert.notEqual(members.length, 1, "a group of one host");
        assert.equal(new Set(members.map(({ trigger }) => trigger.agent)).size, members.length, "a host twice");
        assert.ok(new Set(members.map(({ plan }) => JSON.stringify(plan.ok && plan.rungs))).size <= 1, "other arguments");
        const count = members.reduce((sum, member) => sum + member.events.length, 0);
        if (members.length > 0) assert.equal(all.length, count);
      }
      for (const { firing, at } of decisions) {
        for (const { trigger } of firing === undefined ? [] : (firing.members ?? [firing]))
          assert.ok(at - trigger.event.received <= windowMs, "it waited too long");
      }
      const opened = decisions.filter(({ reason }) => reason === "fired").length;
      assert.ok(events.length === 0 || opened > 0);
    }),
    { numRuns: 400 },
  );
  assert.ok(combined > 200, `only ${combined} were combined`);
});
