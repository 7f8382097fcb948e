import assert from "node:assert/strict";
import { test } from "node:test";
import { type Reactor, loadReactors } from "./reactor.ts";
import { secretMark } from "./secret.ts";
import { problemText } from "./yaml-file.ts";

function load(text: string): Reactor[] {
  const loaded = loadReactors("r.yaml", text);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.reactors;
}

function problems(text: string): string[] {
  const loaded = loadReactors("r.yaml", text);
  assert.ok(!loaded.ok);
  return loaded.problems.map(problemText);
}

const good = `name: heal
description: Puts managed files back.
on: file.drifted
when: event.severity != "low"
priority: high
do:
  - file.restore:
      path: \${{ event.subject }}
`;

test("a reactor knows where it stands, what it is for and which version it is", () => {
  const [reactor] = load(good);
  assert.deepEqual(
    { ...reactor, when: reactor!.when?.source, steps: reactor!.remedy.rungs[0]!.steps.map(({ action }) => action) },
    {
      ...reactor,
      name: "heal",
      file: "r.yaml",
      line: 1,
      on: ["file.drifted"],
      priority: "high",
      when: 'event.severity != "low"',
      steps: ["file.restore"],
    },
  );
  assert.ok(reactor!.entries[0]!.matchesType("file.drifted") && !reactor!.entries[0]!.matchesType("file.changed"));
  assert.equal(load(`# a comment\n${good}`)[0]!.version, reactor!.version, "a comment changes nothing");
  assert.notEqual(load(good.replace("high", "low"))[0]!.version, reactor!.version);
});

test("one file may hold several, with defaults filled in", () => {
  const reactors = load(`${good}---\nname: other\non: [cpu.*, "{disk,net}.full"]\ndo: [{event.emit: {type: deploy.wanted}}]\n`);
  assert.deepEqual(
    reactors.map(({ name, priority, line }) => [name, priority, line]),
    [
      ["heal", "high", 1],
      ["other", "normal", 10],
    ],
  );
  assert.ok(reactors[1]!.entries[0]!.matchesType("net.full"));
});

for (const [what, text, expected] of [
  ["an unknown key", good.replace("when:", "whne:"), /^r\.yaml:4:1: unknown key "whne"; did you mean "when"\?$/],
  ["a missing key", good.replace("on: file.drifted\n", ""), /^r\.yaml:1:1: the key "on" is missing$/],
  [
    "an unknown action",
    good.replace("file.restore", "file.restroe"),
    /^r\.yaml:7:5: there is no action "file\.restroe"; did you mean "file\.restore"\?$/,
  ],
  [
    "an action that every object has by birth",
    good.replace("file.restore", "constructor"),
    /^r\.yaml:7:5: there is no action "constructor"/,
  ],
  [
    "an unknown argument",
    good.replace("path: ${{ event.subject }}", "path: /a\n      paht: /b"),
    /^r\.yaml:9:7: file\.restore: unknown key "paht"; did you mean "path"\?$/,
  ],
  [
    "a missing argument",
    good.replace("      path: ${{ event.subject }}\n", "").replace("file.restore:", "file.restore: {}"),
    /^r\.yaml:7:19: file\.restore: the key "path" is missing$/,
  ],
  [
    "an argument of the wrong type",
    good.replace("${{ event.subject }}", "[1]"),
    /^r\.yaml:8:13: file\.restore: expected an absolute path, got a list of 1$/,
  ],
  [
    "a relative path",
    good.replace("${{ event.subject }}", "etc/motd"),
    /^r\.yaml:8:13: file\.restore: expected an absolute path, got "etc\/motd"$/,
  ],
  [
    "an expression of the wrong type",
    good.replace("event.subject }}", "1 + 1 }}"),
    /^r\.yaml:8:13: file\.restore: expected string, this expression gives int$/,
  ],
  ["a CEL error in an argument", good.replace("event.subject }}", "evnt.subject }}"), /^r\.yaml:8:17: .*evnt/],
  ["a CEL error in the condition", good.replace("event.severity", "evnt.severity"), /^r\.yaml:4:7: in the condition: .*evnt/],
  ["a CEL error inside the condition", good.replace('!= "low"', "!= )"), /^r\.yaml:4:25: in the condition: /],
  [
    "a condition that is none",
    good.replace('event.severity != "low"', "1 + 1"),
    /^r\.yaml:4:7: in the condition: a condition must be true or false, this is of type int$/,
  ],
  [
    "a priority that is none",
    good.replace("high", "hihg"),
    /^r\.yaml:5:11: expected one of critical, high, normal, low, got "hihg"; did you mean "high"\?$/,
  ],
  [
    "a name that is none",
    good.replace("heal", "Heal It"),
    /^r\.yaml:1:7: expected a name of lower-case letters, digits, - and _, got "Heal It"$/,
  ],
  [
    "two actions in one step",
    good.replace("file.restore:", "command.run: {argv: [id]}\n    file.restore:"),
    /^r\.yaml:8:5: one action an item, each with a "-" of its own$/,
  ],
  ["no step", good.replace(/do:[^]*/, "do: []\n"), /^r\.yaml:6:5: expected a list of at least 1, got a list of 0$/],
  [
    "an event type that no glob can match",
    good.replace("file.drifted", "FILE!"),
    /^r\.yaml:3:5: expected an event type, a glob such as file\.\*, or a list of them, got "FILE!"$/,
  ],
  [
    "an item of a list that is none",
    good.replace("file.drifted", '[file.drifted, "bad type!"]'),
    /^r\.yaml:3:20: expected an event type or a glob such as file\.\*, got "bad type!"$/,
  ],
  ["a list where a map is meant", "- name: heal\n", /^r\.yaml:1:1: expected object, got a list of 1$/],
  [
    "a reserved event type",
    good.replace(/do:[^]*/, "do:\n  - event.emit: { type: task.resolved }\n"),
    /^r\.yaml:7:25: event\.emit: expected an event type such as deploy\.wanted/,
  ],
] as const) {
  test(`${what} is found at load, with line and column`, () => {
    const found = problems(text);
    assert.equal(found.length, 1, found.join("\n"));
    assert.match(found[0]!, expected);
  });
}

