import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Shelf, type Shelved } from "./shelf.ts";

const kilobyte = 1_024;

test("whatever is put and taken off meanwhile, a frame stays as it was until it is taken off", () => {
  const step = fc.record({ lane: fc.constantFrom("low", "critical"), kilobytes: fc.integer({ min: 0, max: 1_100 }), off: fc.nat(3) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const shelf = new Shelf();
      const held: { shelved: Shelved; mark: number; bytes: number }[] = [];
      for (const [index, { lane, kilobytes, off }] of steps.entries()) {
        const [mark, bytes] = [index % 251, kilobytes * kilobyte];
        held.push({ shelved: shelf.put(lane, new Uint8Array(bytes).fill(mark)), mark, bytes });
        for (const each of held) {
          assert.equal(each.shelved.bytes.length, each.bytes);
          assert.ok(each.shelved.bytes.every((byte) => byte === each.mark));
        }
        // Not always the oldest: a session that was closed, and a slice that overtook.
        for (let times = 0; times < off && held.length > 0; times++) shelf.takeOff(held.splice((index * 7) % held.length, 1)[0]!.shelved);
      }
    }),
    { numRuns: 30 },
  );
});

test("P4: memory is used again, so that a flood that is worked off takes no more than what waits at a time", () => {
  const shelf = new Shelf();
  const memories = new Set<unknown>();
  const waiting: Shelved[] = [];
  for (let frame = 0; frame < 1_000; frame++) {
    const shelved = shelf.put("low", new Uint8Array(100 * kilobyte));
    memories.add(shelved.bytes.buffer);
    waiting.push(shelved);
    if (waiting.length > 40) shelf.takeOff(waiting.shift()!);
  }
  const bytes = [...memories].reduce<number>((sum, memory) => sum + (memory as SharedArrayBuffer).byteLength, 0);
  assert.ok(bytes <= 2 * 40 * 100 * kilobyte, `${bytes} bytes`);
});
