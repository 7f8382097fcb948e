/** The `needfire` program as people use it, against a real master and a real agent: every subcommand, its JSON, its exit codes, its filters. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type {
  AgentApiView,
  ChainView,
  EventView,
  KeyView,
  ReactorView,
  StatusView,
  TaskShowView,
  TaskView,
  TokenView,
} from "@needfire/shared/api";
import { type Ran, run, start } from "../packages/cli/src/testing/run.ts";
import { Testbed, until } from "./testbed.ts";

/** Everything that a terminal would act on, but the line end and the tab. */
// eslint-disable-next-line no-control-regex
const unsafe = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/;
const hostileName = "\x1b]0;owned\x07\u202egnp\nnext: line";

describe("needfire", () => {
  let bed: Testbed;
  let file: string;
  /** Says it to this test's master. */
  const needfire = (...words: string[]) => run(words, { env: { NEEDFIRE_MASTER: bed.path("master.sock") } });
  const done = async (...words: string[]) => {
    const ran = await needfire(...words);
    assert.deepEqual([ran.code, ran.signal], [0, null], `${words.join(" ")}: ${ran.stderr}`);
    return ran;
  };
  const one = async <T>(...words: string[]) => JSON.parse((await done(...words, "--json")).stdout) as T;
  const lines = async <T>(...words: string[]) => linesOf<T>(await done(...words, "--json"));
  const events = (...words: string[]) => lines<EventView>("events", "list", ...words);
  const everything = () => events("--limit", "10000");
  const same = (found: EventView[], wanted: EventView[]) =>
    assert.deepEqual(
      found.map(({ id }) => id),
      wanted.map(({ id }) => id),
    );

  before(async () => {
    bed = await Testbed.start({ enrolment: "manual" }, (made) => {
      file = made.manage("app.conf", { content: "right\n", targets: "web1" });
      mkdirSync(made.path("host", "in"));
      made.reactor("restore", "name: restore\non: file.drifted\ndo:\n  - file.restore: { path: '${{ event.data.path }}' }\n");
      made.reactor("failing", "name: failing\non: file.created\ndo:\n  - command.run: { argv: [ls, '${{ event.data.path }}/nowhere'] }\n");
      made.reactor("bad", "name: bad\non: x.y\ndo:\n  - no.such: {}\n");
      made.beacon("managed", "name: managed\ntype: file\nmanaged: true\nsettle: 1ms\nseverity: high\n");
      made.beacon("in", `name: in\ntype: file\npaths: [${JSON.stringify(made.path("host", "in"))}]\nsettle: 1ms\n`);
    });
  });
  after(() => bed.stop());

  describe("keys and agents", () => {
    test("an agent joins, waits with the fingerprint that the master shows, is accepted, and is listed", async () => {
      const { join_string: joinString } = await one<StatusView>("status");
      const joining = [
        "agent",
        "join",
        joinString,
        "--id",
        "web1",
        "--label",
        "role=web",
        "--allow-commands",
        "ls **",
        "--config",
        bed.path("web1.yaml"),
      ];
      const told = await one<Record<string, string>>(...joining, "--state", bed.path("state-web1"));
      assert.equal(told["state"], "pending");
      const [key] = await lines<KeyView>("keys", "list");
      assert.deepEqual([key!.id, key!.state, key!.fingerprint], ["web1", "pending", told["fingerprint"]]);
      assert.equal((await one<StatusView>("status")).fingerprint, told["masterFingerprint"]);
      assert.match((await done("keys", "list")).stdout, /web1 .*pending/);
      assert.deepEqual(await lines("agents", "list"), []);

      bed.launchAgent("web1");
      const accepted = await done("keys", "accept", key!.fingerprint.slice(0, 9));
      assert.equal(accepted.stdout, `web1 is accepted (${key!.fingerprint})\n`);
      await bed.connected("web1");
      await until("the file is in place", () => existsSync(file) && readFileSync(file, "utf8") === "right\n");
      await bed.watching("web1", "managed", "in");
      assert.match((await done("agents", "list")).stdout, /web1 .*present/);
      const shown = await one<AgentApiView>("agents", "show", "web1");
      assert.deepEqual([shown.connected, shown.labels["role"], shown.files], [true, "web", [file]]);
      assert.match((await done("agents", "show", "web1")).stdout, /managed \(file\)/);
    });

    test("a token lets an agent in with its labels, and a second one not", async () => {
      const token = await one<TokenView>("keys", "token", "create", "--uses", "1", "--ttl", "10m", "--label", "rack=7");
      assert.deepEqual([token.uses, token.labels], [1, { rack: "7" }]);
      const join = (id: string) =>
        needfire("agent", "join", token.join_string, "--id", id, "--config", bed.path(`${id}.yaml`), "--state", bed.path(`state-${id}`));
      const first = await join("db1");
      assert.equal(first.code, 0, first.stderr);
      assert.match(first.stdout, /db1 is accepted/);
      assert.deepEqual((await one<AgentApiView>("agents", "show", "db1")).labels, { rack: "7" });
      // The token is used up: as with manual enrolment any other, it waits.
      const second = await join("db2");
      assert.equal(second.code, 0, second.stderr);
      assert.match(second.stdout, /db2 waits for the master's operator/);
    });

    test("a key is revoked, and another rejected: neither joins again", async () => {
      assert.match((await done("keys", "revoke", "db1")).stdout, /^db1 is revoked /);
      await done("keys", "reject", "db2");
      assert.deepEqual(
        (await lines<AgentApiView>("agents", "list")).map(({ id }) => id),
        ["web1"],
      );
      const { join_string: joinString } = await one<StatusView>("status");
      await done("agent", "join", joinString, "--id", "no1", "--config", bed.path("no1.yaml"), "--state", bed.path("state-no1"));
      const [rejected] = await lines<KeyView>("keys", "reject", "no1");
      assert.deepEqual([rejected!.id, rejected!.state], ["no1", "rejected"]);
      for (const id of ["db1", "no1"]) {
        const again = await needfire("agent", "join", joinString, "--config", bed.path(`${id}.yaml`));
        assert.equal(again.code, 1, again.stdout);
        assert.match(again.stdout, new RegExp(`refused ${id}`));
      }
    });
  });

  describe("events, tasks and reactors", () => {
    let sent: string[];
    before(async () => {
      bed.write("host/app.conf", "wrong\n");
      await until("the file is back", () => readFileSync(file, "utf8") === "right\n");
      writeFileSync(bed.path("host", "in", hostileName), "");
      await bed.tasks((tasks) => tasks.length > 0 && tasks.every(({ state }) => state === "escalated"), "failing");
      await bed.tasks((tasks) => tasks.length >= 2 && tasks.every(({ state }) => state === "resolved"), "restore");
      sent = [];
      for (const count of [1, 2, 3]) {
        const { stdout } = await done(
          "events",
          "send",
          "deploy.wanted",
          "--subject",
          `shop ${count}`,
          "--severity",
          "low",
          "--data",
          `{"count":${count}}`,
        );
        sent.push(stdout.trim());
      }
      await bed.events({ type: "deploy.wanted" }, 3);
    });

    for (const words of [
      ["status"],
      ["keys", "list"],
      ["agents", "list"],
      ["agents", "show", "web1"],
      ["events", "list"],
      ["events", "list", "--type", "no.such"],
      ["reactors", "list"],
      ["tasks", "list"],
      ["tasks", "list", "--state", "escalated", "--reactor", "fail*", "--agent", "web*"],
    ]) {
      test(`${words.join(" ")}: for people, and an object a line with --json`, async () => {
        const people = await done(...words);
        assert.ok(!unsafe.test(people.stdout + people.stderr));
        const json = await done(...words, "--json");
        assert.ok(!unsafe.test(json.stdout));
        for (const value of linesOf<unknown>(json)) assert.equal(typeof value, "object");
        if (!words.includes("no.such")) assert.ok(people.stdout !== "" && json.stdout !== "");
        else assert.deepEqual([people.stdout, json.stdout, people.stderr], ["", "", "No such event.\n"]);
      });
    }

    test("events list is newest first, and filters by agent, type, condition and number", async () => {
      const all = await everything();
      assert.ok(all.length > 20);
      assert.ok(all.every(({ position }, index) => index === 0 || position < all[index - 1]!.position));
      same(await events("--limit", "3"), all.slice(0, 3));
      assert.equal((await events()).length, Math.min(50, all.length));
      const wide = ["--limit", "10000"];
      same(
        await events("--agent", "web*", ...wide),
        all.filter(({ agent }) => agent === "web1"),
      );
      same(
        await events("--agent", "web1", "--type", "file.*", ...wide),
        all.filter(({ agent, type }) => agent === "web1" && type.startsWith("file.")),
      );
      same(
        await events("--type", "{task.created,deploy.wanted}", ...wide),
        all.filter(({ type }) => type === "task.created" || type === "deploy.wanted"),
      );
      same(
        await events("--where", 'event.severity == "high" && event.agent == "web1"', ...wide),
        all.filter(({ severity, agent }) => severity === "high" && agent === "web1"),
      );
      same(
        await events("--where", "event.data.count >= 2"),
        all.filter(({ data }) => Number(data["count"]) >= 2),
      );
      same(
        await events("--where", "event.data.count >= 2", "--limit", "1"),
        all.filter(({ data }) => data["count"] === 3),
      );
    });

    test("events list filters by time, as an ISO time or as a duration", async () => {
      const all = await everything();
      const middle = all.find(({ type }) => type === "file.created")!;
      const at = new Date(Math.ceil(Date.parse(middle.time)) + 1).toISOString();
      // As digits: a time with microseconds in the same millisecond comes after one without.
      const digits = (time: string) => time.replace("Z", "").padEnd(26, "0");
      const since = await events("--since", at, "--limit", "10000");
      same(
        since,
        all.filter(({ time }) => digits(time) >= digits(at)),
      );
      const until = await events("--until", at, "--limit", "10000");
      same(
        until,
        all.filter(({ time }) => digits(time) <= digits(at)),
      );
      assert.ok(since.length > 0 && until.length > 0 && since.length + until.length >= all.length);
      same(await events("--since", "1h", "--limit", "10000"), all);
      assert.deepEqual(await events("--until", "1h"), []);
    });

    test("events show tells the whole chain, from the cause and from an effect", async () => {
      const [drift] = await events("--type", "file.drifted", "--limit", "1");
      const fromAbove = await one<ChainView>("events", "show", drift!.id);
      const kinds = fromAbove.chain.map(({ kind, title }) => `${kind} ${title.split(" ")[0]}`);
      for (const link of [
        "event file.drifted",
        "task task",
        "event task.created",
        "execution file.restore",
        "event execution.finished",
        "event task.resolved",
      ])
        assert.ok(kinds.includes(link), `${link} in ${kinds.join(", ")}`);
      const [result] = await events("--type", "execution.finished", "--where", 'event.data.action == "file.restore"', "--limit", "1");
      const fromBelow = await one<ChainView>("events", "show", result!.id);
      assert.deepEqual(
        fromBelow.chain.map(({ id }) => id),
        fromAbove.chain.map(({ id }) => id),
      );
      const people = (await done("events", "show", drift!.id)).stdout;
      assert.match(people, /\n {2}\+wrong\n/, "the diff");
      for (const id of fromAbove.chain.map((link) => link.id)) assert.ok(people.includes(id), id);
    });

    test("events send puts an event into the journal, and prints its id", async () => {
      const { event } = await one<ChainView>("events", "show", sent[1]!);
      const { by, ...data } = event.data;
      assert.deepEqual([event.type, event.subject, event.severity, data], ["deploy.wanted", "shop 2", "low", { count: 2 }]);
      assert.ok(typeof by === "string" && by !== "");
    });

    test("events watch gets an event as it comes, until Ctrl-C", async () => {
      const words = ["events", "watch", "--type", "deploy.*", "--where", "event.data.count > 10", "--json"];
      const watching = start(words, { env: { NEEDFIRE_MASTER: bed.path("master.sock") } });
      // It says nothing until something comes: events are sent until one has come through.
      const first = watching.said('"count":11').then(() => "seen");
      for (let heard: unknown; heard !== "seen";) {
        await done("events", "send", "deploy.wanted", "--data", '{"count":5}');
        heard = await Promise.race([first, done("events", "send", "deploy.wanted", "--data", '{"count":11}')]);
      }
      await done("events", "send", "deploy.wanted", "--data", '{"count":12}');
      await watching.said('"count":12');
      watching.child.kill("SIGINT");
      const ran = await watching.ended;
      assert.deepEqual([ran.code, ran.stderr], [0, ""]);
      const got = linesOf<EventView>(ran);
      assert.ok(got.every(({ type, data }) => type === "deploy.wanted" && Number(data["count"]) > 10));
      const people = start(["events", "watch"], { env: { NEEDFIRE_MASTER: bed.path("master.sock") } });
      await people.said("SUBJECT");
      people.child.kill("SIGINT");
      assert.equal((await people.ended).code, 0);
    });

    test("tasks show tells what was run, with what, and how it ended", async () => {
      const [task] = await lines<TaskView>("tasks", "list", "--reactor", "failing");
      assert.equal(task!.state, "escalated");
      assert.deepEqual(await one<TaskShowView>("tasks", "show", task!.id), { ...task!, comments: [] });
      const people = (await done("tasks", "show", task!.id)).stdout;
      assert.match(people, /reason .*command\.run failed: exited with 2/);
      assert.match(people, /exit_code: 2/);
    });

    test("what a host calls its files cannot act on a terminal", async () => {
      const [created] = await events("--type", "file.created", "--limit", "1");
      assert.equal(created!.subject, bed.path("host", "in", hostileName), "in JSON it is the very name");
      const [task] = await lines<TaskView>("tasks", "list", "--reactor", "failing");
      for (const words of [
        ["events", "list"],
        ["events", "show", created!.id],
        ["events", "show", created!.id, "--json"],
        ["tasks", "list"],
        ["tasks", "show", task!.id],
      ]) {
        const ran = await done(...words);
        assert.ok(!unsafe.test(ran.stdout + ran.stderr), words.join(" "));
        if (!words.includes("--json")) assert.match(ran.stdout, /\\x1b\]0;owned\\x07\\u202egnp\\nnext: line/, words.join(" "));
      }
    });

    test("reactors list counts firings, and tells of bad files on stderr; reload and check end with 1 for them", async () => {
      const listed = await done("reactors", "list", "--json");
      const reactors = linesOf<ReactorView>(listed);
      const firings = Object.fromEntries(reactors.map((reactor) => [reactor.name, reactor.firings]));
      assert.equal(firings["failing"], 1);
      assert.ok(firings["restore"]! >= 2);
      const place = `${bed.path("reactors", "bad.yaml")}:4:5: `;
      assert.ok(listed.stderr.includes(place));
      for (const words of [["reload"], ["reactors", "check", bed.path("reactors")]]) {
        const ran = await needfire(...words);
        assert.equal(ran.code, 1, words.join(" "));
        assert.ok(ran.stdout.includes(place), ran.stdout);
        const json = await needfire(...words, "--json");
        assert.equal(json.code, 1);
        assert.deepEqual(
          linesOf<Record<string, unknown>>(json)
            .filter(({ level }) => level !== "warning")
            .map(({ file: where, line, column }) => `${where}:${line}:${column}: `),
          [place],
        );
      }
      assert.equal((await needfire("reactors", "check", bed.path("reactors", "restore.yaml"))).code, 0);
      const { problems } = await one<StatusView>("status");
      assert.deepEqual(
        problems.map(({ line }) => line),
        [4],
      );
    });
  });

  describe("exit codes", () => {
    const nowhere = "needfire://127.0.0.1:1/" + "k".repeat(43);
    const cases: [number, RegExp, ...string[]][] = [
      [1, /there is no event "nope"/, "events", "show", "nope"],
      [1, /there is no event "web1:abc:1"/, "events", "show", "web1:abc:1"],
      [1, /there is no task/, "tasks", "show", "t-0123456789abcdef"],
      [1, /there is no agent "nobody"/, "agents", "show", "nobody"],
      [1, /there is no key "nobody"/, "keys", "accept", "nobody"],
      [2, /unknown command/, "evnts", "list"],
      [2, /unknown option/, "events", "list", "--typ", "x.y"],
      [2, /--where, column \d+/, "events", "list", "--where", "event.data.count >"],
      [2, /duration/, "events", "list", "--since", "yesterday-ish"],
      [2, /1 to 10000/, "events", "list", "--limit", "0"],
      [2, /master's own/, "events", "send", "task.resolved"],
      [2, /JSON object/, "events", "send", "deploy.wanted", "--data", "[1]"],
      [2, /join string/i, "agent", "join", "needfire://nowhere"],
      [2, /missing required argument/, "tasks", "show"],
    ];
    for (const [code, reason, ...words] of cases) {
      test(`${words.join(" ")} ends with ${code}`, async () => {
        const ran = await needfire(...words);
        assert.equal(ran.code, code, ran.stderr);
        assert.match(ran.stderr, reason);
        assert.equal(ran.stdout, "");
        assert.ok(!unsafe.test(ran.stderr));
      });
    }

    test("3: a master that cannot be reached", async () => {
      for (const words of [["status"], ["events", "list"], ["events", "watch"], ["keys", "accept", "web1"], ["reload"]]) {
        const ran = await run(words, { env: { NEEDFIRE_MASTER: bed.path("no.sock") } });
        assert.equal(ran.code, 3, words.join(" "));
        assert.match(ran.stderr, /cannot be reached at .*no\.sock/);
      }
      const files = ["--config", bed.path("far.yaml"), "--state", bed.path("state-far")];
      const joining = await needfire("agent", "join", nowhere, "--id", "far1", "--wait", "500ms", ...files);
      assert.equal(joining.code, 3, joining.stderr);
    });

    test("3: a master that goes away ends a watch", async () => {
      const watching = start(["--master", bed.path("master.sock"), "events", "watch"]);
      await watching.said("SUBJECT");
      // The header comes before the stream: the first event says that it stands.
      const sending = setInterval(() => void bed.client.send({ type: "still.there" }).catch(() => {}), 50);
      await watching.said("still.there").finally(() => clearInterval(sending));
      assert.equal(await bed.master.stop(), 0);
      const ran = await watching.ended;
      assert.equal(ran.code, 3, ran.stderr);
      assert.match(ran.stderr, /ended the stream|cannot be reached/);
      assert.equal((await needfire("status")).code, 3);
      await bed.startMaster();
      assert.equal((await needfire("status")).code, 0);
    });
  });
});

function linesOf<T>({ stdout }: Ran): T[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
}