test("every problem of a file is told at once, and none of its reactors runs", () => {
  const found = problems(
    `${good.replace("when:", "whne:")}---\n${good.replace("file.restore", "file.restroe").replace("heal", "two")}---\n${good.replace("heal", "three")}`,
  );
  assert.deepEqual(
    found.map((text) => text.split(" ")[0]),
    ["r.yaml:4:1:", "r.yaml:16:5:"],
  );
});

test("what is no YAML in one reactor hides nothing of what is wrong in another", () => {
  const found = problems(`name: one\nname: two\n---\n${good.replace("when:", "whne:")}`);
  assert.deepEqual(
    found.map((text) => text.split(" ")[0]),
    ["r.yaml:2:1:", "r.yaml:7:1:"],
  );
});

test("a name is used once in a file", () => {
  assert.deepEqual(problems(`${good}---\n${good}`), ['r.yaml:10:7: a second reactor of the name "heal" in this file']);
});

test("a value of which only the data tells the type is taken at load", () => {
  assert.equal(load(good.replace("event.subject", "event.data.anything")).length, 1);
});

test("the whole language compiles to what the engine reads", () => {
  const [count, sequence, none, raise] = load(`name: ssh-bruteforce
owner: security
mode: plan
follow: self
on: login.failed
correlate: { count: 5, within: 1m, by: [event.agent, event.data.address], distinct: event.data.user, consume: false }
flow: { once: 10m, overflow: merge, by: event.agent }
inhibited_by: [quiet, { reactor: other, equal: [event.subject], for: 5m }]
mute_during: [{ cron: "0 2 * * *", for: 2h, zone: Europe/Berlin }]
keys_max: 5
do: [{ command.run: { argv: [block, "\${{ event.data.address }}"] } }]
---
name: restart-failed
correlate:
  sequence: [{ on: unit.stopped, as: begin }, { on: [unit.failed], when: event.subject == matched.begin.subject }]
  within: 30s
do: [{ command.run: { argv: [logger, "\${{ matched.step2.subject }}"] } }]
---
name: silent
on: beat.heard
correlate: { none: {}, within: 5m, by: event.agent }
inhibited_by: { reactors: [a, b], for: 1h }
do: [{ event.emit: { type: host.silent } }]
---
name: disk
on: disk.used
when: event.data.mount == "/"
raise: { when: event.data.percent > 90 }
clear: { when: event.data.percent < 80, on: [disk.used, disk.gone] }
for: 30s
do: [{ event.emit: { type: disk.bad } }]
on_clear: [{ event.emit: { type: disk.good } }]
`);
  const sources = (by: readonly { source: string }[] | undefined) => by?.map(({ source }) => source);
  const { correlation: counted, flow, inhibitedBy } = count!;
  assert.ok(counted?.kind === "count" && flow?.kind === "once");
  assert.deepEqual([counted.count, counted.withinMs, counted.consume, counted.distinct?.source], [5, 60_000, false, "event.data.user"]);
  assert.deepEqual(sources(counted.by), ["event.agent", "event.data.address"]);
  assert.deepEqual([flow.windowMs, flow.overflow, sources(flow.by)], [600_000, "merge", ["event.agent"]]);
  assert.deepEqual(
    inhibitedBy.map(({ reactor, equal, forMs }) => [reactor, sources(equal), forMs]),
    [
      ["quiet", ["event.agent"], 600_000],
      ["other", ["event.subject"], 300_000],
    ],
  );
  assert.deepEqual(
    [count!.mode, count!.followsSelf, count!.owner, count!.keysMax, count!.keepsEvents],
    ["plan", true, "security", 5, false],
  );
  assert.equal(count!.muteDuring.length, 1);
  assert.deepEqual(
    sequence!.entries.map(({ role, on, as }) => [role, on, as]),
    [
      [{ kind: "step", step: 0 }, ["unit.stopped"], "begin"],
      [{ kind: "step", step: 1 }, ["unit.failed"], "step2"],
    ],
  );
  assert.deepEqual([sequence!.on, sequence!.keepsEvents, sequence!.correlation?.by], [["unit.stopped", "unit.failed"], true, []]);
  assert.deepEqual(
    none!.entries.map(({ role, on, as }) => [role.kind, on, as]),
    [
      ["event", ["beat.heard"], "first"],
      ["absent", ["beat.heard"], undefined],
    ],
  );
  assert.deepEqual(
    none!.inhibitedBy.map(({ reactor, forMs }) => [reactor, forMs]),
    [
      ["a", 3_600_000],
      ["b", 3_600_000],
    ],
  );
  assert.ok(raise!.correlation?.kind === "raise");
  assert.equal(raise!.correlation.forMs, 30_000);
  assert.deepEqual(
    raise!.entries.map(({ role, on, when }) => [role.kind, on, when?.source]),
    [
      ["raise", ["disk.used"], "event.data.percent > 90"],
      ["clear", ["disk.used", "disk.gone"], "event.data.percent < 80"],
    ],
  );
  assert.deepEqual([raise!.on, raise!.onClear.length], [["disk.used", "disk.gone"], 1]);
});

