import assert from "node:assert/strict";
import { test } from "node:test";
import { loadReactors, type Reactor } from "../reactor.ts";
import { problemText } from "../yaml-file.ts";

const head = "name: revive\non: service.failed\n";

function load(lines: string): Reactor {
  const loaded = loadReactors("r.yaml", head + lines);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.reactors[0]!;
}

function problems(lines: string): string[] {
  const loaded = loadReactors("r.yaml", head + lines);
  return loaded.ok ? [] : loaded.problems.map(problemText);
}

const steps = "steps: [{ command.run: { argv: [id] } }]";

test("a list of actions is a ladder of one rung that is tried once", () => {
  const { remedy } = load("do:\n  - command.run: { argv: [id] }\n  - event.emit: { type: x.y }\n");
  assert.deepEqual(
    remedy.rungs.map(({ steps: each, attempts, verify }) => [each.map(({ action }) => action), attempts, verify]),
    [[["command.run", "event.emit"], 1, undefined]],
  );
});

test("a rung's retry has defaults, and its times are milliseconds", () => {
  const { remedy, listensFor, priority } = load(`task: { key: event.subject, priority: critical }
do:
  - { ${steps}, retry: {}, timeout: 1m }
  - { ${steps}, retry: { attempts: 5, backoff: 1s, factor: 3, jitter: 0%, max: 1h }, verify: { no_event: { on: [a.b, c.*] }, after: 2s, within: 1m } }
`);
  const [first, second] = remedy.rungs;
  assert.deepEqual(
    [first?.attempts, first?.retry, first?.timeoutMs],
    [3, { backoffMs: 5_000, factor: 2, jitter: 0.2, maxMs: 300_000 }, 60_000],
  );
  assert.deepEqual([second?.attempts, second?.retry], [5, { backoffMs: 1_000, factor: 3, jitter: 0, maxMs: 3_600_000 }]);
  assert.deepEqual(second?.verify, { by: "no_event", on: ["a.b", "c.*"], when: undefined, afterMs: 2_000, withinMs: 60_000 });
  assert.deepEqual([listensFor, priority, remedy.joinBy?.length], [["a.b", "c.*"], "critical", 1]);
});

test("an approval has defaults, and its condition and message keep the events that they read", () => {
  const { remedy, keepsEvents } = load(
    'approve: { from: [ann], if: events.size() > 1, message: "${{ event.agent }}?" }\ndo: [{ event.emit: { type: x.y } }]\n',
  );
  const { when, message, ...rest } = remedy.approval!;
  assert.deepEqual(
    [rest, when?.source, keepsEvents],
    [{ from: ["ann"], timeoutMs: 1_800_000, onTimeout: "escalate" }, "events.size() > 1", true],
  );
  assert.equal(message?.literal, false);
});

test("an approval may ask how many hosts it is for, with targets and without", () => {
  const asked =
    "approve: { if: size(targets) > 10, from: [oncall], timeout: 30m, on_timeout: escalate }\ndo: [{ event.emit: { type: x.y } }]\n";
  for (const lines of [asked, `targets: 'web*'\n${asked}`]) assert.equal(load(lines).remedy.approval?.when?.source, "size(targets) > 10");
});

test("a lock is one expression or several, and is found wrong at load", () => {
  const lockOf = (lock: string) => load(`lock: ${lock}\ndo: [{ event.emit: { type: x.y } }]\n`).remedy.lockBy?.map(({ source }) => source);
  assert.deepEqual(lockOf("event.agent"), ["event.agent"]);
  assert.deepEqual(lockOf(`[event.agent, "'apt'"]`), ["event.agent", "'apt'"]);
  assert.match(problems("lock: []\ndo: [{ event.emit: { type: x.y } }]\n")[0]!, /^r\.yaml:3:7: a lock needs an expression/);
  assert.match(problems("lock: [event.]\ndo: [{ event.emit: { type: x.y } }]\n")[0]!, /^r\.yaml:3:\d+: /);
});

test("a breaker has defaults, and can be off", () => {
  const breaker = (limits: string) => load(`${limits}do: [{ event.emit: { type: x.y } }]\n`).breaker;
  const defaults = { repeats: 3, withinMs: 3_600_000, keys: 3 };
  for (const limits of ["", "limits: {}\n", "limits: { breaker: manual }\n", "limits: { breaker: {} }\n"])
    assert.deepEqual(breaker(limits), defaults);
  assert.deepEqual(breaker("limits: { breaker: { repeats: 5, within: 10m } }\n"), { ...defaults, repeats: 5, withinMs: 600_000 });
  assert.equal(breaker("limits: { breaker: off }\n"), undefined);
});

