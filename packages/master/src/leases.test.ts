import assert from "node:assert/strict";
import { test } from "node:test";
import { NeedfireError } from "@needfire/shared/errors";
import { executionId, taskId } from "@needfire/shared/ids";
import type { LeaseWord, Offer } from "@needfire/shared/task";
import { TestClock } from "./fixture.ts";
import { Leases } from "./leases.ts";
import type { Session } from "./sessions.ts";

const task = taskId("block", "web1:e1:1");
const due = 1_060_000;
const id = (number: number) => executionId(task, number);

function offer(number: number, given: Partial<Offer> = {}): Offer {
  const steps = [{ action: "file.remove", args: { path: "/x" } }] as const;
  return { execution: id(number), agent: "web1", due, priority: "normal", steps, ...given };
}

/** Agents that have a session, and what they are offered. */
function setting(offers: Offer[] = []) {
  const clock = new TestClock();
  const monotonic = new TestClock(0);
  const sessions = new Map<string, Session>();
  const offered: string[] = [];
  const inMs: number[] = [];
  const words: LeaseWord[] = [];
  const link = { tooLarge: false };
  const leases = new Leases(
    {
      sessionOf: (agent) => sessions.get(agent),
      send: (session, { kind, body }) => {
        assert.ok(kind === "lease");
        if (link.tooLarge) throw new NeedfireError("FRAME_TOO_LARGE", "too many bytes");
        offered.push(`${session.agent} ${body.execution.split(".")[1]!}`);
        inMs.push(body.inMs);
        return true;
      },
      reveal: (args) => ({ ok: true, args, secrets: JSON.stringify(args).match(/hush/g) ?? [] }),
      answer: (answers) => {
        for (const { task: of, word } of answers) {
          assert.equal(of, task);
          words.push(word);
        }
      },
      clock,
      monotonic,
    },
    offers,
  );
  let last = 0;
  const join = (agent: string, epoch = "e1"): Session => {
    const session = { id: `s${++last}`, agent, epoch } as Session;
    sessions.set(agent, session);
    leases.resume(agent);
    return session;
  };
  const later = (ms: number) => {
    monotonic.time += ms;
    clock.time += ms;
    leases.tick();
  };
  return { leases, clock, monotonic, sessions, offered, inMs, words, link, join, later };
}

test("a lease waits for its host, and is offered until it is answered, with the time that is left", () => {
  const { leases, offered, inMs, words, join, later } = setting([offer(1)]);
  assert.deepEqual(offered, []);
  const session = join("web1");
  later(9_999);
  later(1);
  assert.deepEqual(
    [offered, inMs],
    [
      ["web1 1", "web1 1"],
      [60_000, 50_000],
    ],
  );
  leases.answered(session, { execution: id(1), inMs: 60_000 });
  leases.answered(session, { execution: id(1), inMs: 50_000 });
  later(60_000);
  assert.equal(offered.length, 2);
  assert.deepEqual(words, [{ kind: "leased", execution: id(1), epoch: "e1", due }]);
});

test("P6: a host answers for its own leases only", () => {
  const { leases, words, join } = setting([offer(1)]);
  join("web1");
  leases.answered(join("eve"), { execution: id(1), inMs: 60_000 });
  leases.answered(join("eve"), { execution: id(9), inMs: 60_000 });
  assert.deepEqual(words, []);
});

test("a host that says nothing is asked three times in a session; one that has refused once, and each again in the next one", () => {
  const { leases, offered, words, join, later } = setting([offer(1), offer(2)]);
  const session = join("web1");
  leases.answered(session, { execution: id(2), inMs: 60_000, refused: "policy: no" });
  for (let time = 0; time < 10; time++) later(10_000);
  assert.deepEqual(offered.toSorted(), ["web1 1", "web1 1", "web1 1", "web1 2"]);
  assert.deepEqual(words, [{ kind: "lease_refused", execution: id(2), reason: "policy: no" }]);
  join("web1");
  assert.deepEqual(offered.slice(4), ["web1 1", "web1 2"]);
});

test("what a host has is offered again in another numbering only, over a restart of the master, too", () => {
  const { offered, join } = setting([offer(1, { held: { epoch: "e1", due } }), offer(2, { held: { epoch: "e0", due } })]);
  join("web1", "e1");
  assert.deepEqual(offered, ["web1 2"]);
  join("web1", "e2");
  assert.deepEqual(offered.slice(1), ["web1 1", "web1 2"]);
});

test("another time for a lease is offered to a host that has it, too, and again when it comes before it has confirmed that", () => {
  const { leases, offered, words, join } = setting([offer(1, { held: { epoch: "e1", due } })]);
  const session = join("web1");
  leases.lend(offer(1, { due: due + 1_000 }));
  leases.answered(session, { execution: id(1), inMs: 60_000 });
  assert.deepEqual([offered, words], [["web1 1"], []]);
  leases.answered(join("web1"), { execution: id(1), inMs: 61_000 });
  join("web1");
  assert.deepEqual([offered, words], [["web1 1", "web1 1"], [{ kind: "leased", execution: id(1), epoch: "e1", due: due + 1_000 }]]);
});

test("what has begun is offered no more", () => {
  const { leases, offered, join, later } = setting([offer(1)]);
  leases.begun(id(1));
  leases.begun(id(9));
  join("web1");
  leases.lend(offer(2));
  leases.begun(id(2));
  later(10_000);
  assert.deepEqual(offered, ["web1 2"]);
});

test("what holds a secret, needs content of the master, or does not fit a frame stays with the master, which says why", () => {
  const step = (args: Record<string, unknown>, action = "command.run" as const) => [{ action, args }];
  const { leases, offered, words, link, join } = setting([
    offer(1, { steps: step({ argv: ["curl", "hush"] }) }),
    offer(2, { steps: [{ action: "file.write", args: { path: "/x", source: "x.conf" } }] }),
  ]);
  join("web1");
  link.tooLarge = true;
  leases.lend(offer(3));
  assert.deepEqual(offered, []);
  assert.deepEqual(
    words.map((word) => (word.kind === "lease_refused" ? word.reason : "")),
    ["command.run is given a secret, which no host keeps", "file.write brings content that the master has", "too many bytes"],
  );
});

test("P4: only so many offers to one host are on their way, and each answer makes room", () => {
  const { leases, offered, join } = setting(Array.from({ length: 250 }, (_value, number) => offer(number + 1)));
  const session = join("web1");
  assert.equal(offered.length, 100);
  for (let number = 1; number <= 250; number++) leases.answered(session, { execution: id(number), inMs: 60_000 });
  assert.deepEqual([offered.length, new Set(offered).size], [250, 250]);
});
