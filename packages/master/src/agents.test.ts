import assert from "node:assert/strict";
import { test } from "node:test";
import { loadBeacons } from "@needfire/shared/beacon";
import { NeedfireError } from "@needfire/shared/errors";
import type { AgentView } from "@needfire/shared/target";
import { encode, frameBytesMax, type MasterMessage } from "@needfire/shared/wire";
import { Agents } from "./agents.ts";
import { FakeCommit, somePublicKey, TestClock } from "./fixture.ts";
import type { SourcedFile } from "./files.ts";
import { Keys } from "./keys.ts";
import type { Session } from "./sessions.ts";
import type { AgentRecord } from "./store/store.ts";

const yaml = (name: string, targets: string) => `name: ${name}\ntype: file\npaths: [/etc/${name}]\ntargets: ${targets}\n`;

function beaconsOf(...texts: string[]) {
  const loaded = loadBeacons("b.yaml", texts.join("---\n"));
  assert.ok(loaded.ok);
  return loaded.beacons;
}

async function setting(records: AgentRecord[] = []) {
  const clock = new TestClock();
  const monotonic = new TestClock(0);
  const store = new FakeCommit();
  const keys = new Keys({ enrolment: "token", pendingMax: 0, commit: store.commit, clock, onChange: () => {} }, { keys: [], tokens: [] });
  const { token } = await keys.createToken({ uses: 10, ttlMs: 1_000, labels: { role: "web", from: "token" }, by: "ann" });
  for (const agent of ["web1", "web2"]) await keys.admit({ agent, publicKey: somePublicKey(), token });
  const sent: MasterMessage[] = [];
  const seen: AgentView[] = [];
  const unsendable: string[] = [];
  const ready: string[] = [];
  /** Whether marks say of all commands that have gone out that they have. */
  const commands = { marked: true };
  const link = { full: false, tooLarge: false };
  const given = {
    files: [] as SourcedFile[],
    beacons: beaconsOf(yaml("all", "'*'"), yaml("webs", `'agent.labels.role == "web"'`), yaml("dbs", `'agent.labels.role == "db"'`)),
  };
  const agents = new Agents(
    {
      keys,
      commit: store.commit,
      clock,
      monotonic,
      beacons: () => given.beacons,
      files: () => given.files,
      send: (_session, message) => {
        if (link.tooLarge) throw new NeedfireError("FRAME_TOO_LARGE", "too many bytes");
        if (!link.full) sent.push(message);
        return !link.full;
      },
      onView: (views) => seen.push(...views),
      onUnsendable: (_session, reason) => unsendable.push(reason),
      onReady: (agent) => ready.push(agent),
      isMarked: () => commands.marked,
    },
    records,
  );
  const session = (agent: string) => ({ agent, epoch: "e1", lastHeard: clock.time }) as Session;
  const settled = () => store.writes.flatMap(({ agents: kept = [] }) => kept.map((record) => record.settled === true));
  return { agents, clock, monotonic, store, sent, seen, unsendable, ready, commands, settled, link, given, session };
}

function someFile(path: string, digit: string): SourcedFile {
  const managed = { path, digest: digit.repeat(64), size: 1, mode: 0o644, owner: "root", group: "root", secret: false };
  return { managed, test: () => true, targets: '"*"' };
}

const report = { facts: { cpus: 2 }, labels: { role: "db", site: "north" }, beacons: "", files: "" };

test("labels that the key carries win over those that the agent claims, for conditions and for targets", async () => {
  const { agents, seen, session } = await setting();
  await agents.reported(session("web1"), report);
  const expected = { id: "web1", labels: { role: "web", from: "token", site: "north" }, facts: { cpus: 2 } };
  assert.deepEqual(agents.view("web1"), expected);
  assert.deepEqual(seen, [expected]);
  assert.deepEqual(
    agents.definitionsFor("web1").beacons.map(({ name }) => name),
    ["all", "webs"],
  );
  assert.deepEqual(agents.view("nobody"), { id: "nobody", labels: {}, facts: {} });
});

