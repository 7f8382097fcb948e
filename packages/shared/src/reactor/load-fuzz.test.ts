import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { loadReactors } from "../reactor.ts";
import { loadRouter } from "../router.ts";
import type { Problem } from "../yaml-file.ts";

const good = `name: ssh-bruteforce
description: Block an address that fails to log in.
owner: security
mode: live
priority: high
on: [login.failed, "auth.*"]
when: event.data.user != "backup" && agent.labels.role == vars.role
correlate:
  sequence:
    - { on: login.failed, as: begin }
    - when: |
        event.data.address == matched.begin.data.address &&
          event.severity != "low"
      as: second
  within: 1m
  by: [event.agent, event.data.address]
flow: { rate: 10/1h, overflow: merge, by: event.agent }
inhibited_by: [quiet, { reactor: other, equal: [event.subject], for: 5m }]
mute_during: [{ cron: "0 2 * * *", for: 2h, zone: Europe/Berlin }]
vars: { role: web, list: [1, 2], map: { value: { a: 1 } }, token: { env: TOKEN, secret: true }, limits: { file: limits.yaml } }
do:
  - command.run: { argv: [block, "\${{ event.data.address }}", "Bearer \${{ vars.token }}"], timeout: 10s }
  - event.emit: { type: address.blocked, data: { count: "\${{ count }}", ids: "\${{ events.map(e, e.id) }}" } }
---
name: disk
on: disk.used
raise: { when: event.data.percent > 90, by: event.agent }
clear: { when: event.data.percent < 80 }
for: 30s
do: [{ event.emit: { type: disk.bad } }]
on_clear: [{ event.emit: { type: disk.good } }]
`;
const goodRouter = `rules:
  - { name: shop, when: event.data.service == "shop", impact: high, urgency: medium, owner: shop, labels: { team: a } }
  - { priority: low }
`;

/** What YAML, CEL and our grammar are made of. */
const piece = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...good.split(/(\s+|[{}[\]:,])/).filter((each) => each !== "")) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "\n",
      "\n  ",
      "- ",
      ": ",
      "{",
      "}",
      "[",
      "]",
      "|",
      ">-",
      '"',
      "'",
      "#",
      "&a",
      "*a",
      "!!str ",
      "? ",
      "---\n",
      "${{",
      "}}",
      "~",
      "\t",
    ),
  },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.string({ unit: "binary", maxLength: 5 }),
      fc.integer().map(String),
      fc.constantFrom("__proto__", "constructor", "<<", "1e999", ".inf", "-0"),
    ),
  },
);

/** A good text with some spans of it cut out, doubled or put in place of by something else. */
function mutated(text: string): fc.Arbitrary<string> {
  const cut = fc.record({ at: fc.nat(text.length), length: fc.nat(30), by: fc.oneof(fc.constant(undefined), fc.constant(""), piece) });
  return fc.array(cut, { minLength: 1, maxLength: 4 }).map((cuts) =>
    cuts.reduce((left, { at, length, by }) => {
      const span = left.slice(at, at + length);
      return left.slice(0, at) + (by ?? span + span) + left.slice(at + length);
    }, text),
  );
}

/** `file` and `env` answer with something, nothing, or what is no YAML. */
const sources = {
  file: (path: string) => (path.length % 3 === 0 ? undefined : path.length % 3 === 1 ? "a: [" : "limit: 5\n"),
  env: (name: string) => (name.length % 2 === 0 ? undefined : name),
};

function assertPlaced(problems: readonly Problem[], text: string): void {
  assert.ok(problems.length > 0);
  const lines = text.split("\n");
  for (const { line, column, message } of problems) {
    assert.ok(line >= 1 && line <= lines.length, `${message}: line ${line} of ${lines.length}`);
    assert.ok(column >= 1 && column <= lines[line - 1]!.length + 1, `${message}: column ${column} of ${JSON.stringify(lines[line - 1])}`);
    assert.ok(message !== "" && !/undefined|\[object|\n/.test(message), message);
  }
}

function check(text: string): boolean {
  const loaded = loadReactors("r.yaml", text, sources);
  if (!loaded.ok) assertPlaced(loaded.problems, text);
  return loaded.ok;
}

test("whatever stands in a file, loading gives reactors or problems with places in it, and never throws", () => {
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join("")),
      (text) => void check(text),
    ),
    { numRuns: 500 },
  );
});

test("a good file with anything changed in it loads, or says where it cannot", () => {
  assert.ok(check(good.replace("{ file: limits.yaml }", "{ file: 12345 }").replace("12345", "abcde")));
  fc.assert(
    fc.property(mutated(good), (text) => void check(text)),
    { numRuns: 500 },
  );
});

test("the same of the router", () => {
  fc.assert(
    fc.property(mutated(goodRouter), (text) => {
      const loaded = loadRouter("router.yaml", text);
      if (!loaded.ok) assertPlaced(loaded.problems, text);
    }),
    { numRuns: 300 },
  );
});
