import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Event } from "@needfire/shared/event";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { wireEvent } from "@needfire/shared/wire-event";
import { incoming, temporaryDirectory } from "./fixture.ts";
import { InForce } from "./in-force.ts";
import { knownReactors } from "./known-reactor.ts";
import { Sieve } from "./sieve.ts";

const reactor = (name: string, type: string) => `name: ${name}\non: ${type}\ndo: [{ event.emit: { type: c.d } }]\n`;

function setting(t: TestContext) {
  const directory = temporaryDirectory(t);
  const router = join(directory, "router");
  const write = (name: string, text: string) => writeFileSync(join(directory, name), text);
  write("router", "rules: []\n");
  return { write, inForce: new InForce({ reactors: [directory], router, nonce: "n" }, { lastGood: () => undefined, awaited: [] }) };
}

test("what was read is in force when that is said, and not before", (t) => {
  const { write, inForce } = setting(t);
  write("a.yaml", reactor("a", "x.a"));
  write("router", "rules: [{ when: 'true', priority: critical }]\n");
  assert.deepEqual(inForce.read().problems, []);
  const event: Event = { ...incoming(1), position: 1 };
  const view = inForce.agentView("web1");
  assert.deepEqual([inForce.reactors.length, inForce.files.length, inForce.route(event, view).priority], [0, 0, event.severity]);
  assert.deepEqual(
    inForce.enforce().reactors.map(({ name }) => name),
    ["a"],
  );
  assert.deepEqual([inForce.files.length, inForce.route(event, view).priority], [1, "critical"]);
});

test("a reactor is handed over once, and again when its file has changed; a bad file stays what it was", (t) => {
  const { write, inForce } = setting(t);
  const handed = () => inForce.read().files.map(({ reactors }) => reactors?.map(({ on }) => on.join()));
  write("a.yaml", reactor("a", "x.a"));
  write("b.yaml", reactor("b", "x.b"));
  assert.deepEqual(handed(), [["x.a"], ["x.b"]]);
  assert.deepEqual(handed(), [undefined, undefined]);
  write("b.yaml", reactor("b", "x.c"));
  assert.deepEqual(handed(), [undefined, ["x.c"]]);
  write("b.yaml", "name: b\n");
  const { files, problems } = inForce.read();
  assert.deepEqual(
    files.map(({ text, reactors }) => [text, reactors]),
    [
      [reactor("a", "x.a"), undefined],
      [reactor("b", "x.c"), undefined],
    ],
  );
  assert.notEqual(problems.length, 0);
});

test("the value of a secret is handed over when it is found, and stands in nothing else", (t) => {
  const { write, inForce } = setting(t);
  write("token", "hush-hush");
  const use = "do: [{ command.run: { argv: [send, '${{ vars.token }}'] } }]\n";
  write("a.yaml", `name: a\non: x.a\nvars: { token: { file: token, secret: true } }\n${use}`);
  const { secrets, files, problems } = inForce.read();
  assert.deepEqual(problems, []);
  assert.deepEqual(secrets, [["a/token", "hush-hush"]]);
  assert.ok(!JSON.stringify(files[0]!.reactors).includes("hush"));
  assert.deepEqual(inForce.read().secrets, []);
});

test("a sieve asks what was handed to another thread as it asks the whole: by the short way, and by CEL where there is none", (t) => {
  const { write, inForce } = setting(t);
  const conditions = [
    'event.data.user == "root"',
    'event.data.user in ["root", "bob"] && event.data.count > 3',
    "event.data.names.exists(name, name == vars.wanted)",
    'event.subject.startsWith("/etc/") || agent.labels.role == "web"',
  ];
  const rest = "do: [{ event.emit: { type: c.d } }]\n";
  const yaml = conditions.map(
    (when, index) => `name: r-${index}\non: 'x.*'\nvars: { wanted: ann }\nwhen: ${JSON.stringify(when)}\n${rest}`,
  );
  write("a.yaml", yaml.join("---\n"));
  const { files, problems } = inForce.read();
  assert.deepEqual(problems, []);
  const handed = new ReactorIndex(files.flatMap(({ reactors }) => knownReactors(structuredClone(reactors!))));
  const view = { id: "web1", labels: { role: "db" }, facts: {} };
  const sieves = [inForce.enforce(), handed].map((index) => new Sieve({ reactors: () => index, agentView: () => view }));
  const heard = (subject: string, data: Record<string, unknown>) => {
    const wire = wireEvent(1, { type: "x.y", time: 1, severity: "normal", subject, data });
    return sieves.map((sieve) => sieve.hears({ agent: "web1", epoch: "e", received: 1 }, wire, view));
  };
  assert.deepEqual(heard("a", { user: "root" }), [true, true]);
  assert.deepEqual(heard("a", { user: "bob", count: 2 }), [false, false]);
  assert.deepEqual(heard("a", { user: "bob", count: 4 }), [true, true]);
  assert.deepEqual(heard("a", { names: ["bob"] }), [false, false]);
  assert.deepEqual(heard("a", { names: ["bob", "ann"] }), [true, true]);
  assert.deepEqual(heard("/etc/passwd", {}), [true, true]);
  assert.deepEqual(heard("a", {}), [false, false]);
});
