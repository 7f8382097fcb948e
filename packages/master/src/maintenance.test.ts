import assert from "node:assert/strict";
import { test } from "node:test";
import { NeedfireError } from "@needfire/shared/errors";
import type { MasterEventDraft } from "@needfire/shared/task";
import { TestClock } from "./fixture.ts";
import { Maintenance } from "./maintenance.ts";
import type { AgentRecord, SilenceRecord } from "./store/store.ts";

function world() {
  const clock = new TestClock(1_000);
  const records = new Map<string, AgentRecord>();
  for (const id of ["web1", "web2"]) records.set(id, { id, facts: {}, labels: {}, lastSeen: 0, presence: { state: "present", since: 0 } });
  const disk = { isFull: false };
  const kept: MasterEventDraft[] = [];
  const maintenance = new Maintenance({
    records: () => records.values(),
    record: (agent) => records.get(agent),
    keep: async (record, events) => {
      records.set(record.id, record);
      if (disk.isFull) throw new NeedfireError("DISK_FULL", "the disk takes nothing");
      kept.push(...events);
    },
    put: (record) => void records.set(record.id, record),
    silences: {
      add: async ({ forMs, why, by, agent }) =>
        ({ id: `s-${agent}`, agent, since: clock.now(), until: clock.now() + forMs, why, by, held: 0 }) as SilenceRecord,
      end: async (id) => ({ id }) as SilenceRecord,
    },
    send: () => true,
    clock,
    monotonic: clock,
  });
  const ended = () => kept.filter(({ type }) => type === "agent.maintenance_ended").map(({ subject }) => subject);
  return { clock, records, disk, maintenance, ended };
}

const noSession = () => undefined;

test("P4: that the maintenance of a host is over is told once, though the disk took nothing when it was", async () => {
  const { clock, records, disk, maintenance, ended } = world();
  for (const agent of ["web1", "web2"]) await maintenance.begin(agent, { forMs: 1_000, why: "a new disk", by: "ann" });
  clock.time += 2_000;
  disk.isFull = true;
  for (let second = 0; second < 3; second++) await maintenance.tick(noSession);
  assert.deepEqual([ended(), records.get("web1")?.maintenance?.by], [[], "ann"]);
  disk.isFull = false;
  for (let second = 0; second < 3; second++) await maintenance.tick(noSession);
  assert.deepEqual(new Set(ended()), new Set(["web1", "web2"]));
  assert.deepEqual([records.get("web1")?.maintenance, records.get("web1")?.restate], [undefined, "s-web1"]);
});

test("a word that ends it and cannot be kept can be given again", async () => {
  const { disk, maintenance, ended } = world();
  await maintenance.begin("web1", { forMs: 1_000, why: "a new disk", by: "ann" });
  disk.isFull = true;
  await assert.rejects(maintenance.end("web1", "bob"), { code: "DISK_FULL" });
  disk.isFull = false;
  await maintenance.end("web1", "bob");
  assert.deepEqual(ended(), ["web1"]);
});
