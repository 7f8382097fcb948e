import assert from "node:assert/strict";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Event } from "@needfire/shared/event";
import { loadReactors } from "@needfire/shared/reactor";
import { plainRoute } from "@needfire/shared/router";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { Rules } from "@needfire/shared/rules/rules";
import { hideMarks } from "@needfire/shared/secret";
import { incoming, silent, temporaryDirectory } from "./fixture.ts";
import { PastSecrets } from "./past-secrets.ts";
import { loadNonce, Secrets } from "./secrets.ts";

const view = (id: string) => ({ id, labels: {}, facts: {} });

const nothingPast = { values: () => [], sent: () => {}, settle: () => {} };
const withNonce = (nonce: string) => new Secrets({ nonce, past: nothingPast, log: silent });
const shownTo = (secrets: Secrets, value: unknown) => JSON.parse(secrets.maskShown(JSON.stringify(value))) as unknown;

function planOn(data: Event["data"], secrets: Secrets) {
  const text = `name: r\non: test.happened\nvars: { token: { env: TOKEN, secret: true } }\ndo:\n  - command.run: { argv: ["send", "\${{ vars.token }}", "\${{ event.data.path }}"] }\n`;
  const mark = (name: string, value: string) => (secrets.know(name, value), secrets.mark(name));
  const loaded = loadReactors("r.yaml", text, { env: () => "hush-hush", mark });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const rules = new Rules(new ReactorIndex(loaded.reactors), { agentView: view, route: plainRoute, silence: () => undefined });
  const event = { ...incoming(1, { data }), position: 1 };
  const [decision] = rules.hear({ event, agent: "web1", ancestry: [], root: event.id }).decisions;
  return decision!.firing!.plan;
}

