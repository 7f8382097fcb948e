/** What the master can say of its rules, against a real one: why they did what they did, silences, versions and the way back. */
import assert from "node:assert/strict";
import { chmodSync, readFileSync, rmSync, statSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { DecisionView, ReactorShowView, ReactorVersionView, ReactorView, RollbackView, SilenceView } from "@needfire/shared/api";
import { type Ran, run } from "../packages/cli/src/testing/run.ts";
import { Testbed, until } from "./testbed.ts";

const emit = (type: string) => `do:\n  - event.emit: { type: ${type} }\n`;
const full = (above: number) =>
  `name: full\ndescription: A disk is full.\non: disk.seen\nwhen: event.data.percent >= ${above} && event.data.kind == "data"\n${emit("full.told")}`;

describe("what the master can say of its rules", () => {
  let bed: Testbed;
  const needfire = (...words: string[]) => run(words, { env: { NEEDFIRE_MASTER: bed.path("master.sock") } });
  const done = async (...words: string[]) => {
    const ran = await needfire(...words);
    assert.deepEqual([ran.code, ran.signal], [0, null], `${words.join(" ")}: ${ran.stderr}${ran.stdout}`);
    return ran;
  };
  const lines = async <T>(...words: string[]) => linesOf<T>(await done(...words, "--json"));
  const one = async <T>(...words: string[]) => (await lines<T>(...words))[0]!;
  const send = async (type: string, data: object = {}) =>
    (await done("events", "send", type, "--data", JSON.stringify(data))).stdout.trim();
  const explain = (event: string, ...reactor: string[]) => lines<DecisionView>("reactors", "explain", event, ...reactor);
  const decided = (event: string, reactor: string, ...reasons: string[]) =>
    until(`${reactor} decides ${reasons.join(", ")}`, async () => {
      const found = await explain(event, reactor);
      return reasons.join() === found.map(({ decision }) => decision).join();
    });

  before(async () => {
    bed = await Testbed.start({}, (made) => {
      made.reactor("full", full(90));
      made.reactor("often", `name: often\non: login.failed\ncorrelate: { count: 2, within: 1h }\n${emit("often.told")}`);
      made.reactor("once", `name: once\non: knock.heard\nflow: { once: 1h }\n${emit("once.told")}`);
      made.reactor("quiet", `name: quiet\nmode: shadow\non: knock.heard\n${emit("quiet.told")}`);
      made.reactor("asleep", `name: asleep\nmode: "off"\non: knock.heard\n${emit("asleep.told")}`);
      made.reactor(
        "problem",
        `name: problem\nraise: { on: link.lost, by: event.data.link }\nclear: { on: link.back }\n${emit("problem.told")}`,
      );
      made.reactor(
        "steps",
        `name: steps\ncorrelate:\n  within: 1h\n  sequence:\n    - { on: st.a, as: one }\n    - { on: st.b, when: event.data.kind == "unit" && event.data.unit == matched.one.data.unit }\n    - { on: st.c, when: event.data.kind == "unit" }\n${emit("steps.told")}`,
      );
    });
  });
  after(() => bed.stop());

  describe("reactors explain", () => {
    test("a condition that was false is told by its part and with its values", async () => {
      const event = await send("disk.seen", { percent: 71, kind: "data" });
      const [decision] = await explain(event);
      assert.deepEqual(
        [decision!.reactor, decision!.decision, decision!.source, decision!.detail],
        ["full", "when-false", "judged-again", "event.data.percent >= 90 is false: 71 >= 90"],
      );
      assert.deepEqual(decision!.parts, [{ source: "event.data.percent >= 90", value: "false" }]);
      const people = (await done("reactors", "explain", event)).stdout;
      assert.match(people, /full does not fire, its condition is false: event\.data\.percent >= 90 is false: 71 >= 90/);
      assert.match(people, /event\.data\.percent >= 90 +false/);
      assert.match((await done("events", "show", event)).stdout, /71 >= 90/);
    });

    test("what was decided then is told as it was: waiting, fired with its task, throttled until when, mode shadow", async () => {
      const first = await send("login.failed");
      await decided(first, "often", "waiting");
      const second = await send("login.failed");
      await decided(second, "often", "fired");
      const [fired] = await explain(second, "often");
      assert.equal(fired!.source, "recorded");
      assert.match(fired!.task!, /^t-/);
      const [waited] = await explain(first, "often");
      assert.match(waited!.detail, /^1 of 2 within 1h/);
      assert.equal(waited!.task, fired!.task, "the task into which it went");

      await decided(await send("knock.heard"), "once", "fired");
      const knock = await send("knock.heard");
      await decided(knock, "once", "throttled");
      const decisions = await explain(knock);
      assert.deepEqual(decisions.map(({ reactor, decision }) => `${reactor} ${decision}`).toSorted(), ["once throttled", "quiet shadow"]);
      const [throttled] = await explain(knock, "once");
      assert.ok(Date.parse(throttled!.until!) > Date.now());
      assert.match(throttled!.detail, /throttled until .* fired at/);
    });

    test("a step that waits says what it does not take, with both values; one that takes nothing of that kind says so at any time", async () => {
      await decided(await send("st.a", { unit: "nginx" }), "steps", "waiting");
      const other = await send("st.b", { kind: "unit", unit: "cron" });
      await decided(other, "steps", "waiting");
      const [waiting] = await explain(other, "steps");
      assert.equal(waiting!.source, "recorded");
      assert.match(waiting!.detail, /^step 2 of 3 \(step2\) is waiting since .*; .* is false: "cron" == "nginx"$/);
      const [never] = await explain(await send("st.c", { kind: "host" }), "steps");
      assert.deepEqual(
        [never!.decision, never!.source, never!.detail],
        ["when-false", "judged-again", 'step3: event.data.kind == "unit" is false: "host" == "unit"'],
      );
    });

    test("a problem that is known: the task that it joined", async () => {
      const raised = await send("link.lost", { link: "eth0" });
      await decided(raised, "problem", "fired");
      await decided(await send("link.lost", { link: "eth1" }), "problem", "fired");
      const again = await send("link.lost", { link: "eth0" });
      await decided(again, "problem", "joined");
      const [[first], [second]] = [await explain(raised, "problem"), await explain(again, "problem")];
      assert.equal(second!.task, first!.task);
    });

    test("a reactor that the event did not concern says so; one that there is not is an error", async () => {
      const event = await send("disk.seen", { percent: 1, kind: "data" });
      assert.match(
        (await one<DecisionView>("reactors", "explain", event, "once")).detail,
        /hears knock\.heard, and the event is a disk\.seen/,
      );
      assert.match((await one<DecisionView>("reactors", "explain", await send("knock.heard"), "asleep")).detail, /it is off/);
      const ran = await needfire("reactors", "explain", event, "nobody");
      assert.deepEqual([ran.code, ran.stdout], [1, ""]);
      assert.match(ran.stderr, /there is no reactor "nobody"/);
      assert.equal((await needfire("reactors", "explain", "web1:1:1")).code, 1);
    });
  });

  describe("silences", () => {
    test("hold firings back, count them, last over a restart, and are audited", async () => {
      const added = await one<SilenceView>("silence", "add", "--reactor", "fu*", "--agent", "master", "--for", "2h", "--why", "new disk");
      assert.deepEqual([added.reactor, added.agent, added.why, added.held], ["fu*", "master", "new disk", 0]);
      await done("silence", "add", "--agent", "web*", "--for", "1h", "--why", "other hosts");
      const event = await send("disk.seen", { percent: 95, kind: "data" });
      await decided(event, "full", "silenced");
      const [decision] = await explain(event, "full");
      assert.match(decision!.detail, new RegExp(`silenced by ${added.id} until .*: new disk`));
      assert.equal(await bed.master.stop(), 0);
      await bed.startMaster();
      const listed = await lines<SilenceView>("silence", "list");
      assert.deepEqual(
        listed.map(({ held, agent }) => [agent, held]),
        [
          ["master", 1],
          ["web*", 0],
        ],
      );
      const table = (await done("silence", "list")).stdout;
      assert.match(table, new RegExp(`${added.id} +fu\\* +master .* 1 +\\S+ +new disk`));
      assert.match((await done("silence", "remove", added.id)).stdout, /is over; it held back 1 firing\.$/m);
      assert.equal((await needfire("silence", "remove", added.id)).code, 1);
      await decided(await send("disk.seen", { percent: 95, kind: "data" }), "full", "fired");
      const told = await bed.events({ type: "silence.*" }, 3);
      assert.deepEqual(
        told.map(({ type, data }) => [type, data["why"]]),
        [
          ["silence.added", "new disk"],
          ["silence.added", "other hosts"],
          ["silence.removed", "new disk"],
        ],
      );
      assert.equal(told[2]!.data["held"], 1);
      assert.ok(told.every(({ data }) => data["by"] !== ""));
    });

    test("end by themselves", async () => {
      const added = await one<SilenceView>("silence", "add", "--reactor", "once", "--for", "1s", "--why", "short");
      const [expired] = await bed.events({ type: "silence.expired" }, 1);
      assert.equal(expired!.subject, added.id);
      assert.ok((await lines<SilenceView>("silence", "list")).every(({ id }) => id !== added.id));
    });

    test("say what they need", async () => {
      for (const [words, says] of [
        [["--for", "1h", "--why", "x"], /--reactor, --agent or both/],
        [["--reactor", "x", "--for", "1h"], /--why/],
        [["--reactor", "x", "--why", "y"], /--for/],
        [["--reactor", "x", "--why", "y", "--for", "forever"], /duration/],
      ] as const) {
        const ran = await needfire("silence", "add", ...words);
        assert.equal(ran.code, 2, words.join(" "));
        assert.match(ran.stderr, says);
      }
    });
  });

  describe("versions", () => {
    const version = async () => (await lines<ReactorView>("reactors", "list")).find(({ name }) => name === "full")!.version;
    const versions = () => lines<ReactorVersionView>("reactors", "versions", "full");
    const file = () => bed.path("reactors", "full.yaml");
    const put = async (text: string, kept: number) => {
      bed.reactor("full", text);
      await done("reload");
      await until(`${kept} versions`, async () => (await versions()).length === kept);
    };

    test("every one that came into force is kept, an event is judged by the one of its time, and an earlier one is put back", async () => {
      const first = await version();
      const event = await send("disk.seen", { percent: 60, kind: "data" });
      await put(full(50), 2);
      const second = await version();
      assert.notEqual(first, second);
      assert.deepEqual(
        (await versions()).map(({ version: each, in_force: inForce }) => [each, inForce]),
        [
          [second, true],
          [first, false],
        ],
      );
      const [decision] = await explain(event, "full");
      assert.deepEqual([decision!.decision, decision!.version, decision!.source], ["when-false", first, "judged-again"]);
      assert.match((await one<ReactorShowView>("reactors", "show", "full", "--version", first)).text, />= 90/);
      assert.match((await done("reactors", "show", "full")).stdout, />= 50/);

      chmodSync(file(), 0o640);
      const asked = await needfire("reactors", "rollback", "full");
      assert.equal(asked.code, 1, "nobody is there to say yes");
      assert.match(asked.stdout, /^-when: event\.data\.percent >= 50.*\n\+when: event\.data\.percent >= 90/m);
      assert.equal(await version(), second);
      assert.match((await done("reactors", "rollback", "full", "--yes")).stdout, /is back at version/);
      assert.equal(readFileSync(file(), "utf8"), full(90));
      assert.equal(statSync(file()).mode & 0o777, 0o640);
      assert.equal(await version(), first);
      const [told] = await bed.events({ type: "reactor.rolled_back" }, 1);
      assert.deepEqual([told!.data["from"], told!.data["to"], told!.data["reactor"]], [second, first, "full"]);
      assert.equal((await versions()).length, 3);
      const forward = await one<RollbackView>("reactors", "rollback", "full", "--to", second.slice(0, 6));
      assert.deepEqual([forward.done, forward.to.version], [true, second]);
      assert.equal(await version(), second);
    });

    test("a file that was changed and is not in force is not overwritten; nor is a version put back that is no good any more", async () => {
      bed.reactor("full", "name: full\nmine: yes\n");
      const refused = await needfire("reactors", "rollback", "full", "--yes");
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /has changed on disk and is not in force/);
      assert.equal(readFileSync(file(), "utf8"), "name: full\nmine: yes\n");
      bed.reactor("full", full(50));
      await done("reload");
      for (const [words, says] of [
        [["full", "--to", "00000000"], /no version 00000000/],
        [["full", "--to", (await version()).slice(0, 8)], /in force already/],
        [["nobody"], /there is no reactor "nobody"/],
        [["once"], /no earlier version/],
      ] as const) {
        const ran = await needfire("reactors", "rollback", ...words, "--yes");
        assert.equal(ran.code, 1, words.join(" "));
        assert.match(ran.stderr, says);
      }
    });

    test("a file that is gone is not made anew, and its text can still be read", async () => {
      bed.reactor("gone", `name: gone\non: x.y\n${emit("gone.told")}`);
      await done("reload");
      await until("it is kept", async () => (await needfire("reactors", "versions", "gone")).code === 0);
      rmSync(bed.path("reactors", "gone.yaml"));
      await done("reload");
      await until("it is not in force", async () =>
        (await lines<ReactorVersionView>("reactors", "versions", "gone")).every(({ in_force: is }) => !is),
      );
      assert.match((await done("reactors", "show", "gone")).stdout, /gone\.told/);
      const ran = await needfire("reactors", "rollback", "gone", "--yes");
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /is gone.*reactors show gone --version/);
    });
  });

  test("reactors list counts firings and what was throttled, takes the time of deciding, and fits 100 columns", async () => {
    const reactors = new Map((await lines<ReactorView>("reactors", "list")).map((reactor) => [reactor.name, reactor]));
    assert.deepEqual([reactors.get("once")!.firings, reactors.get("quiet")!.mode], [1, "shadow"]);
    assert.ok(reactors.get("once")!.throttled >= 1);
    assert.ok(reactors.get("quiet")!.firings >= 2 && reactors.get("quiet")!.last_firing !== undefined);
    for (const line of (await done("reactors", "list")).stdout.trimEnd().split("\n")) assert.ok(line.length <= 100, line);
  });
});

function linesOf<T>({ stdout }: Ran): T[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
}
