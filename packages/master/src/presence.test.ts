import assert from "node:assert/strict";
import { test } from "node:test";
import type { MasterEventDraft } from "@needfire/shared/task";
import { TestClock } from "./fixture.ts";
import { Presence } from "./presence.ts";
import type { Session } from "./sessions.ts";
import type { AgentPresence, AgentRecord } from "./store/store.ts";

const heartbeatMs = 1_000;

/** Presence with clocks that the test moves, and what it kept. */
function setting(records: AgentRecord[] = []) {
  const clock = new TestClock(5_000_000);
  const monotonic = new TestClock(100_000);
  const kept: [string, AgentPresence["state"]][] = [];
  const events: MasterEventDraft[] = [];
  const strangers = new Set<string>();
  const presence = new Presence(
    {
      clock,
      monotonic,
      heartbeatMs,
      isKnown: (agent) => !strangers.has(agent),
      keep: (changes, told) => {
        for (const [agent, { state }] of changes) kept.push([agent, state]);
        events.push(...told);
      },
    },
    records,
  );
  const session = (agent: string, more: Partial<Session> = {}) =>
    ({ agent, lastHeard: clock.time, silentMs: 0, saidBye: false, ...more }) as Session;
  const pass = (ms: number) => {
    clock.time += ms;
    monotonic.time += ms;
    presence.tick();
  };
  const come = (agent: string, spooled = 0) => {
    presence.opened(session(agent));
    presence.reported(session(agent), spooled);
  };
  const state = (agent: string) => presence.of(agent)?.state;
  return { presence, clock, monotonic, kept, events, strangers, session, pass, come, state };
}

const record = (id: string, state: AgentPresence["state"], lastSeen = 4_990_000): AgentRecord => ({
  id,
  facts: {},
  labels: {},
  lastSeen,
  presence: { state, since: lastSeen },
});

test("an agent that breaks off is lost three intervals after its last word, told once, and returns with what it brings", () => {
  const { presence, events, kept, session, pass, come, state } = setting();
  come("web1");
  presence.closed(session("web1", { silentMs: 500, lastHeard: 4_999_500 }), "the connection is gone");
  pass(2_499);
  assert.deepEqual([state("web1"), events], ["present", []]);
  pass(1);
  pass(60_000);
  const data = { agent: "web1", last_heard: 4_999_500, reason: "the connection is gone" };
  assert.deepEqual(events, [{ type: "agent.lost", severity: "high", subject: "web1", data }]);
  come("web1", 7);
  come("web1", 7);
  assert.deepEqual(events.slice(1), [
    { type: "agent.returned", severity: "normal", subject: "web1", data: { agent: "web1", away_ms: 63_000, spooled: 7 } },
  ]);
  assert.deepEqual(kept, [
    ["web1", "present"],
    ["web1", "lost"],
    ["web1", "present"],
  ]);
});

test("an agent that comes back in time, one that stopped and one whose key was taken are not lost", () => {
  const { presence, events, strangers, session, pass, come, state } = setting();
  for (const agent of ["back", "stopped", "revoked"]) come(agent);
  presence.closed(session("back"), "the agent opened another session");
  presence.opened(session("back"));
  presence.closed(session("stopped", { saidBye: true }), "the agent stopped");
  presence.closed(session("revoked"), "its key was revoked");
  strangers.add("revoked");
  pass(60_000);
  assert.deepEqual([state("back"), state("stopped"), state("nobody")], ["present", "stopped", undefined]);
  come("stopped", 3);
  assert.deepEqual([state("stopped"), events], ["present", []]);
});

test("a clock that is stepped loses nobody, and does not make an absence longer", () => {
  const { presence, clock, events, session, pass, come, state } = setting();
  come("web1");
  presence.closed(session("web1"), "the connection is gone");
  clock.time += 3_600_000;
  pass(2_999);
  assert.equal(state("web1"), "present");
  pass(1);
  assert.equal(state("web1"), "lost");
  clock.time -= 7_200_000;
  pass(1_000);
  come("web1");
  assert.equal(events[1]!.data["away_ms"], 4_000);
});

test("after a restart nobody is lost before the time to come back is over; who was lost or stopped before stays so", () => {
  const { events, pass, come, state } = setting([
    record("back", "present"),
    record("away", "present"),
    record("lost", "lost"),
    record("stopped", "stopped"),
  ]);
  pass(30_000);
  come("back");
  pass(2_999);
  assert.deepEqual([events, state("lost"), state("stopped")], [[], "lost", "stopped"]);
  pass(1);
  assert.deepEqual(
    events.map(({ type, subject, data }) => [type, subject, data["reason"], data["last_heard"]]),
    [["agent.lost", "away", "it has not come back since the master was started", 4_990_000]],
  );
  come("lost", 2);
  assert.deepEqual(events.at(-1)!.data, { agent: "lost", away_ms: 43_000, spooled: 2 });
});
