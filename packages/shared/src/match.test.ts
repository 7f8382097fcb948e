import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "./event.ts";
import { type Decision, match } from "./match.ts";
import { ReactorIndex } from "./rules/reactor-index.ts";
import { loadReactors } from "./reactor.ts";

const event: Event = {
  position: 1,
  id: "web1:1:1",
  type: "file.drifted",
  source: "/agents/web1/beacons/etc",
  agent: "web1",
  subject: "/etc/motd",
  time: 1,
  received: 2,
  severity: "normal",
  beacon: "etc",
  cause: "t-3f9a1c0b27d40000.1",
  data: { path: "/etc/motd", count: 2, list: ["a", "b"] },
};
const agent = { id: "web1", labels: { role: "web" }, facts: {} };

function decide(body: string, ancestry: string[] = []): Decision[] {
  const loaded = loadReactors("r.yaml", body);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return match(new ReactorIndex(loaded.reactors), { event, agent, ancestry });
}

const restore = "do: [{ file.restore: { path: '${{ event.subject }}' } }]\n";
const reason = (decisions: Decision[]) => decisions.map((decision) => (decision.kind === "skip" ? decision.reason : decision.kind));

test("a reactor fires on its type of event, with every value worked out", () => {
  const [decision] = decide(`name: heal\non: file.*\n${restore}`);
  assert.ok(decision?.kind === "fire" && decision.plan.ok);
  assert.deepEqual(decision.plan.steps, [{ action: "file.restore", args: { path: "/etc/motd" } }]);
});

test("a reactor of another type makes no decision at all", () => {
  assert.deepEqual(decide(`name: heal\non: cpu.*\n${restore}`), []);
});

test("a condition that does not hold is a reason, and so is a field that is missing or of the wrong kind", () => {
  for (const [when, expected] of [
    ["event.severity == 'high'", "when-false"],
    ["event.data.nope == 1", "when-missing-field"],
    ["event.data.path > 1", "when-error"],
    ["event.data.count", "when-false"],
    ["agent.labels.role == 'web'", "fire"],
  ]) {
    assert.deepEqual(reason(decide(`name: heal\non: file.*\nwhen: ${JSON.stringify(when)}\n${restore}`)), [expected], when);
  }
});

test("a reactor does not fire on what its own remedy did (P7), others do", () => {
  const decisions = decide(`name: heal\non: file.*\n${restore}---\nname: tell\non: file.*\n${restore}`, ["root", "heal"]);
  assert.deepEqual(reason(decisions), ["own-effect", "fire"]);
  assert.match(decisions[0]!.kind === "skip" ? decisions[0]!.detail : "", /t-3f9a1c0b27d40000\.1/);
});

test("values that only the event could tell are checked when it has", () => {
  const run = (argv: string) => decide(`name: run\non: file.*\ndo: [{ command.run: { argv: ${argv} } }]\n`)[0]!;
  const good = run("'${{ event.data.list }}'");
  assert.ok(good.kind === "fire" && good.plan.ok);
  assert.deepEqual((good.plan.steps[0]!.args as { argv: string[] }).argv, ["a", "b"]);
  assert.equal((good.plan.steps[0]!.args as { timeout: string }).timeout, "1m", "defaults are filled in");
  const bad = run("'${{ event.data.count }}'");
  assert.ok(bad.kind === "fire" && !bad.plan.ok);
  assert.match(bad.plan.reason, /^do\[0\] command\.run: argv: expected array, got 2$/);
  const missing = run("['${{ event.data.nope }}']");
  assert.ok(missing.kind === "fire" && !missing.plan.ok);
  assert.match(missing.plan.reason, /^do\[0\] command\.run: \$\{\{ event\.data\.nope \}\}: No such key/);
});

test("what is to run on a host has no plan when the event is about none", () => {
  const loaded = loadReactors("r.yaml", `name: r\non: "*.*"\n${restore}`);
  assert.ok(loaded.ok);
  const decision = match(new ReactorIndex(loaded.reactors), { event, agent: { id: "master", labels: {}, facts: {} }, ancestry: [] })[0]!;
  assert.deepEqual(decision.kind === "fire" && decision.plan, {
    ok: false,
    reason: "do[0]: file.restore runs on a host, and this event is about none",
  });
});

test("one event's plan does not leak into the next one's", () => {
  const loaded = loadReactors("r.yaml", "name: run\non: file.*\ndo: [{ command.run: { argv: [id], env: { A: b } } }]\n");
  assert.ok(loaded.ok);
  const index = new ReactorIndex(loaded.reactors);
  const args = () => {
    const [decision] = match(index, { event, agent, ancestry: [] });
    assert.ok(decision?.kind === "fire" && decision.plan.ok);
    return decision.plan.steps[0]!.args;
  };
  const first = args();
  (first["env"] as Record<string, string>)["A"] = "changed";
  assert.deepEqual(args()["env"], { A: "b" });
});

test("reactors that look at more than one event, or at the time, are passed over", () => {
  for (const more of [
    "correlate: { count: 2, within: 1m }",
    "raise: {}",
    "flow: { once: 1m }",
    "mode: shadow",
    "mode: off",
    "inhibited_by: [other]",
    'mute_during: [{ cron: "0 2 * * *", for: 1h }]',
    'only_during: [{ cron: "0 2 * * *", for: 1h }]',
  ]) {
    assert.deepEqual(decide(`name: r\non: file.drifted\n${more}\n${restore}`), [], more);
  }
});
