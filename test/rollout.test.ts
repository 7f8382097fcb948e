/** One firing on many hosts, with real processes: a few real agents, and 50 hosts that are peers of the bus. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Outcome } from "@needfire/shared/action";
import type { RolloutView } from "@needfire/shared/api-rollouts";
import { parseJoinString } from "@needfire/shared/identity";
import { Context } from "zeromq";
import { OpenFiles } from "../bench/open-files.ts";
import { SimulatedAgent } from "../bench/simulated-agent.ts";
import { run } from "../packages/cli/src/testing/run.ts";
import { Testbed, until } from "./testbed.ts";

/** The only rollout of a reactor, once it is so. */
async function rolloutOf(bed: Testbed, reactor: string, isSo: (rollout: RolloutView) => boolean): Promise<RolloutView> {
  let found: RolloutView | undefined;
  await until(
    `the rollout of ${reactor} is as expected`,
    async () => {
      const { rollouts } = await bed.client.rollouts({ reactor });
      assert.ok(rollouts.length <= 1, `there are ${rollouts.length} of them`);
      found = rollouts[0] && (await bed.client.rollout(rollouts[0].id));
      return found !== undefined && isSo(found);
    },
    () => JSON.stringify(found),
  );
  return found!;
}

describe("a rollout on real agents", () => {
  let bed: Testbed;
  const lines = () => (existsSync(bed.path("notes.txt")) ? readFileSync(bed.path("notes.txt"), "utf8").trim().split("\n") : []);
  const cli = (...words: string[]) => run(words, { env: { NEEDFIRE_MASTER: bed.path("master.sock"), SUDO_USER: "alice" } });

  before(async () => {
    bed = await Testbed.start({}, (made) => {
      const note = JSON.stringify([
        'while [ ! -e "$1" ]; do sleep 0.02; done; echo "$3 $4" >> "$2"',
        made.path("go"),
        made.path("notes.txt"),
      ]);
      made.reactor(
        "patch",
        `name: patch
on: patch.wanted
targets: 'agent.labels.role == "web"'
limits: { concurrent: 1 }
do:
  - steps:
      - command.run: { shell: true, argv: [${note.slice(1, -1)}, "\${{ agent.id }}", "\${{ event.data.package }}"] }
    verify: { command.run: { argv: [grep, -q, "\${{ agent.id }}", ${JSON.stringify(made.path("notes.txt"))}] } }
`,
      );
      const wait = JSON.stringify(['touch "$2-$3"; while [ ! -e "$1" ]; do sleep 0.02; done', made.path("go-on"), made.path("runs")]);
      made.reactor(
        "steady",
        `name: steady\non: steady.wanted\ntargets: ["web*"]\ndo: [{ command.run: { shell: true, argv: [${wait.slice(1, -1)}, "\${{ agent.id }}"] } }]\n`,
      );
      const soon = JSON.stringify(['echo "$2" >> "$1"', made.path("soon.txt")]);
      made.reactor(
        "soon",
        `name: soon
on: soon.wanted
targets: agent.labels.role == event.data.role
approve: { if: size(targets) > 10, from: [oncall], timeout: 30m, on_timeout: escalate }
limits: { concurrent: 1, stop_after_failures: 1 }
task: { expires: 3s }
do: [{ command.run: { shell: true, argv: [${soon.slice(1, -1)}, "\${{ agent.id }}"] } }]
otherwise: [{ event.emit: { type: ticket.wanted, data: { why: "\${{ task.reason }}" } } }]
`,
      );
      made.reactor("shown", `name: shown\non: shown.wanted\nmode: plan\ntargets: ["web*"]\ndo: [{ command.run: { argv: ["true"] } }]\n`);
    });
    await Promise.all(["web1", "web2", "web3", "web4"].map((id) => bed.addAgent(id, { role: "web" })));
    await bed.addAgent("db1", { role: "db" });
    await bed.client.decideKey("web4", "revoke");
  });
  after(() => bed.stop());

  test("goes to those that fit and have an accepted key, one after the other, is paused and goes on, and each is verified", async () => {
    await bed.client.send({ type: "patch.wanted", subject: "openssl", data: { package: "openssl" } });
    const { id, hosts } = await rolloutOf(bed, "patch", ({ begun }) => begun === 1);
    assert.equal(hosts, 3);
    assert.match((await cli("rollouts", "pause", id, "--why", "lunch")).stdout, /is paused: begun on 1 of 3/);
    writeFileSync(bed.path("go"), "");
    const paused = await rolloutOf(bed, "patch", ({ resolved }) => resolved === 1);
    assert.deepEqual([paused.state, paused.begun, paused.by, paused.reason], ["paused", 1, "alice", "lunch"]);
    assert.equal(lines().length, 1);
    await cli("rollouts", "resume", id);
    const done = await rolloutOf(bed, "patch", ({ state }) => state === "done");
    assert.deepEqual([done.resolved, done.failed], [3, 0]);
    assert.deepEqual(lines().toSorted(), ["web1 openssl", "web2 openssl", "web3 openssl"]);
    assert.match((await cli("rollouts", "cancel", id)).stderr, /is done: it cannot be cancelled/);
    const { tasks } = await bed.client.tasks({ rollout: id });
    assert.deepEqual(
      tasks.toSorted((a, b) => a.agent.localeCompare(b.agent)).map(({ agent, verified, rollout }) => [agent, verified, rollout]),
      ["web1", "web2", "web3"].map((agent) => [agent, true, id]),
    );
    assert.match((await cli("rollouts", "show", id)).stdout, /resolved +t-[0-9a-f]{16}/);
    assert.match((await cli("tasks", "show", tasks[0]!.id)).stdout, new RegExp(`rollout +${id}`));
    const { chain } = await bed.client.chain(done.event);
    const kinds = chain.filter(({ kind }) => kind !== "event").map(({ kind }) => kind);
    assert.deepEqual([kinds[0], kinds.filter((kind) => kind === "task").length], ["rollout", 3]);
  });

  test("goes on when an agent is killed in the middle of it: on that host it has failed, on the others it holds", async () => {
    await bed.client.send({ type: "steady.wanted" });
    await until("it is under way everywhere", () => ["web1", "web2", "web3"].every((id) => existsSync(bed.path(`runs-${id}`))));
    await bed.agents.get("web2")!.stop("SIGKILL");
    await bed.startAgent("web2");
    writeFileSync(bed.path("go-on"), "");
    const done = await rolloutOf(bed, "steady", ({ state }) => state === "done");
    assert.deepEqual([done.resolved, done.failures.map(({ agent }) => agent)], [2, ["web2"]]);
    assert.match(done.failures[0]!.reason, /command\.run was interrupted/);
  });

  test("is tried again on the host on which it failed and on no other, by whoever asked", async () => {
    const failed = await rolloutOf(bed, "steady", ({ state }) => state === "done");
    const foreseen = await cli("rollouts", "retry", failed.id, "--dry-run");
    assert.match(foreseen.stdout, /web2 +escalated .*interrupted/);
    assert.match(foreseen.stderr, /it would be tried once more on 1 host\./);
    assert.equal((await bed.client.rollouts({ reactor: "steady" })).rollouts.length, 1, "nothing was done");
    const asked = await cli("rollouts", "retry", failed.id, "--why", "it is back", "--json");
    assert.equal(asked.code, 0, asked.stderr);
    const { id } = JSON.parse(asked.stdout) as { id: string };
    const done = async () => bed.client.rollout(id);
    await until("it is done", async () => (await done()).state === "done");
    const { members, resolved, ordered_by: by, why, retry_of: of } = await done();
    assert.deepEqual([members!.map(({ agent }) => agent), resolved, by, why, of], [["web2"], 1, "alice", "it is back", failed.id]);
    assert.match((await cli("rollouts", "retry", failed.id)).stderr, new RegExp(`it was tried again as ${id}: that one is to be retried`));
    assert.match((await cli("rollouts", "retry", id)).stderr, /there is no host on which it failed/);
    const [word] = await bed.events({ type: "rollout.retried" }, 1);
    assert.deepEqual([word!.cause, word!.data["by"]], [failed.id, "alice"]);
    const kinds = (await bed.client.chain(failed.event)).chain.filter(({ kind }) => kind === "rollout").map((link) => link.id);
    assert.deepEqual(kinds, [failed.id, id], "the chain leads from the one to the other");
  });

  test("the event says for which hosts; one that is away expires, stops nothing, is told, and does nothing when it comes back", async () => {
    await bed.agents.get("web3")!.stop();
    await until("web3 is away", async () => !(await bed.client.agent("web3")).connected);
    await bed.client.send({ type: "soon.wanted", data: { role: "web" } });
    const done = await rolloutOf(bed, "soon", ({ state }) => state === "done");
    // Of the two others the time of one may have been over with web3's: they begin one after the other, in an order drawn by lot.
    assert.deepEqual([done.hosts, done.failed, done.open, done.resolved + done.expired], [3, 0, 0, 3]);
    const members = done.members!.filter(({ state }) => state === "expired");
    assert.ok(members.some(({ agent, reason }) => agent === "web3" && /was not there within the time|could not begin/.test(reason ?? "")));
    assert.match((await cli("rollouts", "show", done.id)).stdout, /expired/);
    const [ticket] = await bed.events({ type: "ticket.wanted" }, 1);
    assert.match(String(ticket!.data["why"]), /^it never began on \d of 3 hosts$/);
    await bed.startAgent("web3");
    await until("web3 is back", async () => (await bed.client.agent("web3")).connected);
    const ran = readFileSync(bed.path("soon.txt"), { encoding: "utf8", flag: "a+" })
      .trim()
      .split("\n")
      .filter((line) => line !== "");
    assert.deepEqual(
      ran.toSorted(),
      done
        .members!.filter(({ state }) => state === "resolved")
        .map(({ agent }) => agent)
        .toSorted(),
    );
    const asked = await cli("rollouts", "retry", done.id, "--json");
    assert.equal(asked.code, 0, asked.stderr);
    const { id } = JSON.parse(asked.stdout) as { id: string };
    await until("it is done where it never began", async () => (await bed.client.rollout(id)).state === "done");
    const again = (await bed.client.rollout(id)).members!.map(({ agent }) => agent);
    assert.deepEqual(again.toSorted(), members.map(({ agent }) => agent).toSorted());
  });

  test("of a reactor in mode plan the hosts are shown, and nothing is sent", async () => {
    await bed.client.send({ type: "shown.wanted" });
    const { state, members } = await rolloutOf(bed, "shown", () => true);
    assert.equal(state, "planned");
    assert.deepEqual(members!.map((host) => host.agent).toSorted(), ["web1", "web2", "web3"]);
    assert.deepEqual((await bed.client.tasks({ reactor: "shown" })).tasks, []);
  });
});