test("a problem is an agent's and about its subject, unless by says otherwise", () => {
  const key = (text: string, event: object) => load(text)[0]!.correlation!.by.map((each) => each.evaluate({ event }));
  const raising = "name: r\non: a.b\nraise: {}\nclear: { on: a.c }\ndo: [{ event.emit: { type: x.y } }]\n";
  assert.deepEqual(key(raising, { agent: "web1", subject: "/" }), [
    { ok: true, value: "web1" },
    { ok: true, value: "/" },
  ]);
  assert.deepEqual(key(raising, { agent: "web1" })[1], { ok: true, value: null });
  assert.deepEqual(key(raising.replace("{}", "{ by: event.type }"), { type: "a.b" }), [{ ok: true, value: "a.b" }]);
});

test("variables are values, files and names of the environment; a secret is a mark", () => {
  const asked: [string, string][] = [];
  const loaded = loadReactors(
    "r.yaml",
    `name: r
on: a.b
when: event.data.x in vars.list && vars.file.limit > 1 && vars.env == "prod" && vars.other == 5 && vars.map.a == 1
vars:
  list: [1, 2]
  map: { value: { a: 1 } }
  file: { file: limits.yaml }
  env: { env: STAGE }
  other: { env: NOT_SET, default: 5 }
  token: { env: TOKEN, secret: true }
  key: { file: /run/credentials/key, secret: true }
do:
  - command.run: { argv: [curl, -H, "Bearer \${{ vars.token }}", "\${{ 'x' + vars.key }}"] }
`,
    {
      file: (path) => ({ "limits.yaml": "limit: 5\n", "/run/credentials/key": "k3y\n" })[path],
      env: (name) => ({ STAGE: "prod", TOKEN: "s3cret" })[name],
      mark: (name, value) => `<${asked.push([name, value])}>`,
    },
  );
  assert.ok(loaded.ok, JSON.stringify(loaded));
  assert.deepEqual(loaded.warnings, []);
  const { vars, when } = loaded.reactors[0]!;
  assert.deepEqual(vars, { list: [1, 2], map: { a: 1 }, file: { limit: 5 }, env: "prod", other: 5, token: "<1>", key: "<2>" });
  assert.deepEqual(asked, [
    ["r/token", "s3cret"],
    ["r/key", "k3y"],
  ]);
  assert.deepEqual(when!.evaluate({ event: { data: { x: 1 } }, vars }), { ok: true, value: true });
});

