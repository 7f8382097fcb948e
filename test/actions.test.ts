/** Actions on a real host: content of the master's file root on its way there, and the host's own policy, which the master cannot change. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { TaskView } from "@needfire/shared/api";
import { Testbed, until } from "./testbed.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const script = '#!/bin/sh\nprintf "%s" "$1" > "$2"\n';
const large = "0123456789abcdef\n".repeat(40_000);

const ip = (...argv: string[]) => execFileSync("ip", argv, { stdio: "ignore" });

function noInterfaces(): string | false {
  try {
    ip("link", "add", "nfprobe1", "type", "veth");
    ip("link", "delete", "nfprobe1");
    return false;
  } catch {
    return "needs root and ip";
  }
}

describe("actions", () => {
  let bed: Testbed;
  /** The task of a file that is made on the host, once it has ended. */
  const fire = async (reactor: string, name: string): Promise<TaskView> => {
    const known = new Set((await bed.client.tasks({ reactor, limit: 1_000 })).tasks.map(({ id }) => id));
    writeFileSync(bed.path("host", `${name}.${reactor}`), "");
    const isNew = ({ id, state }: TaskView) => !known.has(id) && ["resolved", "escalated"].includes(state);
    const found = (await bed.tasks((tasks) => tasks.some(isNew), reactor)).find(isNew)!;
    return bed.client.task(found.id);
  };
  const reactor = (made: Testbed, name: string, step: object) =>
    made.reactor(name, `name: ${name}\non: file.created\nwhen: 'event.subject.endsWith(".${name}")'\ndo:\n  - ${JSON.stringify(step)}\n`);

  before(async () => {
    bed = await Testbed.start({}, (made) => {
      mkdirSync(made.path("out"));
      mkdirSync(made.path("files", "scripts"));
      writeFileSync(made.path("files", "scripts", "say.sh"), script);
      writeFileSync(made.path("files", "large"), large);
      const out = (name: string) => made.path("out", name);
      reactor(made, "write", { "file.write": { path: out("large"), source: "large", mode: "0640" } });
      reactor(made, "script", { "script.run": { source: "scripts/say.sh", args: ["${{ event.subject }}", out("said")] } });
      reactor(made, "pinned", { "script.run": { source: "scripts/say.sh", digest: sha256("another"), args: ["x", out("pinned")] } });
      reactor(made, "missing", { "file.write": { path: out("missing"), source: "none" } });
      reactor(made, "facts", { "agent.facts": {} });
      reactor(made, "kept", { "file.write": { path: out("kept"), content: "x" } });
      made.beacon("drop", `name: drop\ntype: file\npaths: [${JSON.stringify(made.path("host"))}]\nsettle: 1ms\n`);
    });
    await bed.addAgent("web1");
    await bed.watching("web1", "drop");
  });
  after(() => bed.stop());

  test("a file of the master's file root is written on the host, as large as many frames", async () => {
    const { state, executions } = await fire("write", "a");
    assert.equal(state, "resolved", JSON.stringify(executions));
    assert.equal(readFileSync(bed.path("out", "large"), "utf8"), large);
    assert.equal(executions[0]!.changed, true);
    assert.equal((await fire("write", "b")).executions[0]!.changed, false);
    writeFileSync(bed.path("files", "large"), "changed");
    assert.equal((await fire("write", "c")).executions[0]!.changed, true);
    assert.equal(readFileSync(bed.path("out", "large"), "utf8"), "changed");
  });

  test("facts that have changed are the master's when they were gathered anew", { skip: noInterfaces() }, async () => {
    const name = `nf${process.pid}f`;
    ip("link", "add", name, "type", "veth", "peer", "name", `${name}p`);
    try {
      ip("address", "add", "192.0.2.77/32", "dev", name);
      for (const end of [name, `${name}p`]) ip("link", "set", end, "up");
      const addresses = async () => (await bed.client.agent("web1")).facts["addresses"] as string[];
      assert.ok(!(await addresses()).includes("192.0.2.77"));
      const { state, executions } = await fire("facts", "a");
      assert.equal(state, "resolved", JSON.stringify(executions));
      assert.equal(executions[0]!.changed, false);
      await until("the master to know them", async () => (await addresses()).includes("192.0.2.77"));
    } finally {
      ip("link", "delete", name);
    }
  });

  test("a script of the file root runs on the host with its arguments as they are, and leaves no copy", async () => {
    const { state, executions } = await fire("script", "$(id) ;'\"");
    assert.equal(state, "resolved", JSON.stringify(executions));
    assert.equal(readFileSync(bed.path("out", "said"), "utf8"), bed.path("host", "$(id) ;'\".script"));
    assert.equal((executions[0]!.result as { digest: string }).digest, sha256(script));
    const scratch = bed.path("state-web1", "scratch");
    assert.deepEqual(readdirSync(scratch), []);
  });

  test("a script that is not the one that was meant, and a source that is not there, are not sent", async () => {
    const pinned = await fire("pinned", "a");
    assert.equal(pinned.state, "escalated");
    assert.match(pinned.reason ?? "", /scripts\/say\.sh has the digest [0-9a-f]{64}, and is to have /);
    const missing = await fire("missing", "a");
    assert.match(missing.reason ?? "", /file\.write cannot be sent: there is no /);
    assert.ok(!existsSync(bed.path("out", "pinned")) && !existsSync(bed.path("out", "missing")));
  });

  test("the host's policy refuses with the rule that it comes from, and SIGHUP puts another one in force", async () => {
    const configuration = bed.path("web1.yaml");
    const before = readFileSync(configuration, "utf8");
    const obey = async (policy: string) => {
      const agent = bed.agents.get("web1")!;
      const seen = (await bed.client.events({ type: "beacon.applied", agent: "web1", limit: 1_000 })).events.length;
      writeFileSync(configuration, `${before.replace(/^policy:\n(?: .*\n)*/m, "")}${policy}`);
      agent.signal("SIGHUP");
      await bed.events({ type: "beacon.applied", agent: "web1" }, seen + 1);
    };
    await obey(`policy: { deny: { paths: [${JSON.stringify(bed.path("out"))}] } }\n`);
    const kept = await fire("kept", "a");
    assert.equal(kept.executions[0]!.state, "refused");
    assert.equal(kept.executions[0]!.message, `policy: deny.paths ${JSON.stringify(bed.path("out"))} forbids ${bed.path("out", "kept")}`);
    assert.match((await fire("script", "b")).executions[0]!.message ?? "", /^policy: script\.run needs allow\.commands/);
    await until("the log says so", () => bed.agents.get("web1")!.output().includes("the policy of this host refuses commands"));
    await obey(`policy: { allow: { commands: ["sha256:${sha256(script)} **"] } }\n`);
    assert.equal((await fire("script", "c")).state, "resolved");
    assert.equal((await fire("kept", "b")).state, "resolved");
    writeFileSync(bed.path("files", "scripts", "say.sh"), `${script}# another\n`);
    assert.match((await fire("script", "d")).executions[0]!.message ?? "", /^policy: no pattern of allow\.commands fits \["sha256:/);
    // A policy that cannot be read changes nothing.
    writeFileSync(configuration, `${before}\npolicy: [`);
    bed.agents.get("web1")!.signal("SIGHUP");
    await until("the log says so", () => bed.agents.get("web1")!.output().includes("what was in force stays"));
    assert.equal((await fire("script", "e")).executions[0]!.state, "refused");
  });
});