test("an agent is sent what it does not have, once, and again only when it differs", async () => {
  const { agents, sent, given, session } = await setting();
  const web1 = session("web1");
  agents.push(web1);
  assert.equal(sent.length, 0);
  await agents.reported(web1, report);
  assert.deepEqual(
    sent.map(({ kind }) => kind),
    ["files", "beacons"],
  );
  agents.push(web1);
  assert.equal(sent.length, 2);
  given.beacons = beaconsOf(yaml("all", "'*'"));
  agents.push(web1);
  assert.deepEqual(
    sent.slice(2).map((message) => (message.kind === "beacons" ? message.body.definitions.map(({ name }) => name) : message.kind)),
    [["all"]],
  );
});

test("an agent that has everything already is sent nothing when it comes back", async () => {
  const { agents, sent, session } = await setting();
  await agents.reported(session("web1"), report);
  const versions = Object.fromEntries(sent.map((message) => [message.kind, (message.body as { version: string }).version]));
  sent.length = 0;
  await agents.reported(session("web1"), { ...report, beacons: versions["beacons"]!, files: versions["files"]! });
  assert.equal(sent.length, 0);
});

test("P2: an agent takes commands when it is durable that it has a session, after a disk that was full, too", async () => {
  const { agents, store, ready, settled, session } = await setting();
  const web1 = session("web1");
  const disk = store.hold();
  const reporting = agents.reported(web1, report);
  assert.deepEqual([agents.isReady(web1), ready], [false, []]);
  disk.resolve();
  await reporting;
  assert.deepEqual([agents.isReady(web1), ready, settled()], [true, ["web1"], [false]]);
  await agents.left(web1);
  const next = session("web1");
  store.failing = new NeedfireError("DISK_FULL", "no room");
  await assert.rejects(agents.reported(next, report));
  await agents.tick([next]);
  assert.equal(agents.isReady(next), false, "the store has it as settled");
  store.failing = undefined;
  await agents.tick([next]);
  assert.deepEqual([agents.isReady(next), ready, settled()], [true, ["web1", "web1"], [false, true, false]]);
});

test("an agent without a session is settled when marks say of all that went out that it did, whatever else is kept of it", async () => {
  const { agents, clock, commands, settled, session } = await setting();
  await agents.reported(session("web1"), report);
  commands.marked = false;
  await agents.left(session("web1"));
  assert.equal(agents.isSettled("web1"), false);
  const presence = { state: "lost", since: clock.time } as const;
  commands.marked = true;
  await agents.keepPresence(new Map([["web1", presence]]), []);
  await agents.keep({ ...agents.get("web1")!, restate: "x" }, []);
  await agents.reported(session("web1"), report);
  await agents.keep({ ...agents.get("web1")!, restate: "y" }, []);
  assert.deepEqual(settled(), [false, false, true, true, false, false]);
  const next = await setting([
    { ...agents.get("web1")!, settled: true },
    { ...agents.get("web1")!, id: "web2" },
  ]);
  assert.deepEqual(
    ["web1", "web2"].map((id) => next.agents.isSettled(id)),
    [true, false],
  );
});

test("what the link did not take is offered again; what fits no frame is told once and ends nothing", async () => {
  const { agents, monotonic, sent, store, unsendable, link, session } = await setting();
  const web1 = session("web1");
  link.full = true;
  await agents.reported(web1, report);
  link.full = false;
  monotonic.time = 500;
  await agents.tick([web1]);
  assert.equal(sent.length, 2);
  const web2 = session("web2");
  link.tooLarge = true;
  await agents.reported(web2, report);
  agents.push(web2);
  assert.deepEqual(unsendable, ["its files cannot be sent: too many bytes", "its beacons cannot be sent: too many bytes"]);
  assert.equal(store.writes.at(-1)?.agents?.[0]?.id, "web2");
});

