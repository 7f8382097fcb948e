/**
 * Hostile bytes on the port: whatever comes in, the master answers its operators, lets honest agents in and puts their files back, and
 * afterwards holds no more memory and no more connections than a stated bound. A real master, a real agent, and peers that do not keep
 * to the rules.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { parseJoinString } from "@needfire/shared/identity";
import { encode, frameBytesMax } from "@needfire/shared/wire";
import { curveKeyPair, Dealer } from "zeromq";
import { BusPeer, eventsMessage } from "./bus-peer.ts";
import { type Process, Testbed, until } from "./testbed.ts";

/** From the first byte of a connection to its end when it does not say who it is; the master's default is 5 s. */
const handshakeTimeoutMs = 1_000;
/** What the master may have grown by when all of it is over: buffers of libzmq's that the allocator keeps, and V8's. */
const grownBytesMax = 200 * 1024 * 1024;
/** Connections of ours that may still be open then: those of the honest agents, and of the API. */
const leftOpenMax = 10;
/** An answer of the API under attack, on a small machine that runs other tests as well. */
const answerMsMax = 5_000;
const right = "right\n";

describe("hostile bytes on the port", () => {
  let bed: Testbed;
  let port: number;
  let door: { address: string; masterKey: string };
  let file: string;
  let atRest: { rssBytes: number; open: number };
  let joined = 0;
  const peers: { close(): void }[] = [];

  const kept = <T extends { close(): void }>(peer: T): T => {
    peers.push(peer);
    return peer;
  };
  const accepted = async () => {
    const { token } = parseJoinString((await bed.client.createToken({ uses: 1 })).join_string);
    const peer = kept(new BusPeer(door));
    assert.equal(await peer.join(`peer${++joined}`, token), "welcome");
    return peer;
  };
  /** What an operator and a host notice: nothing. */
  const allIsWell = async () => {
    const asked = performance.now();
    assert.equal((await bed.client.status()).pid, bed.master.pid);
    const tookMs = performance.now() - asked;
    assert.ok(tookMs < answerMsMax, `the API took ${Math.round(tookMs)} ms`);
    bed.write("host/app.conf", `wrong ${Math.random()}\n`);
    await until("the file is back", () => existsSync(file) && readFileSync(file, "utf8") === right);
    assert.equal(bed.agents.get("web1")!.running && bed.master.running, true);
  };
  const aNewAgentJoins = async () => {
    const id = `new${++joined}`;
    const agent = await bed.addAgent(id);
    await agent.stop();
    bed.agents.delete(id);
  };

  before(async () => {
    bed = await Testbed.start({ heartbeat: "1m", master: `handshake_timeout: ${handshakeTimeoutMs}ms` }, (made) => {
      file = made.manage("app.conf", { content: right, targets: "web1" });
      made.reactor(
        "restore",
        "name: restore\non: file.drifted\nlimits: { breaker: off }\ndo:\n  - file.restore: { path: '${{ event.data.path }}' }\n",
      );
      made.beacon("managed", "name: managed\ntype: file\nmanaged: true\nsettle: 1ms\n");
    });
    const { address, masterKey } = parseJoinString((await bed.client.status()).join_string);
    door = { address, masterKey };
    port = Number(address.split(":").at(-1));
    await bed.addAgent("web1");
    await until("the file is in place", () => existsSync(file));
    // Whatever honest use costs in memory is not the attackers' doing.
    await aNewAgentJoins();
    (await accepted()).close();
    for (let round = 0; round < 20; round++) await allIsWell();
    atRest = { rssBytes: rssBytes(bed.master), open: openFiles(bed.master) };
  });
  after(async () => {
    for (const peer of peers) peer.close();
    await bed.stop();
  });

  /** A connection without any of ZeroMQ's code, so that any bytes can be said. */
  const raw = (...says: Buffer[]): Promise<RawPeer> => rawPeer(port, says).then(kept);

  test("garbage, other protocols, and frames that announce more than there is: the connection is dropped", async () => {
    const size = Buffer.alloc(8);
    size.writeBigUInt64BE(2n ** 62n);
    const sayings = [
      randomBytes(65_536),
      Buffer.alloc(65_536),
      Buffer.alloc(65_536, 0xff),
      Buffer.from("GET / HTTP/1.1\r\nHost: master\r\n\r\n"),
      Buffer.from("1603010200010001fc0303", "hex"),
      Buffer.from("SSH-2.0-OpenSSH_9.9\r\n"),
      // Greetings that are well-formed as such, for other mechanisms and versions, or with nonsense behind.
      greeting("NULL"),
      greeting("PLAIN"),
      greeting("CURVE", { version: 0 }),
      Buffer.concat([greeting("CURVE"), randomBytes(65_536)]),
      Buffer.concat([greeting("CURVE"), Buffer.from([0x06]), size]), // a command of 2^62 bytes
      Buffer.concat([greeting("CURVE"), Buffer.from([0x04, 200]), Buffer.from("\x05HELLO"), randomBytes(194)]),
      Buffer.concat([greeting("CURVE"), Buffer.from([0x04, 10]), Buffer.from("\x05READY1234")]),
    ];
    const opened = await Promise.all(sayings.flatMap((saying) => Array.from({ length: 5 }, () => raw(saying))));
    await allIsWell();
    await aNewAgentJoins();
    await Promise.all(opened.map(({ closed }) => closed));
    await allIsWell();
  });

  test("a ZeroMQ peer without CURVE gets nowhere", async () => {
    const plain = kept(new Dealer({ linger: 0, reconnectInterval: -1 }));
    const turnedAway = Promise.race(
      (["disconnect", "handshake:error:protocol", "handshake:error:other", "handshake:error:auth"] as const).map(
        (event) => new Promise<string>((resolve) => plain.events.on(event, () => resolve(event))),
      ),
    );
    plain.connect(`tcp://${door.address}`);
    // With nobody to send to it waits, and is ended by the close.
    const sent = plain.send(encode({ kind: "knock", body: {} })).catch(() => {});
    await turnedAway;
    await allIsWell();
    plain.close();
    await sent;
  });

  test("a peer with another master's key gets nowhere", async () => {
    const wrong = kept(new BusPeer({ ...door, masterKey: curveKeyPair().publicKey }));
    const turnedAway = new Promise<void>((resolve) => wrong.socket.events.on("disconnect", () => resolve()));
    const sent = wrong.send({ kind: "knock", body: {} }).catch(() => {});
    await turnedAway;
    assert.deepEqual(wrong.heard, []);
    await allIsWell();
    wrong.close();
    await sent;
  });

  test("a frame that is too large cuts its peer off; one that is just not costs it nothing", async () => {
    const peer = await accepted();
    await peer.sendRaw(Buffer.alloc(frameBytesMax, 0xc0));
    await peer.send({ kind: "ping", body: {} });
    assert.notEqual(await peer.expect("pong", 15_000), undefined);
    const cutOff = new Promise<void>((resolve) => peer.socket.events.on("disconnect", () => resolve()));
    await peer.sendRaw(Buffer.alloc(frameBytesMax + 1));
    await cutOff;
    // And what is larger than any memory should be asked for.
    const greedy = await accepted();
    const cutOffToo = new Promise<void>((resolve) => greedy.socket.events.on("disconnect", () => resolve()));
    await greedy.sendRaw(Buffer.alloc(128 * 1024 * 1024));
    await cutOffToo;
    await allIsWell();
  });

  test("thousands of malformed frames from an accepted peer are dropped one by one", async () => {
    const peer = await accepted();
    const good = encode({ kind: "ping", body: {} }, { session: peer.session, counter: 1_000_000_000 });
    const deep = Buffer.concat([Buffer.alloc(10_000, 0x91), Buffer.from([0xc0])]);
    const bodies = [
      Buffer.alloc(0),
      good.subarray(0, 7),
      Buffer.concat([good, good]),
      deep,
      Buffer.from("c70a01414141", "hex"), // an extension, cut short
      Buffer.from("dfffffffff", "hex"), // a map of 2^32 entries
      Buffer.from('{"kind":"hello"}'),
      encode(eventsMessage([null, 1, "x", [], [-1], { __proto__: null }]), { session: peer.session, counter: 0 }),
    ];
    const rounds = 2_000;
    for (let round = 0; round < rounds; round++) {
      for (const body of bodies) await peer.sendRaw(body);
      await peer.sendRaw(randomBytes(1 + (round % 300)));
      if (round === rounds / 2) await allIsWell();
    }
    peer.sent.length = 0;
    // The session lives on: what came before has been read, and has not cost it anything.
    await peer.send({ kind: "ping", body: {} });
    assert.notEqual(await peer.expect("pong", 60_000), undefined);
    assert.equal((await bed.client.events({ agent: `peer${joined}` })).events.length, 0);
    await allIsWell();
  });

  test("messages of many frames are dropped whole", async () => {
    const peer = await accepted();
    const ping = encode({ kind: "ping", body: {} }, { session: peer.session, counter: 500 });
    for (let round = 0; round < 500; round++) await peer.socket.send(Array.from({ length: 100 }, () => ping));
    assert.equal(await peer.expect("pong", 0), undefined);
    await peer.send({ kind: "ping", body: {} });
    assert.notEqual(await peer.expect("pong", 30_000), undefined);
    assert.equal(await peer.expect("pong", 0), undefined, "a frame of a message of many was heard");
    await allIsWell();
  });

  test("a flood of knocks, from one peer and from many, that reads no answer", async () => {
    // A token that can be used lets unknown keys through the handshake.
    await bed.client.createToken({ uses: 1 });
    const flooders = Array.from({ length: 100 }, () => {
      const keys = curveKeyPair();
      const flooder = new Dealer({
        curveServerKey: door.masterKey,
        curvePublicKey: keys.publicKey,
        curveSecretKey: keys.secretKey,
        reconnectInterval: -1,
        linger: 0,
      });
      flooder.connect(`tcp://${door.address}`);
      return kept(flooder);
    });
    const knock = encode({ kind: "knock", body: {} });
    const stop = new AbortController();
    const flooding = flooders.map(async (flooder, index) => {
      // The first one never stops; the others knock some hundred times each.
      const knocks = index === 0 ? Number.POSITIVE_INFINITY : 500;
      for (let count = 0; !stop.signal.aborted && count < knocks; count++) await flooder.send(knock);
    });
    await allIsWell();
    await aNewAgentJoins();
    await allIsWell();
    stop.abort();
    for (const flooder of flooders) flooder.close();
    await Promise.allSettled(flooding);
    await allIsWell();
  });

  test("1,000 connections that say nothing, and 200 that stop in the middle of a word, are dropped in time", async () => {
    const silent = await Promise.all(Array.from({ length: 1_000 }, () => raw()));
    await until("the master holds them open", () => openFiles(bed.master) > atRest.open + 100);
    const stuck = await Promise.all(Array.from({ length: 200 }, (_, index) => raw(greeting("CURVE").subarray(0, 1 + (index % 64)))));
    await allIsWell();
    await aNewAgentJoins();
    await Promise.all([...silent, ...stuck].map(({ closed }) => closed));
    await allIsWell();
    // Once more, with the limit reached while others come.
    await Promise.all(Array.from({ length: 1_000 }, () => raw()));
    await aNewAgentJoins();
  });

  test("when all of it is over, nothing is held open and memory is where it was, within a bound", async (context) => {
    for (const peer of peers) peer.close();
    await until(
      "the connections are gone",
      () => openFiles(bed.master) <= atRest.open + leftOpenMax,
      () => `${openFiles(bed.master)} open files, ${atRest.open} before`,
    );
    await allIsWell();
    await aNewAgentJoins();
    const grown = rssBytes(bed.master) - atRest.rssBytes;
    context.diagnostic(`the master grew by ${Math.round(grown / 1024 / 1024)} MiB`);
    assert.ok(grown < grownBytesMax, `the master grew by ${Math.round(grown / 1024 / 1024)} MiB`);
    assert.doesNotMatch(bed.master.output(), /"level":60|uncaught|unhandled/i);
  });
});

