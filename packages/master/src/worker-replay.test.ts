import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { ReplaySummary } from "@needfire/shared/api-replay";
import { startTask } from "@needfire/shared/task";
import { loadReactors } from "@needfire/shared/reactor";
import { plainRoute } from "@needfire/shared/router";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { Rules } from "@needfire/shared/rules/rules";
import type { Firing } from "@needfire/shared/rules/types";
import { somePublicKey, temporaryDirectory } from "./fixture.ts";
import { batch, databaseFile, numbered } from "./journal/journal-fixture.ts";
import { seal } from "./journal/seal.ts";
import { JournalWriter } from "./journal/sqlite.ts";
import type { ReplayLine } from "./replay.ts";
import { Database } from "./store/database.ts";
import { StoreWriter } from "./store/sqlite.ts";
import { type ReplayThreadOptions, replayInThread } from "./worker-replay.ts";

const start = 1_000_000;
const stepMs = 1_000;
const rules = `name: thrice
on: login.*
when: event.data.ok == false && agent.labels.role == "web"
correlate: { count: 3, within: 1m, by: [event.agent] }
do: [{ event.emit: { type: site.noticed, data: { last: "\${{ event.id }}" } } }]
---
name: silent
on: beat.sent
correlate: { none: { on: beat.sent }, within: 30s, by: [event.agent] }
do: [{ event.emit: { type: site.noticed } }]
---
name: watched
mode: shadow
on: login.failed
when: event.subject == "root"
do: [{ event.emit: { type: site.noticed } }]
`;

/** Events of a quarter of an hour, one a second: some in sealed partitions, some in tables. */
function journalOf(t: TestContext): { file: string; journal: JournalWriter; store: StoreWriter } {
  const file = databaseFile(temporaryDirectory(t));
  const database = new Database({ file, synchronous: "NORMAL" });
  const store = new StoreWriter(database, { now: start });
  const journal = new JournalWriter(database, { partitionEventsMax: 200 });
  for (let number = 1; number <= 900; number++) {
    const type = number % 45 === 0 ? "beat.sent" : number % 7 === 0 ? "login.failed" : "noise.made";
    const subject = number % 5 === 0 ? "root" : "someone";
    journal.append([batch([numbered(number, { type, subject, data: { ok: number % 2 === 0 } })], { received: start + number * stepMs })]);
  }
  for (const partition of journal.partitions().slice(0, 2)) journal.markSealed(partition.number, seal({ database: file, partition }));
  const key = {
    publicKey: somePublicKey(),
    id: "web1",
    state: "accepted",
    labels: { role: "web" },
    firstSeen: 0,
    changed: 0,
    by: "test",
  } as const;
  store.commitAll([{ now: start, keys: [key] }]);
  t.after(() => journal.close());
  return { file, journal, store };
}

async function replayed(file: string, given: Partial<ReplayThreadOptions> = {}, signal = new AbortController().signal) {
  const lines: ReplayLine[] = [];
  const options = {
    database: file,
    files: [{ file: "r.yaml", text: rules }],
    sources: {},
    since: 0,
    until: start + 950_000,
    diff: false,
    firings_max: 1_000,
  };
  const { done } = await replayInThread({ ...options, router: undefined, ...given }, (some) => lines.push(...some), signal);
  const summary = await done;
  const firings = lines.filter((line) => line.kind === "firing");
  return { summary, lines, firings };
}

/** What the engine says, told of every event and of the time. */
function live(journal: JournalWriter): Firing[] {
  const loaded = loadReactors("r.yaml", rules);
  assert.ok(loaded.ok);
  const world = { agentView: () => ({ id: "web1", labels: { role: "web" }, facts: {} }), route: plainRoute, silence: () => undefined };
  const engine = new Rules(new ReactorIndex(loaded.reactors), world);
  const judgements = journal.read(0, 1_000).map((event) => engine.hear({ event, agent: event.agent, ancestry: [], root: event.id }));
  judgements.push(engine.tick(start + 950_000));
  return judgements.flatMap(({ decisions }) => decisions.flatMap(({ firing }) => firing ?? []));
}

