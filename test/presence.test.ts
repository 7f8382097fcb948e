/** Who is there, who is lost and who came back, with real processes: killed, paused, stopped, and over a restart of the master. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Testbed, until } from "./testbed.ts";

async function withAgent(work: (bed: Testbed) => Promise<void>): Promise<void> {
  const bed = await Testbed.start({ heartbeat: "300ms" });
  try {
    await bed.addAgent("web1");
    await work(bed);
  } finally {
    await bed.stop();
  }
}

const presenceOf = async (bed: Testbed) => (await bed.client.agent("web1")).presence;
const isNow = (bed: Testbed, presence: string) => until(`web1 is ${presence}`, async () => (await presenceOf(bed)) === presence);

test("an agent that stands still is lost in time and returns with what it has to tell; one that stops is not missed", () =>
  withAgent(async (bed) => {
    const agent = bed.agents.get("web1")!;
    await isNow(bed, "present");
    const paused = performance.now();
    agent.signal("SIGSTOP");
    const [lost] = await bed.events({ type: "agent.lost" }, 1);
    const passedMs = performance.now() - paused;
    assert.ok(passedMs > 3 * 300 - 300, `it was lost after ${passedMs} ms`);
    assert.deepEqual([lost!.subject, lost!.severity, await presenceOf(bed)], ["web1", "high", "lost"]);
    assert.match(String(lost!.data["reason"]), /^not heard for \d+ ms$/);
    const { agents_lost: lostAgents, agents_connected: connected } = await bed.client.status();
    assert.deepEqual([lostAgents, connected], [1, 0]);

    agent.signal("SIGCONT");
    const [returned] = await bed.events({ type: "agent.returned" }, 1);
    const { away_ms: awayMs, spooled } = returned!.data;
    assert.ok(Number(awayMs) > 3 * 300, `it was away for ${String(awayMs)} ms`);
    assert.equal(typeof spooled, "number");
    assert.match(agent.output(), /the master has not been heard for \d+ ms|the connection was cut/);
    assert.equal(await presenceOf(bed), "present");

    await agent.stop();
    await isNow(bed, "stopped");
    assert.equal((await bed.client.status()).agents_stopped, 1);
    await bed.startAgent("web1");
    await isNow(bed, "present");
    assert.deepEqual(
      [(await bed.events({ type: "agent.lost" }, 1)).length, (await bed.events({ type: "agent.returned" }, 1)).length],
      [1, 1],
    );
  }));

test("a master that restarts knows who was lost, and does not take for lost those who come back to it", () =>
  withAgent(async (bed) => {
    await bed.addAgent("web2");
    await bed.agents.get("web1")!.stop("SIGKILL");
    await bed.events({ type: "agent.lost" }, 1);
    await bed.master.stop("SIGKILL");
    await bed.startMaster();
    assert.equal(await presenceOf(bed), "lost");
    assert.equal((await bed.client.agent("web2")).presence, "present", "it has time to come back");
    await bed.connected("web2");
    await bed.startAgent("web1");
    await bed.events({ type: "agent.returned", agent: "master" }, 1);
    const lost = await bed.events({ type: "agent.lost" }, 1);
    assert.deepEqual(
      lost.map(({ subject }) => subject),
      ["web1"],
    );
  }));
