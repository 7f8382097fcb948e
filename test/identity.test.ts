/** P6: nobody speaks for another. Enrolment, forged hellos, replays, and the routing id of a closed session. A real master, hostile peers. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { parseJoinString } from "@needfire/shared/identity";
import { decodeFromAgent } from "@needfire/shared/wire";
import { BusPeer, eventsMessage, freshRoutingId, plainEvent } from "./bus-peer.ts";
import { Testbed, until } from "./testbed.ts";

/** Long enough for an answer that must not come: ten times what an honest one takes here. */
const silenceMs = 400;

async function doorOf(bed: Testbed): Promise<{ address: string; masterKey: string }> {
  const { address, masterKey } = parseJoinString((await bed.client.status()).join_string);
  return { address, masterKey };
}

async function tokenOf(bed: Testbed, uses = 1): Promise<string> {
  return parseJoinString((await bed.client.createToken({ uses })).join_string).token!;
}

describe("with manual enrolment", () => {
  let bed: Testbed;
  before(async () => {
    bed = await Testbed.start({ enrolment: "manual", heartbeat: "1m" }, (made) => {
      made.manage("app.conf", { content: "x\n" });
      made.beacon("managed", "name: managed\ntype: file\nmanaged: true\n");
    });
  });
  after(() => bed.stop());

  test("an agent with an unknown key stays pending and receives nothing, until it is accepted", async () => {
    const joined = await bed.join("web1", (await bed.client.status()).join_string);
    assert.equal(joined.code, 0, joined.output);
    const agent = bed.launchAgent("web1");
    await until("the key waits", async () => (await bed.client.keys()).keys.some(({ id, state }) => id === "web1" && state === "pending"));
    await until("the agent knows it", () => agent.output().includes("nobody has accepted it yet"));
    assert.equal((await bed.client.agents()).agents.length, 0);
    assert.equal((await bed.client.events({ agent: "web1" })).events.length, 0);
    assert.equal(statSync(bed.path("state-web1", "files.json"), { throwIfNoEntry: false }), undefined, "it was sent managed files");
    const { fingerprint } = (await bed.client.keys()).keys[0]!;
    assert.match(joined.output, new RegExp(fingerprint), "the fingerprint is shown on the agent's side too");

    await bed.client.decideKey("web1", "accept", "ann");
    await bed.connected("web1");
    await bed.watching("web1", "managed");
  });

  test("a pending peer's events are not heard", async () => {
    const peer = new BusPeer(await doorOf(bed));
    assert.equal(await peer.join("silent1"), "pending");
    await peer.send(eventsMessage([plainEvent(1)]), { session: "guess", counter: 1 });
    await peer.send({ kind: "facts", body: { facts: {}, labels: {}, beacons: "", files: "" } }, { session: "", counter: 0 });
    assert.equal(await peer.expect("ack", silenceMs), undefined);
    assert.equal(await peer.expect("files", 0), undefined);
    assert.equal((await bed.client.events({ agent: "silent1" })).events.length, 0);
    peer.close();
  });

  test("a rejected key gets nowhere: not even past the handshake", async () => {
    const peer = new BusPeer(await doorOf(bed));
    assert.equal(await peer.join("bad1"), "pending");
    await bed.client.decideKey("bad1", "reject", "ann");
    assert.equal((await peer.expect("refused"))?.body.reason, "this key was rejected");
    peer.close();
    const again = new BusPeer({ ...(await doorOf(bed)), keys: peer.keys });
    assert.equal(await Promise.race([again.join("bad1"), delay(3_000, "nothing")]), "zap");
    again.close();
  });

  test("a revoked key is cut off at once and turned away when it comes again", async () => {
    const peer = new BusPeer(await doorOf(bed));
    await peer.join("gone1");
    await bed.client.decideKey("gone1", "accept", "ann");
    peer.session = (await peer.expect("welcome"))!.body.session;
    await peer.send(eventsMessage([plainEvent(1)]));
    assert.equal((await peer.expect("ack"))?.body.sequence, 1);
    await bed.client.decideKey("gone1", "revoke", "ann");
    await peer.expect("refused");
    await peer.send(eventsMessage([plainEvent(2)], { after: 1 }));
    assert.equal(await peer.expect("ack", silenceMs), undefined);
    assert.equal((await bed.client.events({ agent: "gone1" })).events.length, 1);
    peer.close();
    const again = new BusPeer({ ...(await doorOf(bed)), keys: peer.keys });
    assert.equal(await Promise.race([again.join("gone1"), delay(3_000, "nothing")]), "zap");
    again.close();
  });

  test("another key under a known name waits, and cannot be accepted beside the first", async () => {
    const peer = new BusPeer(await doorOf(bed));
    assert.equal(await peer.join("web1"), "pending");
    const waiting = (await bed.client.keys()).keys.find(({ id, state }) => id === "web1" && state === "pending")!;
    await assert.rejects(bed.client.decideKey(waiting.fingerprint, "accept", "ann"), /another key .* is accepted as "web1"/);
    await bed.client.decideKey(waiting.fingerprint, "reject", "ann");
    peer.close();
  });

  test("the key files can be read by their owner alone", () => {
    for (const file of [bed.path("master", "master.key"), bed.path("state-web1", "agent.key")])
      assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(statSync(bed.path("master.sock")).mode & 0o777, 0o660);
  });
});