const idOf = ({ reactor, trigger }: Firing) => `${reactor.name} ${trigger.event.id}`;

test("a replay fires what fired live, in the same order, from sealed partitions and tables alike", async (t) => {
  const { file, journal } = journalOf(t);
  const { firings, summary, lines } = await replayed(file);
  const expected = live(journal);
  assert.ok(expected.some(({ reactor }) => reactor.name === "thrice") && expected.some(({ reactor }) => reactor.name === "silent"));
  assert.deepEqual(
    firings.filter(({ as }) => as === "fired").map(({ reactor, event }) => `${reactor} ${event}`),
    expected.map(idOf),
  );
  assert.deepEqual(firings[0]?.do, [{ action: "event.emit", args: expected[0]!.plan.ok && expected[0]!.plan.rungs[0]!.steps[0]!.args }]);
  assert.equal(summary?.events, 900);
  assert.ok(firings.some(({ reactor, as }) => reactor === "watched" && as === "shadow"));
  assert.equal(lines.at(-1)?.kind, "progress");
  assert.equal(
    summary.reactors.find(({ reactor }) => reactor === "watched")?.reasons["shadow"],
    firings.filter(({ as }) => as === "shadow").length,
  );
});

test("beside what fired: what would be new, what is the same, and what would be no more", async (t) => {
  const { file, journal, store } = journalOf(t);
  const [first, second] = live(journal);
  const tasks = [first!, second!].map((firing) => startTask(firing, { now: firing.trigger.event.received, random: 0 }));
  const [task, other] = tasks.map(({ task: made }) => made);
  const gone = { ...other!, id: "t-00000000000000aa", event: "web1:e1:5" };
  const unasked = { ...other!, id: "t-00000000000000bb", reactor: "another" };
  store.commitAll([{ now: start, changes: [task!, gone, unasked].map((each) => ({ isNew: true, task: each, effects: [] })) }]);
  const { firings, lines, summary } = await replayed(file, { diff: true });
  assert.equal(firings[0]?.task, task!.id);
  assert.equal(firings[1]?.task, undefined);
  assert.deepEqual(
    lines.filter((line) => line.kind === "gone").map((line) => line.kind === "gone" && line.task),
    [gone.id],
  );
  assert.deepEqual(summary?.diff, { same: 1, new: firings.length - 1, gone: 1, complete: true });
});

test("a period is kept to, and firings beyond the limit are counted", async (t) => {
  const { file } = journalOf(t);
  const { summary } = await replayed(file, { since: start + 450_000, until: start + 500_000, firings_max: 1 });
  assert.equal(summary?.firings, 1 + (summary as ReplaySummary).untold);
  assert.ok(summary.untold > 0);
});

test("who gives it up ends it", async (t) => {
  const { file } = journalOf(t);
  const given = new AbortController();
  given.abort();
  assert.equal((await replayed(file, {}, given.signal)).summary, undefined);
});

test("reactors that cannot be compiled are refused with their places; variables come from what is sent along", async (t) => {
  const { file } = journalOf(t);
  const bad = { file: "bad.yaml", text: "name: x\non: a.b\nwhen: event.\ndo: []\n" };
  await assert.rejects(replayed(file, { files: [bad] }), (error: Error) => error.message.startsWith("bad.yaml:3:"));
  const text = `name: x\non: login.failed\nwhen: event.subject in vars.users\nvars: { users: { file: users.yaml } }\ndo: [{ event.emit: { type: site.noticed } }]\n`;
  const { summary } = await replayed(file, { files: [{ file: "rules/x.yaml", text }], sources: { "rules/users.yaml": "[root]" } });
  assert.ok((summary?.firings ?? 0) > 0);
});
