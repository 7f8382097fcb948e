import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import type { Severity } from "@needfire/shared/event";
import { helloProof, type KeyPair, sharedSecret } from "@needfire/shared/identity";
import { type AgentMessage, decodeFromMaster, encode, type MasterMessage } from "@needfire/shared/wire";
import { FakeCommit, settled, silent, somePublicKey, TestClock } from "./fixture.ts";
import { Keys } from "./keys.ts";
import { generateKeyPair } from "./link.ts";
import { reconnectSpreadMs } from "./presence.ts";
import { type Session, Sessions } from "./sessions.ts";

const master = generateKeyPair();

/** The gate, with a link that keeps what was sent to each routing id. */
function setting({ pendingMax = 10, marks = new Promise<Record<Severity, number>>(() => {}) } = {}) {
  const clock = new TestClock();
  const said: { to: string; message: MasterMessage }[] = [];
  const handled: string[] = [];
  const opened: Session[] = [];
  const closed: string[] = [];
  const keys: Keys = new Keys(
    { enrolment: "manual", pendingMax, commit: new FakeCommit().commit, clock, onChange: (key) => sessions.keyChanged(key) },
    { keys: [], tokens: [] },
  );
  const handle = (verb: string) => (session: Session) => void handled.push(`${session.agent} ${verb}`);
  const sessions: Sessions = new Sessions({
    keys,
    own: master,
    link: () => ({
      send: (routingId: Buffer, frame: Buffer) => {
        const decoded = decodeFromMaster(frame);
        assert.ok(decoded.ok);
        said.push({ to: routingId.toString("hex"), message: decoded.message });
        return true;
      },
    }),
    heartbeatMs: 1_000,
    creditEvents: () => 100,
    clock,
    log: silent,
    marks: () => marks,
    onEvents: handle("events"),
    handlers: {
      facts: handle("facts"),
      accepted: handle("accepted"),
      leased: handle("leased"),
      taken: handle("taken"),
      restated: handle("restated"),
      blobGet: handle("blobGet"),
    },
    onOpen: (session) => opened.push(session),
    onClose: (session, reason) => closed.push(`${session.agent}: ${reason}`),
    onOtherNumbering: (agent) => handled.push(`${agent} of another numbering`),
  });
  return { sessions, keys, clock, said, handled, opened, closed };
}

type Setting = ReturnType<typeof setting>;

/** Somebody on the other side of a connection. */
class Peer {
  readonly routingId = randomBytes(16);
  readonly keys: KeyPair;
  session = "";
  counter = 0;
  epoch = "e1";
  readonly #s: Setting;

  constructor(s: Setting, keys = generateKeyPair()) {
    this.#s = s;
    this.keys = keys;
  }

  frame(message: AgentMessage, envelope = { session: this.session, counter: ++this.counter }): Buffer {
    return encode(message, envelope);
  }

  say(message: AgentMessage): void {
    this.#s.sessions.hear(this.routingId, this.frame(message));
  }

  /** What the master has said to this peer, in order. */
  heard(): MasterMessage[] {
    return this.#s.said.filter(({ to }) => to === this.routingId.toString("hex")).map(({ message }) => message);
  }

  kinds(): string[] {
    return this.heard().map(({ kind }) => kind);
  }

  knock(): Buffer {
    this.say({ kind: "knock", body: {} });
    const last = this.heard().at(-1);
    assert.ok(last?.kind === "challenge");
    return Buffer.from(last.body.challenge, "base64url");
  }

  hello(agent: string, challenge: Buffer, publicKey = this.keys.publicKey, epoch = this.epoch): AgentMessage {
    const proof = helloProof(sharedSecret(this.keys, master.publicKey), { routingId: this.routingId, challenge, agent, publicKey });
    return { kind: "hello", body: { agent, publicKey, proof: proof.toString("base64url"), epoch } };
  }

  async greet(agent: string): Promise<void> {
    this.say(this.hello(agent, this.knock()));
    await settled();
    this.#learn();
  }

  #learn(): void {
    const last = this.heard().at(-1);
    if (last?.kind === "welcome") {
      this.session = last.body.session;
      this.counter = 0;
    }
  }

  /** Greets and is accepted by the operator. */
  async join(agent: string): Promise<this> {
    await this.greet(agent);
    if (this.#s.keys.get(this.keys.publicKey)?.state === "pending") await this.#s.keys.change(agent, "accepted", "ann");
    this.#learn();
    assert.equal(this.heard().at(-1)?.kind, "welcome");
    return this;
  }
}

const execution = "t-0123456789abcdef.1";
const digest = "a".repeat(64);
const verbs: AgentMessage[] = [
  { kind: "facts", body: { facts: {}, labels: {}, beacons: "", files: "" } },
  { kind: "events", body: { lane: "low", epoch: "e1", after: 0, events: [{}] } },
  { kind: "accepted", body: { execution } },
  { kind: "blobGet", body: { digest, offset: 0 } },
  { kind: "ping", body: {} },
  { kind: "bye", body: {} },
];