const bad: [title: string, lines: string, expected: RegExp][] = [
  [
    "an action beside rungs",
    `do:\n  - { ${steps} }\n  - command.run: { argv: [id] }\n`,
    /^r\.yaml:5:5: a rung has no key "command\.run": its actions stand under "steps"$/,
  ],
  [
    "hosts in a condition of `when`",
    `when: size(targets) > 10\ndo: [{ ${steps} }]\n`,
    /^r\.yaml:3:12: in the condition: Unknown variable: targets; it is known in approve only$/m,
  ],
  ["a task that may never begin", `task: { expires: 0s }\ndo: [{ ${steps} }]\n`, /^r\.yaml:3:18: expected a time from 1ms/],
  ["an approval by nobody", `approve: { timeout: 1h }\ndo: [{ ${steps} }]\n`, /^r\.yaml:3:10: .*"from"/],
  [
    "an approval whose condition cannot be read",
    `approve: { from: [ann], if: event.data.users > }\ndo: [{ ${steps} }]\n`,
    /^r\.yaml:3:47: in the condition: /,
  ],
  [
    "an approval whose message tells a secret",
    `vars: { token: { env: TOKEN, secret: true } }\napprove: { from: [ann], message: "use \${{ vars.token }}?" }\ndo: [{ ${steps} }]\n`,
    /^r\.yaml:4:.*the secret "token" may stand in values of do only/m,
  ],
  [
    "an approval that waits for no time",
    `approve: { from: [ann], timeout: 0s }\ndo: [{ ${steps} }]\n`,
    /^r\.yaml:3:34: expected a time from 1ms/,
  ],
  [
    "more tasks for an agent than can be counted",
    `limits: { per_agent: 3/30d }\ndo: [{ ${steps} }]\n`,
    /^r\.yaml:3:22: expected at most 1000 tasks, in a time from 1ms to 7d, got "3\/30d"$/,
  ],
  [
    "a breaker of another word",
    `limits: { breaker: automatic }\ndo: [{ ${steps} }]\n`,
    /^r\.yaml:3:20: .*manual, off, or \{ repeats, within, keys \}/,
  ],
  ["a breaker over no time", `limits: { breaker: { within: 0s } }\ndo: [{ ${steps} }]\n`, /^r\.yaml:3:30: expected a time from 1ms/],
  ["a rung without steps", "do:\n  - timeout: 1m\n", /^r\.yaml:4:5: a rung needs "steps"/],
  [
    "a wrong key of a rung",
    `do:\n  - { ${steps}, rety: { attempts: 3 } }\n`,
    /^r\.yaml:4:49: a rung has no key "rety"; did you mean "retry"\?$/,
  ],
  [
    "an unknown action in a rung",
    "do:\n  - steps: [{ comand.run: { argv: [id] } }]\n",
    /^r\.yaml:4:15: there is no action "comand\.run"; did you mean "command\.run"\?$/,
  ],
  [
    "a wrong argument in undo",
    `do:\n  - { ${steps}, undo: { after: 1h, steps: [{ command.run: { arg: [id] } }] } }\n`,
    /^r\.yaml:4:93: command\.run: unknown key "arg"; did you mean "argv"\?/,
  ],
  [
    "an undo that never comes",
    `do:\n  - { ${steps}, undo: { ${steps} } }\n`,
    /^r\.yaml:4:49: this is never done: say "after: 1h" or "on_failure: true"/,
  ],
  [
    "two verifications",
    `do:\n  - { ${steps}, verify: { event: a.b, no_event: a.c, within: 1s } }\n`,
    /^r\.yaml:4:49: one action, or event, or no_event is needed, there are event and no_event$/,
  ],
  ["no verification", `do:\n  - { ${steps}, verify: { after: 1s } }\n`, /there is none$/],
  ["an event without a time", `do:\n  - { ${steps}, verify: { event: a.b } }\n`, /"event" needs "within"/],
  [
    "an event with a wait before it",
    `do:\n  - { ${steps}, verify: { event: a.b, after: 1s, within: 5s } }\n`,
    /"after" is for an action and for no_event/,
  ],
  ["a wrong action that verifies", `do:\n  - { ${steps}, verify: { command.run: { argv: [] } } }\n`, /command\.run: .*at least 1/],
  [
    "a condition of a verification that is none",
    `do:\n  - { ${steps}, verify: { event: { on: a.b, when: 1 + 1 }, within: 5s } }\n`,
    /a condition must be true or false/,
  ],
  [
    "an event in it that has no name there",
    `do:\n  - { ${steps}, verify: { event: { on: a.b, when: matched.step1.subject == "" }, within: 5s } }\n`,
    /there is no event "step1" here/,
  ],
  ["a jitter that is no part", `do:\n  - { ${steps}, retry: { jitter: 20 } }\n`, /^r\.yaml:4:66: expected a part such as 20%/],
  ["a wait of nothing", `do:\n  - { ${steps}, retry: { backoff: 0s } }\n`, /expected a time from 1ms to 366d, got "0s"/],
  [
    "task outside of otherwise",
    "do:\n  - command.run: { argv: ['${{ task.reason }}'] }\n",
    /^r\.yaml:4:32: .*; it is known in values of otherwise only/,
  ],
  [
    "a wrong argument of otherwise",
    "do: [{ command.run: { argv: [id] } }]\notherwise:\n  - command.run: { argv: '${{ task.reason == \"\" }}' }\n",
    /^r\.yaml:5:26: command\.run: /,
  ],
  [
    "more commands than a task has numbers",
    `do:\n${`  - { steps: [${"{ command.run: { argv: [id] } }, ".repeat(30)}], retry: { attempts: 20 } }\n`.repeat(8)}`,
    /this may come to 9600 commands a task/,
  ],
  [
    "a secret in an event of otherwise",
    "vars: { token: { env: T, secret: true } }\ndo: [{ command.run: { argv: [id] } }]\notherwise: [{ event.emit: { type: x.y, subject: '${{ vars.token }}' } }]\n",
    /a secret may not go into an event/,
  ],
];

for (const [title, lines, expected] of bad) {
  test(`${title} is found at load, with line and column`, () => {
    const sources = { env: () => "12345678" };
    const loaded = loadReactors("r.yaml", head + lines, sources);
    const found = loaded.ok ? [] : loaded.problems.map(problemText);
    assert.ok(
      found.some((problem) => expected.test(problem)),
      found.join("\n") || "nothing was found",
    );
  });
}

test("what is wrong in one rung hides nothing of what is wrong in another", () => {
  const found = problems(`do:\n  - { steps: [{ comand.run: {} }], timeout: never }\n  - { steps: [{ command.rum: {} }] }\n`);
  assert.deepEqual(found.length, 2, found.join("\n"));
  assert.match(found.join("\n"), /timeout|duration/);
  assert.match(found.join("\n"), /command\.rum/);
});
