/** A host on which somebody works: it is watched, nothing is done, and what the work left behind is put right when it is over. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { AgentApiView } from "@needfire/shared/api";
import { run } from "../packages/cli/src/testing/run.ts";
import { Testbed, until } from "./testbed.ts";

test("in maintenance a change is recorded and not put back; afterwards it is, also when the master was away at the end", async (t) => {
  let file = "";
  const bed = await Testbed.start({}, (made) => {
    file = made.manage("app.conf", { content: "right\n" });
    writeFileSync(file, "right\n", { mode: 0o644 });
    made.beacon("managed", "name: managed\ntype: file\nmanaged: true\nsettle: 1ms\nseverity: high\n");
    made.reactor("restore", "name: restore\non: file.drifted\ndo:\n  - file.restore: { path: '${{ event.data.path }}' }\n");
    made.reactor("lost", "name: lost\non: agent.lost\ndo:\n  - event.emit: { type: host.missed, subject: '${{ event.data.agent }}' }\n");
  });
  t.after(() => bed.stop());
  const needfire = async (...words: string[]) => {
    const ran = await run([...words, "--json"], { env: { NEEDFIRE_MASTER: bed.path("master.sock") } });
    assert.equal(ran.code, 0, ran.stderr);
    return JSON.parse(ran.stdout) as AgentApiView;
  };
  const drifted = (count: number) => bed.events({ type: "file.drifted", agent: "web1" }, count);
  await bed.addAgent("web1");
  await bed.watching("web1", "managed");

  const begun = await needfire("agents", "maintenance", "web1", "--for", "1h", "--why", "new disk");
  assert.deepEqual(
    [begun.maintenance?.why, (await bed.client.silences()).silences.map(({ agent, why }) => [agent, why])],
    ["new disk", [["web1", "maintenance: new disk"]]],
  );
  writeFileSync(file, "wrong\n");
  const [event] = await drifted(1);
  await until("the decision is there", async () =>
    (await bed.client.explain(event!.id)).decisions.some(({ reactor, decision }) => reactor === "restore" && decision === "silenced"),
  );
  assert.deepEqual([readFileSync(file, "utf8"), (await bed.client.tasks({})).tasks], ["wrong\n", []]);

  // Another end: one silence in force, and the work goes on.
  await needfire("agents", "maintenance", "web1", "--for", "2h", "--why", "new disk");
  assert.equal((await bed.client.silences()).silences.length, 1);
  const ended = await needfire("agents", "maintenance", "web1", "--end");
  assert.equal(ended.maintenance, undefined);
  await drifted(2);
  await until("the file is put back", () => readFileSync(file, "utf8") === "right\n");
  await bed.tasks((tasks) => tasks.length === 1 && tasks[0]!.state === "resolved");
  const again = await run(["agents", "maintenance", "web1", "--end"], { env: { NEEDFIRE_MASTER: bed.path("master.sock") } });
  assert.deepEqual([again.code, again.stdout], [1, ""]);
  assert.match(again.stderr, /web1 is not in maintenance/);

  // It ends by the clock while neither master nor agent is there.
  await needfire("agents", "maintenance", "web1", "--for", "3s", "--why", "another disk");
  writeFileSync(file, "wrong again\n");
  await drifted(3);
  await bed.agents.get("web1")!.stop("SIGKILL");
  await bed.master.stop("SIGKILL");
  const over = Date.now() + 3_000;
  await until("the time is over", () => Date.now() > over);
  await bed.startMaster();
  await bed.startAgent("web1");
  await until("the file is put back", () => readFileSync(file, "utf8") === "right\n");
  assert.equal((await bed.events({ type: "agent.maintenance_ended" }, 2)).length, 2);
});