test("the gate: before hello is accepted no verb does anything, whatever the peer has said so far", async () => {
  const s = setting();
  const strangers: [string, Peer][] = [
    ["silent", new Peer(s)],
    ["challenged", new Peer(s)],
    ["pending", new Peer(s)],
  ];
  for (const message of verbs) {
    strangers[1]![1].knock();
    await strangers[2]![1].greet("web1");
    for (const [state, peer] of strangers) {
      const before = peer.kinds().length;
      peer.say(message);
      assert.deepEqual(s.handled, [], `${message.kind} of one who is ${state}`);
      assert.ok(!peer.kinds().slice(before).includes("pong"));
    }
  }
  assert.deepEqual(s.opened, []);
  assert.equal(s.sessions.dropped, verbs.length * strangers.length);
});

test("a bound session may use every verb, and is answered", async () => {
  const s = setting();
  const peer = await new Peer(s).join("web1");
  for (const message of verbs) peer.say(message);
  assert.deepEqual(s.handled, ["web1 facts", "web1 events", "web1 accepted", "web1 blobGet"]);
  assert.ok(peer.kinds().includes("pong"));
  assert.equal(s.sessions.of("web1"), undefined);
});

test("garbage and the frames of a master are dropped", () => {
  const s = setting();
  const id = randomBytes(16);
  for (const frame of [Buffer.alloc(0), randomBytes(50), encode({ kind: "pong", body: {} })]) s.sessions.hear(id, frame);
  assert.equal(s.sessions.dropped, 3);
  assert.deepEqual(s.said, []);
});

test("P6: a replayed frame, an older counter and another session's secret get nothing done", async () => {
  const s = setting();
  const peer = await new Peer(s).join("web1");
  const frame = peer.frame(verbs[0]!);
  s.sessions.hear(peer.routingId, frame);
  s.sessions.hear(peer.routingId, frame);
  s.sessions.hear(peer.routingId, peer.frame(verbs[0]!, { session: peer.session, counter: 0 }));
  s.sessions.hear(peer.routingId, peer.frame(verbs[0]!, { session: "guessed", counter: 99 }));
  s.sessions.hear(randomBytes(16), peer.frame(verbs[0]!, { session: peer.session, counter: 100 }));
  assert.deepEqual(s.handled, ["web1 facts"]);
  assert.equal(s.sessions.of("web1")?.counter, 1);
});

test("P6: a challenge serves once; a proof for another challenge, name, key or connection does not hold", async () => {
  const s = setting();
  const peer = new Peer(s);
  const challenge = peer.knock();
  peer.say(peer.hello("web1", challenge));
  peer.say(peer.hello("web1", challenge));
  await settled();
  assert.deepEqual(peer.kinds(), ["challenge", "pending"]);

  const attempts: ((p: Peer, challenge: Buffer) => AgentMessage)[] = [
    (p) => p.hello("web2", randomBytes(16)),
    (p, c) => p.hello("web2", c, somePublicKey()),
    (p, c) => p.hello("web2", c, "0".repeat(40)),
    (p, c) => ({
      kind: "hello",
      body: { ...(p.hello("web3", c).body as { publicKey: string; proof: string; epoch: string }), agent: "web2" },
    }),
    (_p, c) => peer.hello("web2", c),
  ];
  for (const attempt of attempts) {
    const forger = new Peer(s);
    forger.say(attempt(forger, forger.knock()));
    await settled();
    assert.deepEqual(forger.kinds(), ["challenge", "refused"]);
  }
  assert.equal(s.keys.list().length, 1);
});

test("a hello without a challenge is dropped without an answer", async () => {
  const s = setting();
  const peer = new Peer(s);
  peer.say(peer.hello("web1", randomBytes(16)));
  await settled();
  assert.deepEqual(peer.kinds(), []);
});

test("one connection of a key waits: the newest; it is let in when the key is accepted, and no other", async () => {
  const s = setting();
  const keys = generateKeyPair();
  const [older, newer] = [new Peer(s, keys), new Peer(s, keys)];
  await older.greet("web1");
  await newer.greet("web1");
  await s.keys.change("web1", "accepted", "ann");
  assert.deepEqual(newer.kinds(), ["challenge", "pending", "welcome"]);
  assert.deepEqual(older.kinds(), ["challenge", "pending"]);
  assert.equal(s.sessions.all().length, 1);
});

test("a rejected key is told and waits no more; a revoked one is cut off at once and cannot come back", async () => {
  const s = setting();
  const waiting = new Peer(s);
  await waiting.greet("web1");
  await s.keys.change("web1", "rejected", "ann");
  assert.equal(waiting.kinds().at(-1), "refused");

  const bound = await new Peer(s).join("web2");
  await s.keys.change("web2", "revoked", "ann");
  assert.equal(bound.kinds().at(-1), "refused");
  assert.deepEqual(s.closed, ["web2: its key was revoked"]);
  bound.say(verbs[0]!);
  assert.deepEqual(s.handled, []);
  await bound.greet("web2");
  assert.equal(bound.kinds().at(-1), "refused");
  assert.equal(s.sessions.of("web2"), undefined);
});

