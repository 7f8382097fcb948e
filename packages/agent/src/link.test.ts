import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "@needfire/shared/wire";
import pino from "pino";
import { Router } from "zeromq";
import { generateKeyPair, Link, reconnectWaitMs } from "./link.ts";

const given = { attempt: 0, refused: false, spreadMs: 15_000, reconnectMinMs: 100, reconnectMaxMs: 30_000 };

test("the first attempt after a session is spread over the time that the master gave, later ones back off with jitter", () => {
  const range = (more: Partial<typeof given>) => [0, 1].map((chance) => reconnectWaitMs({ ...given, ...more }, () => chance));
  assert.deepEqual(range({}), [50, 15_100]);
  assert.deepEqual(range({ spreadMs: 0 }), [50, 100]);
  assert.deepEqual(range({ attempt: 3 }), [400, 800]);
  assert.deepEqual(range({ attempt: 100 }), [15_000, 30_000]);
  assert.deepEqual(range({ refused: true }), [15_000, 30_000]);
});

test("agents that lose their master together come back evenly over the spread", () => {
  const waits = Array.from({ length: 10_000 }, () => reconnectWaitMs(given, Math.random));
  for (let from = 0; from < 15_000; from += 1_500) {
    const share = waits.filter((wait) => wait >= from && wait < from + 1_500).length;
    assert.ok(share > 700 && share < 1_300, `${share} of 10,000 between ${from} and ${from + 1_500} ms`);
  }
});

test("what the master says to an agent that stops is not heard: no session begins that nobody would end", async () => {
  const [own, keys] = [generateKeyPair(), generateKeyPair()];
  const socket = new Router({ curveServer: true, curvePublicKey: own.publicKey, curveSecretKey: own.secretKey, linger: 0 });
  await socket.bind("tcp://127.0.0.1:*");
  const welcome = encode({ kind: "welcome", body: { session: "s", creditEvents: 1, heartbeatMs: 60_000 } });
  // Whatever it hears it welcomes, more than once.
  const serving = (async () => {
    for await (const [id] of socket) for (let count = 0; count < 50; count++) await socket.send([id!, welcome]);
  })().catch(() => {}); // closed
  const stop = new AbortController();
  const after: string[] = [];
  const link = new Link({
    ...{ address: String(socket.lastEndpoint).slice("tcp://".length), masterKey: own.publicKey, keys, agent: "web1", token: undefined },
    ...{ epoch: () => "e1", reconnectMinMs: 1, reconnectMaxMs: 1, log: pino({ level: "silent" }), onMessage: () => {} },
    onState: ({ state }) => {
      if (stop.signal.aborted) after.push(state);
      else if (state === "joined") stop.abort();
    },
  });
  await link.run(stop.signal);
  socket.close();
  await serving;
  assert.deepEqual(after, []);
});
