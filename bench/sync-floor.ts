/**
 * The least that the main job's promises cost on this machine's disk: the same four synced writes (spool, journal with
 * task, execution journal, file), one after the other, by one process that does nothing else. No processes, no network, no judgement.
 */
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";

const databases = 3;
const row = "x".repeat(1_000);

/** Milliseconds that each round took. */
export async function syncFloor(dir: string, { rounds, pauseMs }: { rounds: number; pauseMs: number }): Promise<number[]> {
  const inserts = Array.from({ length: databases }, (_, index) => {
    const database = new DatabaseSync(join(dir, `floor-${index}.db`));
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE row (id INTEGER PRIMARY KEY, body TEXT)");
    return { database, insert: database.prepare("INSERT INTO row (body) VALUES (?)") };
  });
  const took: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await delay(pauseMs);
    const from = performance.now();
    for (const { insert } of inserts) insert.run(row);
    replaceFile(join(dir, "floor.conf"));
    took.push(performance.now() - from);
  }
  for (const { database } of inserts) database.close();
  return took;
}

function replaceFile(target: string): void {
  const descriptor = openSync(`${target}.new`, "w");
  writeSync(descriptor, row);
  fsyncSync(descriptor);
  closeSync(descriptor);
  renameSync(`${target}.new`, target);
}
