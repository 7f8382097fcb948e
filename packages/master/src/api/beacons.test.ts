import assert from "node:assert/strict";
import { test } from "node:test";
import type { BeaconsView } from "@needfire/shared/api-beacons";
import type { Severity } from "@needfire/shared/event";
import { temporaryDirectory } from "../fixture.ts";
import { batch, databaseFile, numbered, openWriter } from "../journal/journal-fixture.ts";
import { SqliteJournalReader } from "../journal/sqlite-reader.ts";
import { beaconRoutes } from "./beacons.ts";
import { newServer } from "./http.ts";

const second = 1_000;
const came = 600 * second;

test("how a beacon is goes by what its host told last, though the host's clock is slow and what is urgent overtakes", async (t) => {
  const directory = temporaryDirectory(t);
  const journal = openWriter(directory);
  const told = (number: number, severity: Severity, { type, time, data = {} }: { type: string; time: number; data?: object }) =>
    journal.append([
      batch([numbered(number, { type, time, severity, beacon: "disks", data: { ...data } })], { lane: severity, received: came }),
    ]);
  const message = "no such mount";
  const beacons = [{ name: "disks", type: "disk", state: "watching" }];
  // Some minutes behind the master's clock; the failure came before what had happened earlier.
  told(3, "high", { type: "beacon.failed", time: 3 * second, data: { message } });
  told(1, "low", { type: "beacon.applied", time: second, data: { beacons } });
  told(2, "low", { type: "beacon.recovered", time: 2 * second });

  const reader = new SqliteJournalReader({ file: databaseFile(directory) });
  const server = newServer();
  beaconRoutes(server, {
    keys: { list: () => [], acceptedFor: () => ({}) as never },
    agents: { view: (id) => ({ id, labels: {}, facts: {} }) },
    history: { query: (query) => Promise.resolve(reader.query(query)) },
    beacons: () => [],
    beaconProblems: () => [],
  });
  t.after(async () => {
    await server.close();
    reader.close();
    journal.close();
  });
  const { statusCode, body } = await server.inject({ url: "/v1/beacons", query: { agent: "web1" } });
  assert.equal(statusCode, 200, body);
  const [disks] = (JSON.parse(body) as BeaconsView).beacons;
  assert.deepEqual([disks?.name, disks?.state, disks?.message], ["disks", "failed", message]);
});
