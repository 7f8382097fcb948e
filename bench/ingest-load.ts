/**
 * The sender of `ingest.ts`, a process of its own: some agents that keep their whole credit on its way. Prints a line of JSON whenever it has
 * something to say: joined, and how many events have been acknowledged by now.
 *
 *     node bench/ingest-load.ts ADDRESS MASTER_KEY TOKEN AGENTS BATCH HEARD_SHARE
 */
import { BusPeer } from "../test/bus-peer.ts";
import { ingestDraft, matchEvery } from "./ingest-events.ts";
import { firstNumber, LoadFrame } from "./load.ts";
import { wireEvent } from "@needfire/shared/wire-event";

const [address = "", masterKey = "", token = "", agentsText = "8", batchText = "200", heardText = "1"] = process.argv.slice(2);
const agents = Number(agentsText);
const batch = Number(batchText);
const heardEvery = Number(heardText);
const epoch = "bench1";
const tellMs = 250;

let acknowledged = 0;
for (let index = 0; index < agents; index++) await join(index);
console.log(JSON.stringify({ joined: agents, bytes_per_frame: bytesPerFrame() }));
setInterval(() => console.log(JSON.stringify({ at: performance.now(), acknowledged })), tellMs);

async function join(index: number): Promise<void> {
  const peer = new BusPeer({ address, masterKey });
  const answer = await peer.join(`load${index}`, token);
  if (answer !== "welcome") throw new Error(`the master answered ${answer}`);
  await peer.send({ kind: "facts", body: { facts: {}, labels: {}, beacons: "", files: "" } });
  const first = firstNumber - 1;
  const begin = { type: "load.begun", subject: "", severity: "low", time: Date.now(), data: {} } as const;
  await peer.send({ kind: "events", body: { lane: "low", epoch, after: 0, resumed: true, events: [wireEvent(first, begin)] } });
  void pump(peer, frames(peer.session), first);
}

async function pump(peer: BusPeer, templates: LoadFrame[], first: number): Promise<void> {
  let credit = 1;
  let sent = first;
  let acked = first;
  let counter = firstNumber;
  for (;;) {
    while (sent - acked + batch <= credit) {
      await peer.socket.send(templates[counter % templates.length]!.sent(counter++, sent));
      sent += batch;
    }
    const ack = await peer.expect("ack", 60_000);
    if (ack === undefined) throw new Error("nothing was acknowledged for a minute");
    credit = ack.body.creditEvents;
    acknowledged += ack.body.sequence - acked;
    acked = ack.body.sequence;
  }
}

/** Together they hold each of the different events once. */
function frames(session: string): LoadFrame[] {
  const first = Array.from({ length: Math.ceil(matchEvery / batch) }, (_, index) => index * batch);
  return first.map(
    (offset) => new LoadFrame({ session, epoch, lane: "low", events: batch, draft: (index) => ingestDraft(offset + index, heardEvery) }),
  );
}

function bytesPerFrame(): number {
  return frames("x".repeat(22))[0]!.bytes;
}
