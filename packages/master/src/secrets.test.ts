import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Event } from "@needfire/shared/event";
import { loadReactors } from "@needfire/shared/reactor";
import { plainRoute } from "@needfire/shared/router";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { Rules } from "@needfire/shared/rules/rules";
import { incoming, temporaryDirectory } from "./fixture.ts";
import { loadNonce, Secrets } from "./secrets.ts";

const view = (id: string) => ({ id, labels: {}, facts: {} });

function planOn(data: Event["data"], secrets: Secrets) {
  const text = `name: r\non: test.happened\nvars: { token: { env: TOKEN, secret: true } }\ndo:\n  - command.run: { argv: ["send", "\${{ vars.token }}", "\${{ event.data.path }}"] }\n`;
  const mark = (name: string, value: string) => (secrets.know(name, value), secrets.mark(name));
  const loaded = loadReactors("r.yaml", text, { env: () => "hush", mark });
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
  const secrets = new Secrets("nonce");
  const plan = planOn({ path: "/a" }, secrets);
  assert.ok(plan.ok);
  assert.ok(!JSON.stringify(plan).includes("hush"));
  assert.deepEqual(secrets.reveal(plan.steps[0]!.args), { ok: true, args: { ...plan.steps[0]!.args, argv: ["send", "hush", "/a"] } });
  assert.deepEqual(secrets.mask({ stdout: `hush ${secrets.mark("r/token")}` }), { stdout: "*** ***" });
});

test("a host that sends a mark, even a true one of another reactor's, is handed nothing: the task says so and nothing is sent", () => {
  const secrets = new Secrets("nonce");
  secrets.know("other/token", "theirs");
  for (const forged of [secrets.mark("other/token"), new Secrets("").mark("r/token"), `x${new Secrets("guess").mark("r/token")}y`]) {
    const plan = planOn({ path: forged }, secrets);
    assert.ok(!plan.ok);
    assert.match(plan.reason, /form of a secret's mark/);
  }
});

test("a command whose secret is not known any more cannot be sent; one whose secret has changed has the new one", () => {
  const secrets = new Secrets("nonce");
  assert.deepEqual(secrets.reveal({ a: secrets.mark("r/gone") }), {
    ok: false,
    reason: "the master does not know a secret any more that it needs (r/gone)",
  });
  secrets.know("r/token", "old");
  secrets.know("r/token", "new");
  assert.deepEqual(secrets.reveal({ a: secrets.mark("r/token") }), { ok: true, args: { a: "new" } });
  assert.equal(secrets.mask("old and new"), "*** and ***");
});
