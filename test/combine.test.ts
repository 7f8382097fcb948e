/** The same drift on several hosts, with real processes: one rollout, also when the master is killed while the firings wait for each other. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { RolloutView } from "@needfire/shared/api-rollouts";
import { run } from "../packages/cli/src/testing/run.ts";
import { Testbed, until } from "./testbed.ts";

const hosts = ["web1", "web2", "web3", "web4", "web5"];
const library = join(dirname(import.meta.dirname), "reactors", "scenarios");

function noMounts(): string | false {
  if (process.getuid?.() !== 0) return "needs root, for a mount namespace of each host";
  const { status } = spawnSync("unshare", ["--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
  return status === 0 ? false : "no mount namespaces here";
}

describe("five hosts with the same drift", { skip: noMounts() }, () => {
  let bed: Testbed;
  /** Each host has a folder of its own where the managed file is. */
  const own = (host: string, ...parts: string[]) => bed.path("hosts", host, ...parts);
  const cli = (...words: string[]) => run(words, { env: { NEEDFIRE_MASTER: bed.path("master.sock"), SUDO_USER: "alice" } });

  before(async () => {
    let folder = "";
    const seeing = (host: string) =>
      `mkdir -p ${folder}/hosts/${host} ${folder}/host\nmount --bind ${folder}/hosts/${host} ${folder}/host\nexec "$@"`;
    const launch = (name: string) =>
      hosts.includes(name) ? { through: ["unshare", "--mount", "--propagation", "private", "sh", "-ec", seeing(name), "sh"] } : {};
    bed = await Testbed.start({ launch }, (made) => {
      folder = made.path();
      made.manage("app.conf", { content: "right\n" });
      made.beacon("managed", "name: managed\ntype: file\nmanaged: true\nsettle: 1ms\n");
      const scenario = readFileSync(join(library, "fleet-drift.yaml"), "utf8");
      assert.match(scenario, /combine: 5s/);
      // So long that five hosts tell of it within, however busy the machine is, and that the master is back before.
      made.reactor("fleet-drift", scenario.replace("combine: 5s", "combine: 15s"));
      for (const host of hosts) {
        mkdirSync(made.path("hosts", host), { recursive: true });
        writeFileSync(made.path("hosts", host, "app.conf"), "right\n");
      }
    });
    await Promise.all(hosts.map((host) => bed.addAgent(host)));
    await Promise.all(hosts.map((host) => bed.watching(host, "managed")));
  });
  after(() => bed.stop());

  test("is one rollout, of which each host's history knows, although the master is killed meanwhile", async () => {
    for (const host of hosts) bed.write(`hosts/${host}/app.conf`, "wrong\n");
    // One that says so twice goes once.
    const drifts = await Promise.all(hosts.map(async (agent) => (await bed.events({ type: "file.drifted", agent }, 1))[0]!));
    await bed.master.stop("SIGKILL");
    await bed.startMaster();
    let found: RolloutView | undefined;
    await until(
      "the rollout is done",
      async () => {
        const { rollouts } = await bed.client.rollouts({ reactor: "fleet-drift" });
        assert.ok(rollouts.length <= 1, `there are ${rollouts.length} of them`);
        found = rollouts[0] && (await bed.client.rollout(rollouts[0].id));
        return found?.state === "done";
      },
      () => JSON.stringify(found),
    );
    const { id, members = [], combined, resolved, waves, events } = found!;
    assert.deepEqual([combined, resolved, waves], [true, 5, [1, 5]]);
    assert.deepEqual(members.map(({ agent }) => agent).toSorted(), hosts);
    for (const drift of drifts) assert.ok(events.includes(drift.id), `${drift.id} is not among ${events.join()}`);
    for (const host of hosts) assert.equal(readFileSync(own(host, "app.conf"), "utf8"), "right\n");
    const { tasks } = await bed.client.tasks({ reactor: "fleet-drift" });
    assert.deepEqual(
      tasks.map(({ agent, rollout, verified }) => `${agent} ${rollout} ${verified}`).toSorted(),
      hosts.map((host) => `${host} ${id} true`),
    );
    for (const drift of drifts) {
      const { stdout } = await cli("events", "show", drift.id);
      assert.match(stdout, new RegExp(`fleet-drift fired, with other hosts that do the same: +one rollout on 5 hosts: .*${id}`), stdout);
      assert.match(stdout, /rollout of fleet-drift on 5 hosts/);
    }
    const { stdout } = await cli("rollouts", "show", id);
    assert.match(stdout, new RegExp(`web3 +${drifts.find(({ agent }) => agent === "web3")!.id} +resolved`));
  });
});
