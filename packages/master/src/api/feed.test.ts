import assert from "node:assert/strict";
import type { Readable } from "node:stream";
import { test } from "node:test";
import type { Event } from "@needfire/shared/event";
import { secretMark } from "@needfire/shared/secret";
import { incoming, settled } from "../fixture.ts";
import { Feed } from "./feed.ts";

function event(position: number, data: Record<string, unknown> = {}): Event {
  const { epoch: _epoch, sequence: _sequence, ...rest } = incoming(position, { data });
  return { ...rest, position };
}

/** Everything that can be read now, as positions and notes. */
async function readAll(stream: Readable): Promise<unknown[]> {
  return (await readData(stream)).map((value) => value.position ?? value);
}

async function readData(stream: Readable): Promise<{ position?: number }[]> {
  let text = "";
  for (let quiet = 0; quiet < 3; quiet++) {
    await settled();
    for (let chunk: unknown = stream.read(); chunk !== null; chunk = stream.read()) {
      text += String(chunk);
      quiet = 0;
    }
  }
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as { position?: number });
}

const everything = () => true;

test("each watcher gets what it asked for, in order", async () => {
  const feed = new Feed(() => {});
  const all = feed.open(everything);
  const odd = feed.open(({ position }) => position % 2 === 1);
  feed.publish([event(1), event(2)]);
  feed.publish([event(3)]);
  assert.deepEqual(await readAll(all), [1, 2, 3]);
  assert.deepEqual(await readAll(odd), [1, 3]);
  feed.stop();
});

test("whoever watches sees no secret, neither in what was kept before it was known as one nor in what comes", async () => {
  const feed = new Feed(
    () => {},
    (text) => text.replaceAll("hunter2-hunter2", "***"),
  );
  const stream = feed.open(everything, Promise.resolve([event(1, { line: "password hunter2-hunter2" })]));
  feed.publish([event(2, { line: "again hunter2-hunter2", mark: secretMark("r/token", "nonce") })]);
  const read = JSON.stringify(await readData(stream));
  assert.doesNotMatch(read, /hunter2|nonce/);
  assert.match(read, /password \*\*\*.*again \*\*\*.*"mark":"\*\*\*"/);
  feed.stop();
});

test("events are wanted from the first watcher to the last, and not otherwise", async () => {
  const wanted: boolean[] = [];
  const feed = new Feed((now) => wanted.push(now));
  const [first, second] = [feed.open(everything), feed.open(everything)];
  first.destroy();
  await settled();
  assert.deepEqual(wanted, [true]);
  second.destroy();
  await settled();
  assert.deepEqual(wanted, [true, false]);
  feed.open(everything).destroy();
  await settled();
  assert.deepEqual(wanted, [true, false, true, false]);
});

test("P4: a watcher that does not read loses events, is told how many as soon as it reads again, and holds up nobody", async () => {
  const feed = new Feed(() => {});
  const [slow, quick] = [feed.open(everything), feed.open(everything)];
  const total = 300;
  const read: unknown[] = [];
  for (let position = 1; position <= total; position++) {
    feed.publish([event(position, { text: "x".repeat(100_000) })]);
    if (position % 20 === 0) read.push(...(await readAll(quick)));
  }
  assert.equal(read.length, total);
  const late = await readAll(slow);
  const got = late.filter((value) => typeof value === "number");
  assert.ok(got.length > 0 && got.length < total);
  assert.deepEqual(late.at(-1), { dropped: total - got.length });
  feed.publish([event(total + 1)]);
  assert.deepEqual(await readAll(slow), [total + 1]);
  feed.stop();
});

test("the past comes before the present, and what is in both comes once", async () => {
  const feed = new Feed(() => {});
  const past = Promise.withResolvers<Event[]>();
  const stream = feed.open(everything, past.promise);
  feed.publish([event(3), event(4)]);
  past.resolve([event(1), event(2), event(3)]);
  await settled();
  feed.publish([event(5)]);
  assert.deepEqual(await readAll(stream), [1, 2, 3, 4, 5]);
  feed.stop();
});

test("only so many may watch, and one that leaves makes room; stopping ends every stream", async () => {
  const feed = new Feed(() => {});
  const streams: Readable[] = [];
  while (!feed.full && streams.length < 1_000) streams.push(feed.open(everything));
  assert.ok(feed.full);
  streams[0]!.destroy();
  await settled();
  assert.ok(!feed.full);
  const ended = new Promise((done) => streams[1]!.once("end", done));
  streams[1]!.resume();
  feed.stop();
  await ended;
});
