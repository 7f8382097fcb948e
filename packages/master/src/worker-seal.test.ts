import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "./fixture.ts";
import { batch, databaseFile, openWriter } from "./journal/journal-fixture.ts";
import { Sealer } from "./worker-seal.ts";

test("a partition is sealed in another thread while this one appends", async (t) => {
  const directory = temporaryDirectory(t);
  const journal = openWriter(directory, { partitionEventsMax: 2 });
  journal.append([batch([1, 2]), batch([3])]);
  const sealer = new Sealer(databaseFile(directory));
  const sealing = sealer.seal({ ...journal.partitions()[0]! });
  for (let number = 4; number <= 100; number++) journal.append([batch([number])]);
  const sealed = await sealing;
  journal.markSealed(1, sealed);
  assert.equal(statSync(join(directory, "journal", "1.db")).size, sealed.bytes);
  assert.equal(journal.read(0, 1_000).length, 100);
  await sealer.stop();
  journal.close();
});

test("what sealing throws reaches the one who asked", async (t) => {
  const directory = temporaryDirectory(t);
  const journal = openWriter(directory, { partitionEventsMax: 2 });
  journal.append([batch([1, 2]), batch([3])]);
  const wrong = { ...journal.partitions()[0]!, events: 3 };
  const sealer = new Sealer(databaseFile(directory));
  await assert.rejects(sealer.seal(wrong), /has 2 events where its catalogue says 3/);
  await sealer.stop();
  journal.close();
});