interface RawPeer {
  /** When the other side has ended it. */
  closed: Promise<void>;
  close(): void;
}

async function rawPeer(port: number, says: Buffer[]): Promise<RawPeer> {
  const socket: Socket = connect({ port, host: "127.0.0.1" });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  // A reset is the end of a connection like any other here. What the master says is read, so that its end is noticed.
  socket.on("error", () => {});
  socket.resume();
  await Promise.race([new Promise((resolve) => socket.once("connect", resolve)), closed]);
  for (const bytes of says) socket.write(bytes);
  await delay(0);
  return { closed, close: () => socket.destroy() };
}

/** ZMTP 3's first 64 bytes (https://rfc.zeromq.org/spec/23/). */
function greeting(mechanism: string, { version = 3 } = {}): Buffer {
  const bytes = Buffer.alloc(64);
  bytes[0] = 0xff;
  bytes[9] = 0x7f;
  bytes[10] = version;
  bytes.write(mechanism, 12, "latin1");
  return bytes;
}

function openFiles({ pid }: Process): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function rssBytes({ pid }: Process): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

test("a peer that sends messages of endless parts gets its connection dropped before it has all the memory, and agents come back", async () => {
  const limit = 350_000_000;
  const bed = await Testbed.start({ master: `memory_max: ${limit}` });
  try {
    await bed.addAgent("web1");
    const { join_string: joinString } = await bed.client.createToken({ uses: 1 });
    const { address, masterKey, token } = parseJoinString(joinString);
    const peer = new BusPeer({ address, masterKey });
    assert.equal(await peer.join("greedy", token), "welcome");
    const part = Buffer.alloc(1_000_000);
    const message = Array.from({ length: 3_000 }, () => part);
    // It is cut off in the middle, so this may never end.
    void peer.socket.send(message).catch(() => {});
    const [told] = await bed.events({ type: "master.memory" }, 1);
    peer.close();
    assert.equal(told!.data["limit"], limit);
    // How much the allocator gives back at once is its own affair; what counts is that the message never came to be there whole.
    const peakBytes = Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${bed.master.pid}/status`, "utf8"))?.[1]) * 1024;
    assert.ok(peakBytes < (part.length * message.length) / 2, `the master had ${peakBytes} bytes`);
    await bed.connected("web1");
    assert.equal(bed.master.running, true);
  } finally {
    await bed.stop();
  }
});
