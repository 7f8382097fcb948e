import assert from "node:assert/strict";
import { test } from "node:test";
import { type Reactor, loadReactors } from "./reactor.ts";
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
    { ...reactor, when: reactor!.when?.source, steps: reactor!.steps.map(({ action }) => action) },
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
    /^r\.yaml:7:5: must NOT have more than 1 (properties|items)/,
  ],
  ["no step", good.replace(/do:[^]*/, "do: []\n"), /^r\.yaml:6:5: must NOT have fewer than 1 items/],
  [
    "an event type that no glob can match",
    good.replace("file.drifted", "FILE!"),
    /^r\.yaml:3:5: expected an event type, a glob such as file\.\*, or a list of them, got "FILE!"$/,
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

test("a name is used once in a file", () => {
  assert.deepEqual(problems(`${good}---\n${good}`), ['r.yaml:10:7: a second reactor of the name "heal" in this file']);
});

test("a value of which only the data tells the type is taken at load", () => {
  assert.equal(load(good.replace("event.subject", "event.data.anything")).length, 1);
});
