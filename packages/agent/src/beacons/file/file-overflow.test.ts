/** The kernel's queue of notifications, really full: what was lost is told all the same, long before the minute's look. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { start as startFile } from "./file.ts";
import { definition, Fixture } from "../fixture.ts";
import { NotificationQueue } from "./notification-queue.ts";

const queuedEventsMax = Number(fs.readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"));
/** What fills the queue takes memory of the kernel and time; hosts with much larger ones are not what this is tried on. */
const triedMax = 131_072;

test(
  "an overflow of the kernel's queue is told, and what was lost with it is found at once, in directories that nobody heard of too",
  { skip: queuedEventsMax > triedMax ? `fs.inotify.max_queued_events is ${queuedEventsMax}, over ${triedMax}` : false },
  async (t) => {
    const never = 1_000_000_000;
    const f = new Fixture({
      start: (wanted, context) => startFile(wanted as Extract<typeof wanted, { type: "file" }>, context, { sweepEveryMs: never }),
    });
    t.after(() => f.end());
    fs.writeFileSync(f.host("a"), "x");
    fs.writeFileSync(f.host("b"), "x");
    fs.writeFileSync(f.host("gone"), "x");
    await f.beacons.apply([definition({ type: "file", settle: "0ms", paths: [f.host("")], severity: "low" })]);
    // The event loop is held, so nobody takes from the queue. Two by turns: the kernel makes one of two that are the same.
    for (let n = 0; n <= queuedEventsMax; n++) fs.utimesSync(f.host(n % 2 === 0 ? "a" : "b"), n, n);
    fs.mkdirSync(f.host("deep/er"), { recursive: true });
    fs.writeFileSync(f.host("deep/er/file"), "lost");
    fs.rmSync(f.host("gone"));
    const overflow = await f.next();
    assert.deepEqual([overflow.type, overflow.severity], ["beacon.overflow", "high"]);
    assert.match((overflow.data as unknown as { message: string }).message, new RegExp(`queue of ${queuedEventsMax} .* was full`));
    const lost = [await f.next(), await f.next(), await f.next(), await f.next()];
    assert.deepEqual(lost.map(({ type, subject }) => `${type} ${subject?.slice(f.host("").length + 1)}`).sort(), [
      "file.created deep",
      "file.created deep/er",
      "file.created deep/er/file",
      "file.removed gone",
    ]);
    // The directory that was made meanwhile is watched from now on.
    fs.writeFileSync(f.host("deep/er/file"), "heard");
    assert.equal((await f.next()).type, "file.changed");
    assert.equal(f.events.length, 6);
  },
);

test("as many notifications in one turn as the queue holds mean that it was full, half as many that it may have been; over turns they mean nothing", async () => {
  const queue = new NotificationQueue();
  const heard: boolean[] = [];
  const stop = queue.onOverflow(({ lost, queuedMax }) => {
    assert.equal(queuedMax, queuedEventsMax);
    heard.push(lost);
  });
  const turn = () => new Promise((resolve) => void setImmediate(resolve));
  const burst = async (count: number) => {
    for (let n = 0; n < count; n++) queue.heard();
    await turn();
    await turn();
  };
  await burst(queuedEventsMax / 2 - 1);
  await burst(queuedEventsMax / 2 - 1);
  assert.deepEqual(heard, []);
  await burst(queuedEventsMax / 2);
  await burst(queuedEventsMax);
  assert.deepEqual(heard, [false, true]);
  stop();
  await burst(queuedEventsMax);
  assert.equal(heard.length, 2);
});