describe("a rollout on 50 hosts", () => {
  const names = Array.from({ length: 50 }, (_value, index) => `host${index}`);
  /** One in ten. */
  const isBroken = (agent: string) => agent.endsWith("7");
  let bed: Testbed;
  let agents: SimulatedAgent[] = [];
  /** By host, the commands that it was given; how many hosts were at work at once, at most. */
  const given = new Map<string, Set<string>>();
  const atWork = new Set<string>();
  let atOnce = 0;
  /** From so many hosts on they wait, so that it can be seen in the middle. */
  let holdFrom = Number.POSITIVE_INFINITY;
  const hold = Promise.withResolvers<void>();
  const held = new Set<string>();
  let brokenFail = true;

  const work = async (agent: string, execution: string): Promise<Outcome> => {
    given.set(agent, (given.get(agent) ?? new Set()).add(execution));
    atWork.add(agent);
    atOnce = Math.max(atOnce, atWork.size);
    if (given.size >= holdFrom) {
      held.add(agent);
      await hold.promise;
    }
    await delay(5);
    atWork.delete(agent);
    return brokenFail && isBroken(agent) ? "failed" : "succeeded";
  };

  before(async () => {
    bed = await Testbed.start({}, (made) => {
      const reactor = (name: string, limits: string) =>
        made.reactor(
          name,
          `name: ${name}\non: ${name}.wanted\ntargets: 'host*'\nlimits: ${limits}\ndo: [{ command.run: { argv: [upgrade] } }]\notherwise: [{ event.emit: { type: ticket.wanted, data: { why: "\${{ task.reason }}", on: "\${{ task.history }}" } } }]\n`,
        );
      reactor("careful", "{ concurrent: 10%, ramp: [1, 10%, 50%], stop_after_failures: 3 }");
      reactor("outlasting", "{ concurrent: 5, ramp: [4] }");
    });
    const { join_string: joinString } = await bed.client.createToken({ uses: names.length });
    const { address, masterKey, token } = parseJoinString(joinString);
    const [context, files] = [new Context(), new OpenFiles()];
    agents = names.map(
      (id) =>
        new SimulatedAgent({
          id,
          address,
          masterKey,
          token,
          context,
          files,
          onCount: () => {},
          run: ({ execution }) => work(id, execution),
        }),
    );
    for (const agent of agents) agent.start();
    await until("all hosts are there", async () => (await bed.client.status()).agents_connected === names.length);
  });
  after(async () => {
    for (const agent of agents) agent.close();
    await bed.stop();
  });

  test("of which one in ten fails stops where it must: after the third, with never more than five at once", async () => {
    await bed.client.send({ type: "careful.wanted" });
    const stopped = await rolloutOf(bed, "careful", ({ state, open }) => state === "stopped" && open === 0);
    assert.deepEqual(stopped.waves, [1, 5, 25, 50]);
    assert.ok(stopped.failed >= 3 && stopped.failed <= 5, `${stopped.failed} failed`);
    assert.ok(atOnce <= 5, `${atOnce} were at work at once`);
    assert.equal(given.size, stopped.begun, "hosts that have not begun were sent nothing");
    const members = stopped.members!;
    assert.equal(members.filter(({ state }) => state === "not-begun").length, 50 - stopped.begun);
    assert.ok(members.every(({ state, agent }) => state !== "escalated" || isBroken(agent)));
    const [wanted, ...more] = await bed.events({ type: "ticket.wanted" }, 1);
    assert.deepEqual([wanted!.data["why"], more], ["it failed on 3 hosts, after which nothing more begins", []]);
    assert.equal((wanted!.data["on"] as unknown[]).length, 3);
    assert.equal((await bed.events({ type: "rollout.stopped" }, 1)).length, 1);
  });

  test("goes on after the master was killed in the middle of it: each host begins once, and none is forgotten", async () => {
    given.clear();
    brokenFail = false;
    // Then some have answered, some are at work, and some wait for their turn.
    holdFrom = 20;
    await bed.client.send({ type: "outlasting.wanted" });
    await until("five hosts are at work in the middle of it", () => held.size === 5);
    await bed.master.stop("SIGKILL");
    await bed.startMaster();
    hold.resolve();
    const done = await rolloutOf(bed, "outlasting", ({ state }) => state === "done");
    assert.deepEqual([done.resolved, done.failed, given.size], [50, 0, 50]);
    for (const [agent, executions] of given) assert.equal(executions.size, 1, `${agent} was begun twice`);
    assert.ok(atOnce <= 5, `${atOnce} were at work at once`);
    assert.equal((await bed.events({ type: "rollout.done" }, 1)).length, 1);
  });
});
