/**
 * State that is not what it was: a spool that was destroyed, a host or a master that was put back to a snapshot. What is lost with it
 * cannot be had again; but nothing that comes after it may be lost or done twice, and what is lost is told.
 */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Testbed, until } from "./testbed.ts";

async function withDrop(script: string[], work: (bed: Testbed, drop: (name: string) => void) => Promise<void>): Promise<void> {
  const bed = await Testbed.start({}, (made) => {
    mkdirSync(made.path("host", "in"));
    const argv = JSON.stringify([...script, made.path("ran.txt")]);
    made.reactor("run", `name: run\non: file.created\ndo:\n  - command.run: { shell: true, argv: ${argv}, timeout: 1m }\n`);
    made.beacon("drop", `name: drop\ntype: file\npaths: [${JSON.stringify(made.path("host", "in"))}]\nsettle: 1ms\n`);
  });
  try {
    await bed.addAgent("web1");
    await bed.watching("web1", "drop");
    await work(bed, (name) => writeFileSync(bed.path("host", "in", name), ""));
  } finally {
    await bed.stop();
  }
}

/** Resolves when the beacons watch anew, and what they said has come to the master. */
async function startedAgain(bed: Testbed): Promise<void> {
  const before = (await bed.client.events({ type: "beacon.applied", limit: 100 })).events.length;
  await bed.startAgent("web1");
  await until(
    "the beacons watch again",
    async () => (await bed.client.events({ type: "beacon.applied", limit: 100 })).events.length > before,
  );
}

test("a command that was under way when the spool was destroyed does not run again (P3)", () =>
  withDrop(['echo ran >> "$1"; exec sleep 3'], async (bed, drop) => {
    drop("file");
    await until("the command runs", () => existsSync(bed.path("ran.txt")));
    await bed.agents.get("web1")!.stop("SIGKILL");
    rmSync(bed.path("state-web1", "spool.db-wal"), { force: true });
    writeFileSync(bed.path("state-web1", "spool.db"), "garbage");
    await bed.startAgent("web1");
    await bed.events({ type: "spool.damaged" }, 1);
    await bed.tasks(([task]) => task?.state === "resolved" || task?.state === "escalated");
    assert.equal(readFileSync(bed.path("ran.txt"), "utf8"), "ran\n");
  }));

/** The host's own: what the agent knows, and what it watches. */
const onHost = ["state-web1", "host"];

/** The agent must not run. */
function snapshot(bed: Testbed): void {
  for (const part of onHost) cpSync(bed.path(part), bed.path("snapshot", part), { recursive: true });
}

function putBack(bed: Testbed): void {
  for (const part of onHost) {
    rmSync(bed.path(part), { recursive: true });
    cpSync(bed.path("snapshot", part), bed.path(part), { recursive: true });
  }
}

test("a host that was put back to a snapshot uses no number again: what it says afterwards reaches the journal, once (P1)", () =>
  withDrop(['echo ran >> "$1"'], async (bed, drop) => {
    await bed.agents.get("web1")!.stop();
    snapshot(bed);
    await startedAgain(bed);
    const allDone = (count: number) => bed.tasks((tasks) => tasks.length === count && tasks.every(({ state }) => state === "resolved"));
    // One after the other: what happens while a command runs counts as its doing (P7).
    for (const [index, name] of ["a", "b", "c"].entries()) {
      drop(name);
      await allDone(index + 1);
    }
    // Twice, since the second time it is the numbering of the first that is unknown to the host.
    for (const [index, time] of ["first", "second"].entries()) {
      await bed.agents.get("web1")!.stop("SIGKILL");
      putBack(bed);
      // The agent's first words after the snapshot.
      await startedAgain(bed);
      drop(time);
      const [told] = await bed.events({ type: "spool.turned_back" }, index + 1);
      assert.ok(Number(told?.data["until"]) > Number(told?.data["after"]));
      const made = async () => (await bed.client.events({ type: "file.created", where: `event.subject.endsWith("/${time}")` })).events;
      await until("a new file is in the journal", async () => (await made()).length > 0);
      assert.equal((await made()).length, 1);
      // What is to be done about it is done.
      await allDone(4 + index);
    }
    assert.equal(readFileSync(bed.path("ran.txt"), "utf8"), "ran\n".repeat(5));
  }));

test("a command that ran before its host was put back to a snapshot does not run again (P3)", () =>
  withDrop(['echo ran >> "$1"; exec sleep 3'], async (bed, drop) => {
    await bed.agents.get("web1")!.stop();
    snapshot(bed);
    await startedAgain(bed);
    drop("file");
    await until("the command runs", () => existsSync(bed.path("ran.txt")));
    await bed.agents.get("web1")!.stop("SIGKILL");
    putBack(bed);
    await bed.startAgent("web1");
    await bed.tasks(([task]) => task?.state === "resolved" || task?.state === "escalated");
    const [result] = await bed.events({ type: "execution.finished" }, 1);
    assert.equal(result?.data["outcome"], "interrupted");
    assert.equal(readFileSync(bed.path("ran.txt"), "utf8"), "ran\n");
  }));

test("a master that was put back to a snapshot tells what it misses of an agent (P4)", () =>
  withDrop(['echo ran >> "$1"'], async (bed, drop) => {
    await bed.master.stop();
    cpSync(bed.path("master"), bed.path("snapshot"), { recursive: true });
    await bed.startMaster();
    await bed.connected("web1");
    drop("lost");
    await bed.tasks(([task]) => task?.state === "resolved");
    // Stopped cleanly, the agent has had its acknowledgements, and forgotten what they were for.
    await bed.agents.get("web1")!.stop();
    await bed.master.stop("SIGKILL");
    rmSync(bed.path("master"), { recursive: true });
    cpSync(bed.path("snapshot"), bed.path("master"), { recursive: true });
    await bed.startMaster();
    await startedAgain(bed);
    drop("after");
    await bed.events({ type: "file.created", where: `event.subject.endsWith("/after")` }, 1);
    // For each lane of which something is missing; they come behind what showed it.
    const gaps = await bed.events({ type: "agent.gap" }, 1);
    assert.ok(gaps.every(({ subject, data }) => subject === "web1" && Number(data["after"]) < Number(data["until"])));
  }));