test("the text that makes marks this master's own is made once, and nobody else may read it", (t) => {
  const file = join(temporaryDirectory(t), "secret-marks");
  const nonce = loadNonce(file);
  assert.ok(nonce.length >= 32);
  assert.equal(loadNonce(file), nonce);
  assert.equal(readFileSync(file, "utf8"), nonce);
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test("a plan has a mark, the command has the secret, what comes back has neither", () => {
  const secrets = withNonce("nonce");
  const plan = planOn({ path: "/a" }, secrets);
  assert.ok(plan.ok);
  assert.ok(!JSON.stringify(plan).includes("hush-hush"));
  assert.deepEqual(secrets.reveal(plan.rungs[0]!.steps[0]!.args), {
    ok: true,
    args: { ...plan.rungs[0]!.steps[0]!.args, argv: ["send", "hush-hush", "/a"] },
    secrets: ["hush-hush"],
  });
  assert.deepEqual(secrets.mask({ stdout: "hush-hush!" }), { stdout: "***!" });
});

test("a host that sends a mark, even a true one of another reactor's, is handed nothing: the task says so and nothing is sent", () => {
  const secrets = withNonce("nonce");
  secrets.know("other/token", "theirs");
  for (const forged of [secrets.mark("other/token"), withNonce("").mark("r/token"), `x${withNonce("guess").mark("r/token")}y`]) {
    const plan = planOn({ path: forged }, secrets);
    assert.ok(!plan.ok);
    assert.match(plan.reason, /form of a secret's mark/);
  }
});

test("a command whose secret is not known any more cannot be sent; one whose secret has changed has the new one", () => {
  const secrets = withNonce("nonce");
  assert.deepEqual(secrets.reveal({ a: secrets.mark("r/gone") }), {
    ok: false,
    reason: "the master does not know a secret any more that it needs (r/gone)",
  });
  secrets.know("r/token", "the old one");
  secrets.know("r/token", "the new one");
  assert.deepEqual(secrets.reveal({ a: secrets.mark("r/token") }), { ok: true, args: { a: "the new one" }, secrets: ["the new one"] });
  assert.equal(secrets.mask("the old one and the new one"), "*** and ***");
});

test("what is shown is masked, but for the names by which things are asked for", () => {
  const secrets = withNonce("nonce");
  secrets.know("r/token", "db1-hush-hush");
  const shown = { agent: "db1-hush-hush", tasks: [{ id: "db1-hush-hush", data: { said: "db1-hush-hush", "db1-hush-hush": 1 } }] };
  assert.deepEqual(shownTo(secrets, shown), { agent: "db1-hush-hush", tasks: [{ id: "db1-hush-hush", data: { said: "***", "***": 1 } }] });
  assert.equal(secrets.maskShown("no JSON: db1-hush-hush"), "no JSON: ***");
});

/** Secrets of a master that starts, and that has the file of the life before. */
function life(file: string, given: { key?: string; keepMs?: number } = {}) {
  const past = new PastSecrets({ file, key: "the master's", keepMs: 1_000, log: silent, ...given });
  return new Secrets({ nonce: "nonce", past, log: silent });
}

test("what was sent is masked in the next life as well, when its value is another by then, until the journal is younger", (t) => {
  const file = join(temporaryDirectory(t), "secrets-past");
  const first = life(file);
  first.know("r/token", "sent-before");
  first.know("r/other", "never-sent");
  first.settle(0);
  first.reveal({ a: first.mark("r/token") });
  const masks = (secrets: Secrets) => secrets.mask("sent-before never-sent");
  const second = life(file);
  second.know("r/token", "another one");
  second.settle(10_000);
  assert.equal(masks(second), "*** never-sent");
  const third = life(file);
  third.settle(10_900);
  assert.equal(masks(third), "*** never-sent");
  third.settle(11_100);
  assert.equal(masks(third), "sent-before never-sent");
  assert.equal(masks(life(file)), "sent-before never-sent");
});

test("a value that was sent stands in no file, which nobody else may read and only this master's key opens; a file that cannot be read is told of", (t) => {
  const file = join(temporaryDirectory(t), "secrets-past");
  const first = life(file);
  first.know("r/token", "sent-before");
  first.reveal({ a: first.mark("r/token") });
  assert.ok(!readFileSync(file, "latin1").includes("sent-before"));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(life(file).mask("sent-before"), "***");
  assert.equal(life(file, { key: "another's" }).mask("sent-before"), "sent-before");
  const second = life(file, { key: "another's" });
  second.know("r/token", "sent-after");
  second.reveal({ a: second.mark("r/token") });
  assert.equal(life(file, { key: "another's" }).mask("sent-after"), "***", "and is begun anew");
});

test("a file that takes nothing holds no command up, and the value is kept with the next one", (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "state", "secrets-past");
  writeFileSync(join(directory, "state"), "no directory");
  const first = life(file);
  first.know("r/token", "sent-before");
  assert.ok(first.reveal({ a: first.mark("r/token") }).ok);
  rmSync(join(directory, "state"));
  assert.ok(first.reveal({ a: first.mark("r/token") }).ok);
  assert.equal(life(file).mask("sent-before"), "***");
});

test("a secret that somebody typed is kept by its mark, and is in the command again, although one is a part of another and of a mark", () => {
  const secrets = withNonce("nonce-of-this-master");
  secrets.know("hush-hush", "correct-horse");
  secrets.know("long", "correct-horse-battery");
  secrets.know("odd", "hush-hush");
  secrets.know("short", "a");
  const typed = { argv: ["login", "-pcorrect-horse-battery", "correct-horse", "hush-hush", "a"], env: { A: "x correct-horse y" } };
  const kept = secrets.conceal(typed);
  assert.ok(!JSON.stringify(kept).includes("correct-horse"));
  assert.deepEqual(hideMarks(kept), { argv: ["login", "-p***", "***", "***", "a"], env: { A: "x *** y" } });
  const revealed = secrets.reveal(kept);
  assert.ok(revealed.ok);
  assert.deepEqual(revealed.args, typed);
  assert.deepEqual(revealed.secrets.toSorted(), ["correct-horse", "correct-horse-battery", "hush-hush"]);
});
