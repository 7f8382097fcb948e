/**
 * An agent as the guide installs it, a service of a real systemd on a host of its own, whose network ends at the master's: services that are
 * killed and revived rung by rung, and a restart of the whole host.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { TaskView } from "@needfire/shared/api";
import { noSystemdHost, SystemdHost } from "../packages/agent/src/beacons/process/systemd-host.ts";
import { run } from "../packages/cli/src/testing/run.ts";
import { Network } from "./chaos/network.ts";
import { Testbed } from "./testbed.ts";

const checkout = join(import.meta.dirname, "..");
const skip = noSystemdHost() || (Network.unavailable() ?? false);
const isOver = ({ state }: TaskView) => ["resolved", "escalated"].includes(state);

/** Cannot be started while what hangs of it is broken; a restart of it is one of that, too. Nothing helps while there is /etc/shop-broken. */
const units = {
  "shop.service": `[Unit]
Wants=shop-cache.service
After=shop-cache.service
StartLimitIntervalSec=0
[Service]
ExecStartPre=/bin/test -e /run/shop-cache
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
`,
  "shop-cache.service": `[Unit]
PartOf=shop.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'test ! -e /etc/shop-broken && touch /run/shop-cache'
`,
};

/** What systemd-nspawn does for its containers alone. */
const sharedBootId = `[Unit]
Before=needfire-agent.service
[Service]
Type=oneshot
ExecStart=/bin/umount /proc/sys/kernel/random/boot_id
[Install]
WantedBy=multi-user.target
`;

let network: Network;
let bed: Testbed;
let host: SystemdHost;

before(async () => {
  if (skip !== false) return;
  network = new Network(["master", "web1"]);
  network.make();
  bed = await Testbed.start(
    { listen: `tcp://${network.address("master")}:*`, launch: () => ({ through: network.through("master") }) },
    (made) => {
      const ladder = readFileSync(join(checkout, "reactors/scenarios/service-ladder.yaml"), "utf8");
      made.reactor("service-ladder", ladder.replace("backoff: 10s", "backoff: 100ms"));
      made.beacon("services", "name: services\ntype: service\nunits: [shop]\nfor: 0s\n");
    },
  );
  host = new SystemdHost({ shared: [`${checkout}:/opt/needfire`], network: network.namespace("web1") });
  await host.boot();
  for (const [name, content] of Object.entries(units)) host.unit(name, content);
  host.unit("shared-boot-id.service", sharedBootId);
  host.unit("needfire-agent.service", unitOfGuide());
  mkdirSync(join(host.root, "etc/needfire"));
  const { join_string: joinString } = await bed.client.createToken({ uses: 1, labels: {} });
  host.run(...needfire, "agent", "join", joinString, "--id", "web1");
  host.run("systemctl", "enable", "--now", "shop", "shared-boot-id", "needfire-agent");
  await bed.connected("web1");
  await bed.watching("web1", "services");
});

after(async () => {
  try {
    await (bed as Testbed | undefined)?.stop();
  } finally {
    await (host as SystemdHost | undefined)?.end();
    (network as Network | undefined)?.remove();
  }
});

const needfire = ["/opt/needfire/node_modules/.bin/node", "/opt/needfire/packages/cli/bin/needfire.js"];

/** As an operator copies it. */
function unitOfGuide(): string {
  const guide = readFileSync(join(checkout, "docs/guide/operating.md"), "utf8");
  const unit = /`\/etc\/systemd\/system\/needfire-agent\.service`:\n\n```ini\n([^`]*)```/.exec(guide)?.[1] ?? "";
  assert.ok(unit.includes("ExecStart="), "the guide has a unit for the agent");
  return unit;
}

const kill = () => host.run("systemctl", "kill", "-s", "KILL", "shop");
const stateOf = (unit: string) => host.run("systemctl", "is-active", unit).trim();

async function over(count: number): Promise<TaskView> {
  const tasks = await bed.tasks((all) => all.length >= count && all.every(isOver), "service-ladder");
  return tasks[0]!;
}

test("a service that is killed is started, and systemd's own word confirms it", { skip }, async () => {
  kill();
  const { state, rung, verified, attempts } = await over(1);
  assert.deepEqual([state, rung, verified, attempts, stateOf("shop")], ["resolved", 1, true, 1, "active"]);
  const [down] = await bed.events({ type: "service.down" }, 1);
  assert.deepEqual([down!.subject, down!.data["init"], down!.data["signal"]], ["shop.service", "systemd", 9]);
});

test("where a start does not help the next rung does: a restart, also of what hangs of it", { skip }, async () => {
  rmSync(join(host.root, "run/shop-cache"));
  kill();
  const task = await over(2);
  const { executions } = await bed.client.task(task.id);
  assert.deepEqual([task.state, task.rung, task.verified, stateOf("shop")], ["resolved", 2, true, "active"], JSON.stringify(executions));
  assert.deepEqual(
    executions.map(({ action, state, rung }) => [action, state, rung]),
    [
      ["service.start", "failed", 1],
      ["service.start", "failed", 1],
      ["service.restart", "succeeded", 2],
    ],
  );
});

test("when no rung helps somebody is called, with what was tried and what systemd said", { skip }, async () => {
  writeFileSync(join(host.root, "etc/shop-broken"), "");
  rmSync(join(host.root, "run/shop-cache"));
  kill();
  const { id, state, rung, attempts } = await over(3);
  assert.deepEqual([state, rung, attempts, stateOf("shop")], ["escalated", 2, 3, "failed"]);
  const said = /systemd could not \(exit-code\)$/;
  const { executions } = await bed.client.task(id);
  assert.deepEqual(
    executions.filter(({ message }) => said.test(message ?? "")).map(({ action }) => action),
    ["service.start", "service.start", "service.restart"],
  );
  const [wanted] = await bed.events({ type: "person.wanted" }, 1);
  const { host: where, why, attempts: tried } = wanted!.data as Record<"host" | "why" | "attempts", unknown>;
  assert.deepEqual([wanted!.subject, where, tried], ["shop.service", "web1", 3]);
  assert.match(String(why), said);
  rmSync(join(host.root, "etc/shop-broken"));
});

const byHand = (...words: string[]) =>
  run(["do", "web1", ...words, "--json"], { env: { NEEDFIRE_MASTER: bed.path("master.sock") }, timeoutMs: 90_000 });
const bootOf = () => host.run("cat", "/proc/sys/kernel/random/boot_id").trim();

test("a restart of the host ends when its agent is back in another boot, and is done once", { skip }, async () => {
  const ran = await byHand("host.reboot");
  assert.equal(ran.code, 0, ran.stderr);
  await host.up();
  // As in every container but those of systemd-nspawn, which makes an id up: that of the machine.
  assert.equal(bootOf(), readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
  const { task, result } = JSON.parse(ran.stdout.split("\n")[0]!) as { task: string; result: Record<"boot" | "booted", string> };
  assert.notEqual(result.booted, result.boot);
  const { state, executions } = await bed.client.task(task);
  assert.deepEqual([state, executions.map((each) => each.state)], ["resolved", ["succeeded"]]);
  const ended = await bed.events({ type: "execution.finished", agent: "web1", where: 'event.data.action == "host.reboot"' }, 1);
  assert.deepEqual([ended.length, ended[0]!.data["result"]], [1, result]);
  await bed.connected("web1");
  // What it is told now it does: nothing of before is under way any more, and no second restart.
  const after = await byHand("service.restart", "name=shop");
  assert.equal(after.code, 0, after.stdout);
  assert.deepEqual([host.boots, stateOf("shop")], [2, "active"]);
});