test("a key that is revoked while it is admitted does not get in", async () => {
  const s = setting();
  const peer = await new Peer(s).join("web1");
  const again = new Peer(s, peer.keys);
  const revoked = s.keys.change("web1", "revoked", "ann");
  again.say(again.hello("web1", again.knock()));
  await revoked;
  await settled();
  assert.equal(s.sessions.of("web1"), undefined);
  assert.ok(!again.kinds().includes("welcome"));
});

test("an agent has one session: the newer one, and the secret of the older is worth nothing", async () => {
  const s = setting();
  const older = await new Peer(s).join("web1");
  const newer = await new Peer(s, older.keys).join("web1");
  assert.deepEqual(s.closed, ["web1: the agent opened another session"]);
  older.say(verbs[0]!);
  assert.deepEqual(s.handled, []);
  newer.say(verbs[0]!);
  assert.deepEqual(s.handled, ["web1 facts"]);
});

test("a session that takes the place of a live one is noticed when it is of another numbering", async () => {
  const s = setting();
  const first = await new Peer(s).join("web1");
  await new Peer(s, first.keys).join("web1");
  assert.deepEqual(s.handled, []);
  const other = new Peer(s, first.keys);
  other.epoch = "e2";
  await other.join("web1");
  s.sessions.gone(other.routingId);
  await new Peer(s, first.keys).join("web1");
  assert.deepEqual(s.handled, ["web1 of another numbering"]);
});

test("P1: the first that a session hears is what the journal has of its numbering; one that was taken over meanwhile hears nothing", async () => {
  const known = Promise.withResolvers<Record<Severity, number>>();
  const s = setting({ marks: known.promise });
  const older = await new Peer(s).join("web1");
  const newer = await new Peer(s, older.keys).join("web1");
  known.resolve({ critical: 1, high: 0, normal: 7, low: 0 });
  await settled();
  assert.deepEqual(newer.heard().at(-1), { kind: "marks", body: { epoch: "e1", critical: 1, high: 0, normal: 7, low: 0 } });
  assert.equal(older.kinds().at(-1), "welcome");
});

test("a session that cannot be told what the journal has of it is over, so that its agent comes again", async () => {
  const known = Promise.withResolvers<Record<Severity, number>>();
  const s = setting({ marks: known.promise });
  await new Peer(s).join("web1");
  known.reject(new Error("the queue is full"));
  await settled();
  assert.deepEqual(s.closed, ["web1: it could not be told what the journal has of it: the queue is full"]);
});

test("an agent that a restarted master does not know is asked to greet anew", async () => {
  const s = setting();
  const peer = new Peer(s);
  peer.session = "from-before";
  peer.say(verbs[4]!);
  assert.deepEqual(peer.kinds(), ["challenge"]);
});

test("a session that is not heard for three heartbeats, or whose connection is gone, is over", async () => {
  const s = setting();
  const [quiet, lively, gone] = [await new Peer(s).join("a"), await new Peer(s).join("b"), await new Peer(s).join("c")];
  s.sessions.gone(gone.routingId);
  for (let now = 0; now <= 2_000; now += 500) s.sessions.tick(now);
  lively.say(verbs[4]!);
  for (let now = 2_500; now <= 3_500; now += 500) s.sessions.tick(now);
  assert.deepEqual(
    s.sessions.all().map(({ agent }) => agent),
    ["b"],
  );
  assert.deepEqual(s.closed, ["c: the connection is gone", "a: not heard for 3500 ms"]);
  quiet.say(verbs[0]!);
  assert.deepEqual(s.handled, []);
});

test("neither a clock that is stepped nor a master that stood still ends a session", async () => {
  const s = setting();
  const peer = await new Peer(s).join("a");
  s.sessions.tick(0);
  s.clock.time += 3_600_000;
  s.sessions.tick(500);
  s.clock.time -= 7_200_000;
  s.sessions.tick(1_000);
  // For a minute nothing ran here; what the agent said meanwhile is heard next.
  s.sessions.tick(61_000);
  peer.say(verbs[4]!);
  s.sessions.tick(61_500);
  s.sessions.tick(64_000);
  assert.deepEqual(s.closed, []);
});

test("an agent that says bye is not one that is missed", async () => {
  const s = setting();
  const [stops, breaks] = [await new Peer(s).join("a"), await new Peer(s).join("b")];
  stops.say({ kind: "bye", body: {} });
  s.sessions.gone(breaks.routingId);
  assert.deepEqual(
    s.opened.map(({ agent, saidBye }) => [agent, saidBye]),
    [
      ["a", true],
      ["b", false],
    ],
  );
});

test("many agents are told to spread their return, a few are not", () => {
  assert.deepEqual([3, 99, 1_000, 10_000, 50_000].map(reconnectSpreadMs), [0, 0, 500, 5_000, 15_000]);
});