describe("with tokens", () => {
  let bed: Testbed;
  before(async () => {
    // Peers here do not ping.
    bed = await Testbed.start({ enrolment: "token", heartbeat: "1m" });
  });
  after(() => bed.stop());

  test("a token with one use lets one agent in, and only once", async () => {
    const token = await tokenOf(bed);
    const door = await doorOf(bed);
    // Both at once, so that a check that is not taken in turn would let both in.
    const peers = [new BusPeer(door), new BusPeer(door)];
    const answers = await Promise.all(peers.map((peer, index) => Promise.race([peer.join(`t${index}`, token), delay(5_000, "nothing")])));
    for (const peer of peers) peer.close();
    assert.equal(answers.filter((answer) => answer === "welcome").length, 1);
    // The other one came to the gate in time to be told, or not even past the handshake any more.
    assert.equal(answers.filter((answer) => answer === "refused" || answer === "zap").length, 1, answers.join());
    // The master knows no live token now, so an unknown key does not pass the handshake.
    const late = new BusPeer(door);
    assert.equal(await Promise.race([late.join("t9", token), delay(3_000, "nothing")]), "zap");
    late.close();
  });

  test("labels of the join string stay with the key", async () => {
    const { join_string: joinString } = await bed.client.createToken({ uses: 1, labels: { role: "web" } });
    const { address, masterKey, token } = parseJoinString(joinString);
    const peer = new BusPeer({ address, masterKey });
    assert.equal(await peer.join("lab1", token), "welcome");
    await peer.send({ kind: "facts", body: { facts: {}, labels: { role: "db", rack: "7" }, beacons: "", files: "" } });
    await until("the facts are there", async () => "rack" in (await bed.client.agent("lab1")).labels);
    assert.deepEqual((await bed.client.agent("lab1")).labels, { role: "web", rack: "7" });
    peer.close();
  });

  describe("a second agent cannot speak as the first", () => {
    let victim: BusPeer;
    let attacker: BusPeer;
    let door: { address: string; masterKey: string };
    const victimEvents = async () => (await bed.client.events({ agent: "victim", limit: 1_000 })).events.length;

    before(async () => {
      door = await doorOf(bed);
      const token = await tokenOf(bed, 2);
      victim = new BusPeer(door);
      attacker = new BusPeer(door);
      assert.equal(await victim.join("victim", token), "welcome");
      assert.equal(await attacker.join("attacker", token), "welcome");
      await victim.send(eventsMessage([plainEvent(1)]));
      assert.equal((await victim.expect("ack"))?.body.sequence, 1);
    });
    after(() => {
      victim.close();
      attacker.close();
    });

    test("by a hello with its name: the key has another one", async () => {
      const peer = new BusPeer({ ...door, keys: attacker.keys });
      const challenge = await peer.challenge();
      await peer.send(peer.helloFor("victim", challenge), { session: "", counter: 0 });
      assert.match((await peer.expect("refused"))!.body.reason, /this key belongs to "attacker"/);
      peer.close();
    });

    test("by a hello with its name and its public key: the proof does not hold", async () => {
      const peer = new BusPeer({ ...door, keys: attacker.keys });
      const challenge = await peer.challenge();
      await peer.send(peer.helloFor("victim", challenge, { publicKey: victim.keys.publicKey }), { session: "", counter: 0 });
      assert.match((await peer.expect("refused"))!.body.reason, /proof does not hold/);
      peer.close();
    });

    test("by replaying its hello, even under its routing id: the challenge was for one use", async () => {
      const hello = victim.sent.find((frame) => {
        const decoded = decodeFromAgent(frame);
        return decoded.ok && decoded.message.kind === "hello";
      })!;
      for (const routingId of [freshRoutingId(), victim.routingId]) {
        const peer = new BusPeer({ ...door, keys: attacker.keys, routingId });
        await peer.sendRaw(hello);
        assert.equal(await peer.expect("welcome", silenceMs), undefined);
        await peer.send({ kind: "knock", body: {} }, { session: "", counter: 0 });
        await peer.expect("challenge", silenceMs);
        await peer.sendRaw(hello);
        assert.equal(await peer.expect("welcome", silenceMs), undefined);
        peer.close();
      }
    });

    test("by naming the victim's session in its own connection", async () => {
      const before = await victimEvents();
      await attacker.send(eventsMessage([plainEvent(50)]), { session: victim.session, counter: 1_000 });
      assert.equal(await attacker.expect("ack", silenceMs), undefined);
      assert.equal(await victimEvents(), before);
    });

    test("by taking the routing id of its closed session", async () => {
      await victim.send({ kind: "ping", body: {} });
      assert.notEqual(await victim.expect("pong"), undefined);
      victim.close();
      const recorded = victim.sent.filter((frame) => {
        const decoded = decodeFromAgent(frame);
        return decoded.ok && decoded.message.kind === "events";
      });
      await delay(100); // until libzmq has noticed that the connection is gone, so that the routing id is free
      const thief = new BusPeer({ ...door, keys: attacker.keys, routingId: victim.routingId });
      const before = await victimEvents();
      // Whatever is known of the session but its secret; then with everything that went over it, byte for byte.
      await thief.send(eventsMessage([plainEvent(60)]), { session: "", counter: 999 });
      for (const frame of recorded) await thief.sendRaw(frame);
      assert.equal(await thief.expect("ack", silenceMs), undefined);
      assert.equal(await victimEvents(), before);
      thief.close();
    });

    test("by an event that claims another agent, a reserved type or an execution that is not its own", async () => {
      const forged = [
        [...plainEvent(70), "victim"],
        plainEvent(71, { type: "task.resolved" }),
        plainEvent(72, {
          type: "execution.finished",
          cause: "t-0123456789ab0000.1",
          data: { execution: "t-0123456789ab0000.1", action: "file.restore", outcome: "succeeded", changed: true, started: 1, ended: 2 },
        }),
      ];
      await attacker.send(eventsMessage(forged));
      assert.equal((await attacker.expect("ack"))?.body.sequence, 72);
      const taken = (await bed.client.events({ agent: "attacker", limit: 1_000 })).events.filter(({ id }) => /:7[0-2]$/.test(id));
      assert.deepEqual(new Set(taken.map(({ type }) => type)), new Set(["event.rejected"]));
      assert.equal(taken.length, 3);
    });
  });
});

