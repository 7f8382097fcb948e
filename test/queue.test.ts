/** Commands that wait for their turn, with a real master and a real agent: at the master, which may give out one at a time, and at the agent, which runs one at a time. */
import assert from "node:assert/strict";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { TaskView } from "@needfire/shared/api";
import { Testbed, until } from "./testbed.ts";

const priorities = ["low", "high", "critical"] as const;
const risesAfterMs = 500;

/**
 * An event `test.PRIORITY` makes a task of that priority for the host, whose command notes the event's subject. The one of `gate` waits for a file
 * first. The events are not the host's: what happens there while a command runs is taken for the command's doing.
 */
async function setting(master: string, agent: string) {
  const bed = await Testbed.start({ master }, (made) => {
    const script = 'while [ "$1" = gate ] && [ ! -e "$3" ]; do sleep 0.05; done; echo "$1" >> "$2"';
    const argv = JSON.stringify([script, "${{ event.subject }}", made.path("notes.txt"), made.path("go")]);
    for (const priority of priorities)
      made.reactor(
        priority,
        `name: ${priority}
on: test.${priority}
targets: web1
priority: ${priority}
do: [{ command.run: { shell: true, timeout: 5m, argv: ${argv} } }]
`,
      );
  });
  const { join_string: joinString } = await bed.client.createToken({ uses: 1 });
  assert.equal((await bed.join("web1", joinString)).code, 0);
  appendFileSync(bed.path("web1.yaml"), `${agent}\n`);
  await bed.startAgent("web1");
  // What it says of itself is there by then, and it is a host for which something can be.
  await bed.events({ type: "beacon.applied", agent: "web1" }, 1);
  const notes = () => (existsSync(bed.path("notes.txt")) ? readFileSync(bed.path("notes.txt"), "utf8").trimEnd().split("\n") : []);
  const happens = async (priority: (typeof priorities)[number], subject: string) =>
    void (await bed.client.send({ type: `test.${priority}`, severity: priority, subject, data: {} }));
  const go = () => writeFileSync(bed.path("go"), "");
  return { bed, notes, happens, go };
}

test("what may not be given out yet says so, is overtaken by what is critical, and runs once although the master is killed meanwhile", async () => {
  const { bed, notes, happens, go } = await setting("commands_per_agent_max: 1", "");
  const makes = async (priority: (typeof priorities)[number], subject: string, count = 1) => {
    await happens(priority, subject);
    return (await bed.tasks((tasks) => tasks.length === count, priority))[0]!.id;
  };
  const turn = "its turn: 1 before it; 1 command is with web1 (commands_per_agent_max)";
  try {
    await makes("high", "gate");
    const low = await makes("low", "low-1");
    await makes("high", "high-1", 2);
    const saysTurn = async () => {
      const { waits_for: waits, executions } = await bed.client.task(low);
      return waits === turn && executions[0]?.waits_for === turn;
    };
    await until("the low one says what it waits for", saysTurn);
    const { commands_given: given, commands_waiting: waiting } = await bed.client.status();
    assert.deepEqual({ given, waiting }, { given: 1, waiting: 2 });
    await happens("critical", "critical-1");
    await bed.tasks((tasks) => tasks[0]?.state === "resolved", "critical");
    assert.deepEqual(notes(), ["critical-1"]);
    await bed.master.stop("SIGKILL");
    await bed.startMaster();
    await bed.connected("web1");
    await until("the master knows again who is before it", saysTurn);
    go();
    await bed.tasks((tasks) => tasks[0]?.state === "resolved", "low");
    assert.deepEqual(notes(), ["critical-1", "gate", "high-1", "low-1"]);
    assert.equal((await bed.client.task(low)).waits_for, undefined);
  } finally {
    go();
    await bed.stop();
  }
});

for (const { where, master, agent, first } of [
  // What is critical does not wait for the limit, and the host has room.
  { where: "at the master", master: "commands_per_agent_max: 1", agent: "", first: ["critical-1", "gate"] },
  { where: "at the agent", master: "", agent: "executions_max: 1", first: ["gate", "critical-1"] },
])
  test(`a low command that waits ${where} has its turn before the high ones of a stream that began long after it, and what is critical before all`, async () => {
    const { bed, notes, happens, go } = await setting(`rises_after: ${risesAfterMs}ms\n${master}`, agent);
    /** So many tasks are there, and the command of each is in the line where it waits, or runs. */
    const reached = async (priority: (typeof priorities)[number], count: number) => {
      const isThere = ({ executions: [command] }: TaskView) =>
        command !== undefined && (command.waits_for !== undefined || (command.state !== "queued" && command.state !== "sent"));
      await bed.tasks((tasks) => tasks.length === count && tasks.every(isThere), priority);
    };
    try {
      for (const [index, name] of ["gate", "high-0"].entries()) {
        await happens("high", name);
        await reached("high", index + 1);
      }
      await happens("low", "low-1");
      await reached("low", 1);
      const aged = performance.now() + 3 * risesAfterMs;
      await until("it has waited for long enough", () => performance.now() > aged);
      const stream = ["high-1", "high-2", "high-3", "high-4", "high-5"];
      for (const name of stream) await happens("high", name);
      await reached("high", 2 + stream.length);
      await happens("critical", "critical-1");
      await reached("critical", 1);
      if (first[0] === "critical-1") await until("it has overtaken all", () => notes().length === 1);
      go();
      await until("all have run", () => notes().length === 4 + stream.length);
      assert.deepEqual(notes(), [...first, "high-0", "low-1", ...stream]);
    } finally {
      go();
      await bed.stop();
    }
  });