test("without sources nothing is missing: variables are their defaults, and secrets a mark that nothing replaces", () => {
  const [reactor] = load(
    good.replace("priority: high", "vars: { a: { env: A }, b: { env: B, default: 1 }, c: { file: c.yaml }, d: { env: D, secret: true } }"),
  );
  assert.deepEqual(reactor!.vars, { a: null, b: 1, c: null, d: secretMark("heal/d") });
});

test("what a reactor's variables hold is part of its version, and what a secret is is not", () => {
  const version = (env: Record<string, string>) => {
    const text = good.replace("priority: high", "vars: { a: { env: A }, s: { env: S, secret: true } }");
    const loaded = loadReactors("r.yaml", text, { env: (name) => env[name], mark: (_name, value) => `mark of ${value}` });
    assert.ok(loaded.ok);
    return loaded.reactors[0]!.version;
  };
  assert.equal(version({ A: "1", S: "x" }), version({ A: "1", S: "y" }));
  assert.notEqual(version({ A: "1", S: "x" }), version({ A: "2", S: "x" }));
});

test("a reactor keeps its shape while what its state means stays the same", () => {
  const counting = good.replace("priority: high", "correlate: { count: 5, within: 1m, by: event.agent }");
  const shape = (text: string) => load(text)[0]!.shape;
  for (const same of [
    ["heal", "other"],
    ["file.drifted", "file.*"],
    ['"low"', '"high"'],
    ["event.subject", '"/x"'],
    ["count", "count"],
  ])
    assert.equal(shape(counting.replace(same[0]!, same[1]!)), shape(counting), same[0]);
  for (const other of [
    ["1m", "2m"],
    ["event.agent", "event.type"],
    ["count: 5", "count: 6"],
    ["event.subject", "events[0].subject"],
  ])
    assert.notEqual(shape(counting.replace(other[0]!, other[1]!)), shape(counting), other[0]);
});