test("what the agent has not confirmed is sent again, ever more seldom; soon after a frame was lost; not once it is confirmed", async () => {
  const { agents, monotonic, sent, session } = await setting();
  const web1 = session("web1");
  const kindsAt = async (time: number) => {
    monotonic.time = time;
    await agents.tick([web1, session("unheard")]);
    return sent.splice(0).map(({ kind }) => kind);
  };
  await agents.reported(web1, report);
  const [files, beacons] = sent.splice(0).map((message) => (message.body as { version: string }).version);
  agents.taken(web1, { set: "files", version: "of another time" });
  assert.deepEqual([await kindsAt(9_999), await kindsAt(10_000), await kindsAt(29_999)], [[], ["files", "beacons"], []]);
  agents.taken(web1, { set: "files", version: files! });
  assert.deepEqual([await kindsAt(30_000), await kindsAt(40_000)], [["beacons"], []]);
  agents.slow(web1);
  assert.deepEqual([await kindsAt(40_499), await kindsAt(40_500)], [[], ["beacons"]]);
  agents.taken(web1, { set: "beacons", version: beacons! });
  agents.slow(web1);
  assert.deepEqual(await kindsAt(10_000_000), []);
});

test("a set that is too large for a frame goes in parts that hold all of it, in order", async () => {
  const { agents, sent, unsendable, given, session } = await setting();
  given.files = Array.from({ length: 20_000 }, (_, number) => someFile(`/etc/app/${String(number).padStart(5, "0")}`, "a"));
  await agents.reported(session("web1"), report);
  const parts = sent.flatMap((message) => (message.kind === "files" ? [message.body] : []));
  assert.ok(parts.length > 4);
  for (const [index, { part, parts: count, version }] of parts.entries())
    assert.deepEqual([part, count, version], [index, parts.length, parts[0]!.version]);
  for (const body of parts) assert.ok(encode({ kind: "files", body }).length <= frameBytesMax);
  assert.deepEqual(
    parts.flatMap(({ files }) => files),
    given.files.map(({ managed }) => managed),
  );
  assert.deepEqual(unsendable, []);
});

test("an agent may have the content of the files that are meant for it, as they are now, and no other", async () => {
  const { agents, given, session } = await setting();
  const web1 = session("web1");
  given.files = [someFile("/etc/a", "a"), { ...someFile("/etc/b", "b"), test: ({ id }) => id === "web2" }];
  assert.equal(agents.mayHave(web1, "a".repeat(64)), false, "before it said what it is");
  await agents.reported(web1, report);
  assert.deepEqual(
    ["a", "b"].map((digit) => agents.mayHave(web1, digit.repeat(64))),
    [true, false],
  );
  given.files = [];
  agents.push(web1);
  assert.equal(agents.mayHave(web1, "a".repeat(64)), false);
});

test("what an agent reported and when it was last heard is kept", async () => {
  const { agents, clock, store, session } = await setting();
  const web1 = session("web1");
  await agents.reported(web1, report);
  web1.lastHeard = clock.time += 500;
  await agents.left(web1);
  const presence = { state: "present" as const, since: clock.time - 500 };
  const expected = { id: "web1", facts: report.facts, labels: report.labels, lastSeen: clock.time, presence, epoch: "e1" };
  assert.deepEqual(store.writes.at(-1)?.agents, [{ ...expected, settled: true }]);
  assert.deepEqual(agents.get("web1"), expected);
  const lost = { state: "lost" as const, since: 7 };
  const event = { type: "agent.lost", severity: "high" as const, data: { agent: "web1", last_heard: 5, reason: "silent" } };
  await agents.keepPresence(new Map([["web1", lost]]), [event]);
  assert.deepEqual(store.writes.at(-1), { agents: [{ ...expected, presence: lost, settled: true }], events: [event] });
  await agents.reported(web1, report);
  assert.deepEqual(agents.get("web1")?.presence, lost, "that is not for a report to change");
  const writes = store.writes.length;
  await agents.left(session("nobody"));
  assert.equal(store.writes.length, writes);
});