describe("a message is its session's, whatever it claims", () => {
  let bed: Testbed;
  let door: { address: string; masterKey: string };
  let victim: BusPeer;
  let attacker: BusPeer;
  let execution: string;
  const silent = async (peer: BusPeer, kind: "ack" | "pong" | "blob") => assert.equal(await peer.expect(kind, silenceMs), undefined);

  before(async () => {
    bed = await Testbed.start({ heartbeat: "1m" }, (made) => {
      made.reactor("go", "name: go\non: x.go\ndo:\n  - command.run: { argv: ['true'] }\n");
    });
    door = await doorOf(bed);
    const token = await tokenOf(bed, 2);
    victim = new BusPeer(door);
    attacker = new BusPeer(door);
    assert.deepEqual([await victim.join("victim", token), await attacker.join("attacker", token)], ["welcome", "welcome"]);
    // Commands go to who has said what it is.
    await victim.send({ kind: "facts", body: { facts: {}, labels: {}, beacons: "", files: "" } });
    await victim.send(eventsMessage([plainEvent(1, { type: "x.go" })]));
    execution = (await victim.expect("execute"))!.body.execution;
  });
  after(async () => {
    victim.close();
    attacker.close();
    await bed.stop();
  });

  test("an event that names another agent in its data, subject or numbering is its sender's", async () => {
    const data = { agent: "victim", id: "victim:e1:9", source: "/agents/victim" };
    await attacker.send(eventsMessage([plainEvent(1, { subject: "victim", data })]));
    assert.notEqual(await attacker.expect("ack"), undefined);
    const [taken] = await bed.events({ agent: "attacker", type: "x.y" }, 1);
    assert.deepEqual([taken!.id, taken!.agent, taken!.source], ["attacker:e1:1", "attacker", "/agents/attacker"]);
    assert.equal((await bed.client.events({ agent: "victim", type: "x.y" })).events.length, 0);
  });

  test("what it says of another agent's command changes nothing", async () => {
    await attacker.send({ kind: "accepted", body: { execution } });
    const report = { execution, action: "command.run", outcome: "succeeded", changed: true, started: 1, ended: 2 };
    const forged = plainEvent(2, { type: "execution.finished", cause: execution, data: report });
    const caused = plainEvent(3, { type: "x.caused", cause: execution });
    await attacker.send(eventsMessage([forged, caused], { after: 1 }));
    assert.equal((await attacker.expect("ack"))?.body.sequence, 3);
    const [task] = (await bed.client.tasks({ reactor: "go" })).tasks;
    assert.deepEqual([task!.state, task!.executions[0]!.state], ["running", "sent"]);
    const [rejected] = await bed.events({ agent: "attacker", type: "event.rejected" }, 1);
    assert.match(String(rejected!.data["reason"]), /was not given to this agent/);
    const [without] = await bed.events({ agent: "attacker", type: "x.caused" }, 1);
    assert.equal(without!.cause, undefined, "an effect of another agent's command");
  });

  test("a frame of its own, sent again as it was, is heard once", async () => {
    await attacker.send({ kind: "ping", body: {} });
    const recorded = attacker.sent.at(-1)!;
    assert.notEqual(await attacker.expect("pong"), undefined);
    await attacker.sendRaw(recorded);
    await silent(attacker, "pong");
  });

  test("frames of every kind that were recorded in an earlier session of the same agent do nothing in the next", async () => {
    const digest = "0".repeat(64);
    await attacker.send({ kind: "facts", body: { facts: { recorded: true }, labels: {}, beacons: "", files: "" } });
    await attacker.send({ kind: "blobGet", body: { digest, offset: 0 } });
    assert.equal((await attacker.expect("blob"))?.body.total, -1);
    const recorded = attacker.sent.filter((frame) => {
      const decoded = decodeFromAgent(frame);
      return decoded.ok && decoded.envelope.session !== "";
    });
    const kinds = new Set(recorded.map(messageKind));
    for (const kind of ["events", "accepted", "ping", "facts", "blobGet"]) assert.ok(kinds.has(kind), kind);
    attacker.close();
    const again = new BusPeer({ ...door, keys: attacker.keys });
    assert.equal(await again.join("attacker"), "welcome");
    await again.send({ kind: "facts", body: { facts: { recorded: false }, labels: {}, beacons: "", files: "" } });
    for (const frame of recorded) await again.sendRaw(frame);
    for (const kind of ["ack", "pong", "blob"] as const) await silent(again, kind);
    assert.deepEqual((await bed.client.agent("attacker")).facts, { recorded: false });
    // The session itself lives on.
    await again.send({ kind: "ping", body: {} });
    assert.notEqual(await again.expect("pong"), undefined);
    again.close();
  });
});

function messageKind(frame: Buffer): string {
  const decoded = decodeFromAgent(frame);
  return decoded.ok ? decoded.message.kind : "";
}

test("with closed enrolment an unknown key does not pass the handshake", async () => {
  const bed = await Testbed.start({ enrolment: "closed" });
  try {
    const peer = new BusPeer(await doorOf(bed));
    assert.equal(await Promise.race([peer.join("web1"), delay(3_000, "nothing")]), "zap");
    peer.close();
    await assert.rejects(bed.client.createToken({}), /enrolment is closed/);
  } finally {
    await bed.stop();
  }
});