const tail = "do: [{ event.emit: { type: x.y } }]\n";
for (const [middle, ...expected] of [
  ["correlate: { count: 5 }\n", '3:1: "count" needs "within": the time in which the events belong together, such as within: 1m'],
  ["correlate: {}\n", "3:1: one of count, all, any, sequence, none is needed, there is none"],
  [
    "correlate: { count: 5, all: [{}, {}], within: 1m }\n",
    "3:1: one of count, all, any, sequence, none is needed, there are count and all",
  ],
  [
    "correlate: { any: [{}, {}], within: 1m, distinct: event.type }\n",
    "3:29: any fires on each event by itself: it takes no time",
    '3:41: "distinct" is for "count"',
  ],
  [
    "correlate: { all: [{ as: a }, { as: a }], within: 0s }\n",
    '3:37: a second step of the name "a"',
    '3:51: expected a time from 1ms to 366d, got "0s"',
  ],
  [
    "correlate: { all: [{ as: a b }, {}], within: 60 }\n",
    '3:26: expected a name of letters, digits and _, got "a b"',
    "3:46: expected a duration such as 30s, got 60",
  ],
  [
    "correlate: { sequence: [{ as: a, when: matched.b.x == 1 }, { when: matched.step9.x == 1 }], within: 1m }\n",
    '3:40: there is no event "b": no step comes before this',
    '3:68: there is no event "step9" here (known: a)',
  ],
  [
    "correlate: { none: { when: matched.frist.x == evnt.x }, within: 1m, by: [event.agent, evnt.x] }\n",
    '3:47: in the condition: Unknown variable: evnt; did you mean "event"?',
    '3:87: Unknown variable: evnt; did you mean "event"?',
  ],
  ["raise: {}\nclear: {}\ncorrelate: { count: 5, within: 1m }\n", "5:1: correlate and raise are two ways to fire: make two reactors of it"],
  [
    "clear: {}\nfor: 1m\non_clear: [{ event.emit: { type: a.b } }]\n",
    '3:1: "clear" is for a reactor with "raise"',
    '4:1: "for" is for a reactor with "raise"',
    '5:1: "on_clear" is for a reactor with "raise"',
  ],
  ["raise: {}\non_clear: [{ event.emit: { type: a.b } }]\n", '4:1: "on_clear" needs "clear": nothing would ever clear the problem'],
  ["flow: {}\n", "3:1: one of once, debounce, collect, rate is needed, there is none"],
  ["flow: { once: 1m, collect: 1m }\n", "3:1: one of once, debounce, collect, rate is needed, there are once and collect"],
  ["flow: { debounce: 1m, overflow: drop }\n", '3:23: "overflow" is for once and rate: debounce leaves nothing over'],
  ["flow: { rate: 0/1m }\n", '3:15: expected so many in a time, such as 10/1h, got "0/1m"'],
  ["flow: { rate: 99999/1m }\n", '3:15: expected at most 10000 in a time, got "99999/1m"'],
  ["inhibited_by: r\n", '3:15: expected a list of names, or { reactors, equal, for }, got "r"'],
  ["inhibited_by: [r]\n", "3:16: a reactor cannot inhibit itself; to fire less often, use flow"],
  [
    "inhibited_by: { reactors: [a, r], equal: [evnt] }\n",
    "3:31: a reactor cannot inhibit itself; to fire less often, use flow",
    '3:43: Unknown variable: evnt; did you mean "event"?',
    '3:43: Unknown variable: evnt; did you mean "event"?',
  ],
  ["mute_during: [{ cron: 61 2 * * *, for: 1h }]\n", '3:23: "61 2 * * *" is no cron expression: Invalid value for minute: 61'],
  ["mute_during: [{ cron: 0 0 30 2 *, for: 1h }]\n", '3:23: "0 0 30 2 *" is never due'],
  [
    "only_during: [{ cron: 0 2 * *, for: 0h }]\n",
    '3:23: expected minute hour day month weekday, such as 0 2 * * *, got "0 2 * *"',
    '3:37: expected a time from 1ms to 366d, got "0h"',
  ],
  [
    "only_during: [{ cron: 0 2 * * *, for: 1h, zone: Europe/Berln }]\n",
    '3:49: there is no time zone "Europe/Berln"; did you mean "Europe/Berlin"?',
  ],
  ["mode: lvie\n", '3:7: expected one of live, plan, shadow, off, got "lvie"; did you mean "live"?'],
  ["when: matched.a.x == count\n", "3:7: in the condition: Unknown variable: matched; it is known in later steps and in values of do only"],
  ["vars: { limit: 1 }\nwhen: vars.limt > 1\n", '4:7: there is no variable "limt" under vars; did you mean "limit"?'],
  [
    "vars: { s: { env: S, secret: true } }\nwhen: vars.s == 'a' || size(vars) > 1\n",
    '4:7: the secret "s" may stand in values of do only: a condition would tell what it is',
    "4:29: name the variable, as in vars.NAME: there are secrets among them",
  ],
  [
    "vars: { 1x: 2, __proto__: 3, a: { b: 1 }, c: { file: x, env: y }, d: { value: 1, secret: true }, e: { file: ../x }, f: { file: /x } }\n",
    '3:9: expected a name of letters, digits and _, got "1x"',
    '3:16: expected a name of letters, digits and _, got "__proto__"',
    '3:35: unknown key "b" (known: value, file, env, default, secret)',
    "3:43: one of value, file, env is needed, there are file and env",
    '3:54: there is no file "x" beside this one, or it cannot be read',
    "3:82: a secret is never written into a reactor: name a file or a variable of the environment",
    '3:109: expected a path below the folder of this file, got "../x"',
    '3:128: expected a path below the folder of this file, got "/x"',
  ],
  [
    "vars: { a: { env: A }, b: { file: b.yaml }, c: { file: bad.yaml }, d: { env: EMPTY, secret: true } }\n",
    '3:19: "A" is not set in the master\'s environment, and there is no "default"',
    '3:35: there is no file "b.yaml" beside this one, or it cannot be read',
    '3:56: "bad.yaml" cannot be read as YAML: line 1, column 5: Missing closing "quote',
    "3:71: the secret is empty",
  ],
] as const) {
  test(`told, with its place: ${JSON.stringify(middle)}`, () => {
    const sources = {
      file: (path: string) => (path === "bad.yaml" ? 'a: "' : undefined),
      env: (name: string) => ({ EMPTY: "", S: "s3cret" })[name],
    };
    const loaded = loadReactors("r.yaml", `name: r\non: a.b\n${middle}${tail}`, sources);
    assert.ok(!loaded.ok);
    assert.deepEqual(
      loaded.problems.map(problemText),
      expected.map((text) => `r.yaml:${text}`),
    );
  });
}

test("a step that no event can take is told", () => {
  assert.deepEqual(problems(`name: r\ncorrelate: { all: [{ on: a.b }, {}], within: 1m }\n${tail}`), [
    'r.yaml:2:33: the key "on" is missing here, or at the reactor',
  ]);
});

test("values are held against the action's schema at any depth, as far as they are known", () => {
  const found = problems(`name: r
on: a.b
vars: { n: 5, rel: a/b, list: [1], s: { env: S, secret: true } }
do:
  - command.run: { argv: [a, "\${{ 1 }}"], env: { A: "\${{ vars.n }}", B: "\${{ [1] }}" }, shell: "a \${{ 1 }}" }
  - file.restore: { path: "\${{ vars.rel }}" }
  - command.run: { argv: "\${{ [1, 2] }}" }
  - command.run: { argv: "\${{ vars.list }}" }
  - command.run: { argv: [a], timeout: "\${{ event.data.x ? 1 : 2 }}" }
  - command.run: { argv: [a, "\${{ size(vars.s) }}"] }
  - event.emit: { type: a.b, data: { x: [{ y: "\${{ vars.s }}" }] } }
  - command.run: { argv: ["\${{ matched.x.y }}", "\${{ vars.nn }}"] }
`);
  assert.deepEqual(found, [
    "r.yaml:5:30: command.run: expected string, this expression gives int",
    "r.yaml:5:53: command.run: expected string, got 5",
    "r.yaml:5:73: command.run: expected string, this expression gives list",
    "r.yaml:5:96: command.run: expected boolean, this expression gives string",
    'r.yaml:6:27: file.restore: expected an absolute path, got "a/b"',
    "r.yaml:7:26: command.run: expected a list of string, this expression gives list<int>",
    "r.yaml:8:26: command.run: expected string, got 1",
    "r.yaml:9:40: command.run: expected string, this expression gives int",
    "r.yaml:10:30: command.run: expected string, this expression gives int",
    'r.yaml:10:40: the secret "s" can only be handed on as it is or joined to a text: its value is not known before it is sent',
    "r.yaml:11:52: a secret may not go into an event: everybody who sees history would see it",
    'r.yaml:12:32: there is no event "x": no step comes before this',
    'r.yaml:12:54: there is no variable "nn" under vars; did you mean "n"?',
  ]);
});

test("what does not fit the schema hides nothing else that is wrong", () => {
  const found = problems(`name: Bad
mode: lvie
on: a.b
when: evnt.x
correlate: { count: 5, within: 60, by: [evnt.agent], wihtin: 1m }
flow: { once: 1m, rate: 1/1m }
mute_during: [{ cron: 0 2 * * *, for: 2h, zone: Nowhere }]
do: [{ event.emt: { type: a.b } }, 5, { command.run: { argv: ["\${{ vras.x }}"] } }]
`);
  assert.deepEqual(
    found.map((text) => /:(\d+:\d+):/.exec(text)![1]),
    ["1:7", "2:7", "4:7", "5:32", "5:41", "5:54", "6:1", "7:49", "8:8", "8:36", "8:68"],
    found.join("\n"),
  );
});

test("every key that is missing is told", () => {
  assert.deepEqual(problems("description: x\n"), [
    'r.yaml:1:1: the key "name" is missing',
    'r.yaml:1:1: the key "do" is missing',
    'r.yaml:1:1: the key "on" is missing',
  ]);
});

test("what is hardly meant is a warning, and the file is taken", () => {
  const loaded = loadReactors("r.yaml", `name: r\non: a.b\nraise: {}\nvars: { a: 1 }\n${tail}`);
  assert.ok(loaded.ok);
  assert.deepEqual(loaded.warnings.map(problemText), [
    'r.yaml:3:1: without "clear" it fires once for each key, and never again',
    'r.yaml:4:9: the variable "a" is not used',
  ]);
});
