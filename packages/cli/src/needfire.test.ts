/** The program as people run it: real processes against a socket. */
import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import manifest from "../package.json" with { type: "json" };
import { event, type FakeMaster, startFakeMaster } from "./testing/fake-master.ts";
import { program, run, start } from "./testing/run.ts";

const folder = mkdtempSync(join(tmpdir(), "needfire-cli-"));
let master: FakeMaster;
let env: Record<string, string>;

before(async () => {
  master = await startFakeMaster(join(folder, "api.sock"));
  env = { NEEDFIRE_MASTER: master.socket };
});
after(async () => {
  await master.stop();
  rmSync(folder, { recursive: true });
});

const ask = (...words: string[]) => run(words, { env });
/** A control character (but a line end), or a mark that turns the line around. */
const unsafe = /(?!\n)[\p{Cc}\u202e]/u;

describe("exit codes", () => {
  const cases: [words: string[], code: number, says: RegExp][] = [
    [["status"], 0, /fire\.example\.org:4510/],
    [["--version"], 0, new RegExp(manifest.version)],
    [["events", "show", "nobody:1:1"], 1, /There is no/],
    [["reload"], 1, /bad\.yaml:4:7: unknown key "whne"/],
    [[], 2, /Usage: needfire/],
    [["events"], 2, /Usage: needfire events/],
    [["evnts"], 2, /unknown command 'evnts'[^]*Did you mean events\?/],
    [["events", "lsit"], 2, /Did you mean list\?/],
    [["agent", "jion"], 2, /unknown command 'jion'/],
    [["events", "list", "--limti", "3"], 2, /unknown option '--limti'/],
    [["events", "list", "--limit", "0"], 2, /whole number from 1 to 10000/],
    [["events", "list", "--since", "yesterday"], 2, /such as 15m/],
    [["events", "count", "--by", "colour"], 2, /Allowed choices are type, agent/],
    [["events", "list", "--where", "broken"], 2, /in the condition/],
    [["events", "send", "task.done"], 2, /such as deploy\.wanted/],
    [["events", "send", "deploy.wanted", "--data", "[1]"], 2, /JSON object/],
    [["events", "send", "deploy.wanted", "--severity", "huge"], 2, /Allowed choices are critical/],
    [["keys", "token", "create", "--label", "role"], 2, /key=value/],
    [["keys", "accept"], 2, /missing required argument/],
    [["agent", "join", "x", "--id", "No Good"], 2, /an agent id/],
    [["silence", "add", "--for", "1h", "--why", "x"], 2, /say which: --reactor, --agent or both/],
    [["silence", "add", "--reactor", "x", "--for", "1ms", "--why", "x"], 2, /from 1s to 366d/],
    [["--master", "/nowhere/master.sock", "status"], 3, /\/nowhere\/master\.sock: there is no such socket[^]*--master/],
  ];
  for (const [words, code, says] of cases) {
    test(`needfire ${words.join(" ")} ends with ${code}`, async () => {
      const ran = await ask(...words);
      assert.equal(ran.code, code, ran.stderr);
      assert.match(ran.stdout + ran.stderr, says);
      if (code > 0 && words[0] !== "reload") assert.equal(ran.stdout, "");
    });
  }

  test("a socket that nobody listens on is told from one that is not there", async () => {
    const path = join(folder, "file.sock");
    writeFileSync(path, "");
    const ran = await run(["status"], { env: { NEEDFIRE_MASTER: path } });
    assert.equal(ran.code, 3);
    assert.match(ran.stderr, /nobody listens there[^]*NEEDFIRE_MASTER/);
  });
});

describe("--json", () => {
  const lists: [words: string[], ids: string[]][] = [
    [
      ["events", "list"],
      ["web1:mi4k2x:43", "web1:mi4k2x:42"],
    ],
    [
      ["agents", "list"],
      ["web1", "web2"],
    ],
    [
      ["keys", "list"],
      ["web1", "web2"],
    ],
    [["tasks", "list"], ["t-3f9a1c0b27d40000"]],
  ];
  for (const [words, ids] of lists) {
    test(`needfire ${words.join(" ")} prints an object a line`, async () => {
      const ran = await ask(...words, "--json");
      assert.equal(ran.code, 0, ran.stderr);
      const objects = ran.stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { id: string });
      assert.deepEqual(
        objects.map(({ id }) => id),
        ids,
      );
      assert.ok(!unsafe.test(ran.stdout));
    });
  }

  test("needfire events count prints a count a line, and says beside it when a part of the journal cannot be read", async () => {
    const ran = await ask("events", "count", "--by", "type", "--json");
    assert.deepEqual(ran.stdout.trimEnd().split("\n"), ['{"key":"file.changed","events":1200}', '{"key":"cpu.high","events":41}']);
    assert.match(ran.stderr, /^The answer is not whole: 100000 events of the journal cannot be read: part 12 \(/);
  });

  const objects: [words: string[], has: string][] = [
    [["status"], "join_string"],
    [["keys", "accept", "web1"], "state"],
    [["keys", "revoke", "3f9a-1c0b"], "state"],
    [["keys", "token", "create"], "join_string"],
    [["agents", "show", "web1"], "facts"],
    [["events", "show", "web1:mi4k2x:42"], "chain"],
    [["events", "send", "deploy.wanted"], "id"],
    [["tasks", "show", "t-3f9a1c0b27d40000"], "executions"],
    [["tasks", "cancel", "t-3f9a1c0b27d40000", "--why", "wrong window"], "cancelled_by"],
    [["tasks", "approve", "t-3f9a1c0b27d40000", "--why", "checked"], "approved"],
    [["tasks", "deny", "t-3f9a1c0b27d40000"], "cancelled_by"],
    [["tasks", "keep", "t-3f9a1c0b27d40000"], "kept"],
    [["rollouts", "list"], "targets"],
    [["rollouts", "show", "r-9b1c44d07e2a51f3"], "members"],
    [["rollouts", "pause", "r-9b1c44d07e2a51f3", "--why", "lunch"], "by"],
    [["rollouts", "resume", "r-9b1c44d07e2a51f3"], "state"],
    [["rollouts", "cancel", "r-9b1c44d07e2a51f3"], "state"],
    [["rollouts", "retry", "r-9b1c44d07e2a51f3"], "retry_of"],
    [["rollouts", "retry", "r-9b1c44d07e2a51f3", "--dry-run"], "left"],
    [["tasks", "retry", "t-3f9a1c0b27d40000"], "retry_of"],
    [["tasks", "comment", "t-3f9a1c0b27d40000", "the disk is full"], "id"],
    [["breakers", "reset", "restore"], "held"],
    [["reload"], "message"],
    [["reactors", "list"], "name"],
    [["reactors", "show", "restore"], "text"],
    [["reactors", "rollback", "restore"], "text_after"],
    [["silence", "list"], "held"],
    [["silence", "add", "--reactor", "disk-*", "--for", "2h", "--why", "new disk"], "until"],
    [["silence", "remove", "s-3f9a1c0b"], "held"],
  ];
  for (const [words, has] of objects) {
    test(`needfire --json ${words.join(" ")} prints one object`, async () => {
      const ran = await ask("--json", ...words);
      assert.ok(has in (JSON.parse(ran.stdout) as object), ran.stderr);
      assert.equal(ran.stdout.trimEnd().split("\n").length, 1);
    });
  }
});

describe("what people read", () => {
  const shown: [words: string[], says: RegExp[]][] = [
    [
      ["events", "list"],
      [/^TIME +TYPE +SEV +AGENT +SUBJECT +ID$/m, /01-02 03:04:05 +file\.drifted +high +web1 +\/etc\/app\/app\.conf +web1:mi4k2x:42/],
    ],
    [
      ["events", "count"],
      [/^EVENTS +TYPE$/m, /^ +1200 +file\.changed$/m],
    ],
    [
      ["events", "show", "web1:mi4k2x:42"],
      [
        /^\s+-debug: no$/m,
        /^\s+\+debug: yes\\x1b\[2J$/m,
        /^ {2}> +.* file\.drifted \/etc/m,
        /\+2\.0 ms {4}task of restore/,
        /\+3\.0 ms {6}command\.run on web1/,
        /1\.0 ms later/,
      ],
    ],
    [
      ["tasks", "show", "t-3f9a1c0b27d40000"],
      [/resolved, verified/, /ran for +10 ms/, /two\\x1b\[2J/, /took +20 ms/],
    ],
    [
      ["agents", "list"],
      [/web1 +present /, /web2 +lost /],
    ],
    [["status"], [/agents +1 connected of 2, 1 lost, 0 stopped/]],
    [["rollouts", "list"], [/stopped +patch-openssl +web\* +2\/3 +1 .*r-9b1c44d07e2a51f3$/m]],
    [
      ["rollouts", "show", "r-9b1c44d07e2a51f3"],
      [/begun on 2 of 3: 1 resolved, 1 failed/, /^ *1 +1 +web1 +resolved +t-3f9a1c0b27d40000/m, /^ *3 +2 +web3 +not-begun +-/m],
    ],
    [["rollouts", "pause", "r-9b1c44d07e2a51f3"], [/^r-9b1c44d07e2a51f3 is paused: begun on 2 of 3/m]],
    [["rollouts", "resume", "r-9b1c44d07e2a51f3"], [/^r-9b1c44d07e2a51f3 goes on/m]],
    [["rollouts", "cancel", "r-9b1c44d07e2a51f3"], [/^r-9b1c44d07e2a51f3 is cancelled/m]],
    [["rollouts", "retry", "r-9b1c44d07e2a51f3"], [/^r-00000000000000aa tries it once more on \d+ hosts? \(needfire rollouts show/m]],
    [["rollouts", "retry", "r-9b1c44d07e2a51f3", "--dry-run", "--unresolved"], [/^ *2 +web2 +escalated +t-3f9a1c0b27d40000 +no room$/m]],
    [["tasks", "cancel", "t-3f9a1c0b27d40000"], [/^t-3f9a1c0b27d40000 is cancelled\.$/m]],
    [["tasks", "approve", "t-3f9a1c0b27d40000"], [/^t-3f9a1c0b27d40000 is approved, and begins\.$/m]],
    [["tasks", "deny", "t-3f9a1c0b27d40000"], [/^t-3f9a1c0b27d40000 is denied: it is cancelled\.$/m]],
    [["tasks", "keep", "t-3f9a1c0b27d40000"], [/^What t-3f9a1c0b27d40000 did stays\.$/m]],
    [["tasks", "retry", "t-3f9a1c0b27d40000"], [/^t-00000000000000aa tries it once more on web1/m]],
    [
      ["run", "web1", "--", "true"],
      [/^web1 {2}ok {2}t-3f9a1c0b27d40000$/m, /^ {2}one\n {2}two\\x1b\[2J$/m, /^1 ok {2}\(/m],
    ],
    [["agents", "show", "web1"], [/os:\n +name: Debian\n +release: 13/]],
    [
      ["keys", "list"],
      [/master +3f9a-1c0b/, /web1 +pending +3f9a/],
    ],
    [
      ["reactors", "list"],
      [
        /^REACTOR +MODE +VERSION +FIRED +LAST +THROTTLED +DECIDES IN +ON$/m,
        /^restore +live +0a1b2c3d4e5f +1 +.* +12 +4 µs +file\.drifted$/m,
      ],
    ],
    [
      ["reactors", "explain", "web1:mi4k2x:42"],
      [
        /^restore does not fire, it has fired often enough: throttled until/m,
        /^ {2}version 5d1e0a9c44b7, judged again, with the host's facts of now$/m,
        /^ {2}event\.data\.percent >= 90 {2}false$/m,
        /^tidy fired: .*, task t-3f9a1c0b27d40000$/m,
      ],
    ],
    [
      ["reactors", "versions", "restore"],
      [/^> .*0a1b2c3d4e5f +abababababab /m, /^ {3}.*5d1e0a9c44b7 +cdcdcdcdcdcd /m],
    ],
    [
      ["reactors", "show", "restore"],
      [/^name: restore$/m, /in force +yes/, /not recorded +3 decisions/],
    ],
    [
      ["reactors", "rollback", "restore", "--yes"],
      [/^-on: file\.drifted$/m, /^\+on: file\.changed$/m, /is back at version 5d1e0a9c44b7/],
    ],
    [
      ["breakers", "list"],
      [/^restore +web1 .* 4 +t-3f9a1c0b27d40000 +the remedy/m, /^restore +all keys /m],
    ],
    [["breakers", "reset", "restore", "--key", "web1", "x"], [/^restore may try again for web1 .*; it held back 4 firings\.$/m]],
    [["silence", "list"], [/^s-3f9a1c0b +disk-\* +\* .* +4 +alice/m]],
    [["silence", "remove", "s-3f9a1c0b"], [/^s-3f9a1c0b is over; it held back 4 firings\.$/m]],
    [["keys", "token", "create"], [/needfire agent join 'needfire:\/\/.*\?token=abc'/]],
  ];
  for (const [words, says] of shown) {
    test(`needfire ${words.join(" ")}`, async () => {
      const ran = await ask(...words);
      assert.equal(ran.code, 0, ran.stderr);
      for (const text of says) assert.match(ran.stdout, text);
    });
  }

  for (const words of [
    ["events", "list"],
    ["events", "show", "web1:mi4k2x:43"],
    ["events", "show", "web1:mi4k2x:42"],
    ["tasks", "show", "t-3f9a1c0b27d40000"],
    ["reactors", "explain", "web1:mi4k2x:42"],
    ["reactors", "show", "restore"],
    ["silence", "list"],
    ["rollouts", "show", "r-9b1c44d07e2a51f3"],
    ["breakers", "list"],
    ["breakers", "reset", "restore"],
  ]) {
    test(`control characters from hosts are escaped: needfire ${words.join(" ")}`, async () => {
      const ran = await ask(...words);
      assert.match(ran.stdout, /\\x1b|\\u202e/);
      assert.ok(!unsafe.test(ran.stdout + ran.stderr));
    });
  }

  test(
    "on a terminal there is colour, unless NO_COLOR is set, and still no escape of a host's",
    { skip: existsSync("/usr/bin/script") ? false : "script(1) is not installed" },
    async () => {
      const onTerminal = async (extra: Record<string, string>) => {
        const command = `stty cols 100; ${process.execPath} ${program} events list`;
        const { stdout } = await promisify(execFile)("script", ["-qec", command, "/dev/null"], {
          env: { PATH: process.env["PATH"], TERM: "xterm", ...env, ...extra },
        });
        return withoutOurColours(stdout);
      };
      const coloured = await onTerminal({});
      assert.ok(coloured.ours > 0);
      assert.ok(!unsafe.test(coloured.rest.replaceAll("\r\n", "\n")));
      assert.equal((await onTerminal({ NO_COLOR: "1" })).ours, 0);
    },
  );
});

function withoutOurColours(text: string): { ours: number; rest: string } {
  const colours = /\p{Cc}\[(0|1|2|31|32|33|36)m/gu;
  return { ours: text.match(colours)?.length ?? 0, rest: text.replace(colours, "") };
}

test("filters reach the master; times as RFC 3339", async () => {
  await ask(
    "events",
    "list",
    "--agent",
    "web*",
    "--type",
    "file.*",
    "--since",
    "2026-01-01T00:00:00Z",
    "--where",
    "event.severity == 'high'",
    "-n",
    "3",
  );
  const query = new URL(master.requests.at(-1)!.slice("GET ".length), "http://master").searchParams;
  assert.deepEqual(Object.fromEntries(query), {
    agent: "web*",
    type: "file.*",
    since: "2026-01-01T00:00:00.000Z",
    where: "event.severity == 'high'",
    limit: "3",
  });
});

test("what is sent fits the contract", async () => {
  const sent = await ask("events", "send", "deploy.wanted", "--subject", "shop", "--severity", "high", "--data", '{"version": 3}');
  assert.equal(sent.stdout, "master:mi4k2x:1\n");
  const { by: sender, ...event } = master.bodies.at(-1) as { by: string };
  assert.ok(sender !== "");
  assert.deepEqual(event, { type: "deploy.wanted", subject: "shop", severity: "high", data: { version: 3 } });
  await ask("keys", "token", "create", "--uses", "5", "--ttl", "1h30m", "--label", "role=web", "--label", "env=a=b");
  const { by: asker, ...token } = master.bodies.at(-1) as { by: string };
  assert.ok(asker !== "");
  assert.deepEqual(token, { uses: 5, ttl_ms: 5_400_000, labels: { role: "web", env: "a=b" } });
  await ask("run", "web1", "--timeout", "90s", "--why", "to see", "--dry-run", "--", "ls", "-l", "--json");
  const { request, by, ...order } = master.bodies.at(-1) as { request: string; by: string };
  assert.match(request, /^[0-9a-f]{32}$/);
  assert.ok(by !== "");
  assert.deepEqual(order, {
    ...{ targets: "web1", agents: ["web1"], action: "command.run", args: { argv: ["ls", "-l", "--json"], timeout: "90s" } },
    ...{ dry_run: true, priority: "normal", timeout_ms: 90_000, why: "to see" },
  });
});

test("a rollback that nobody agrees to shows the change and does nothing; one that is agreed to is the one that was shown", async () => {
  const asked = await ask("reactors", "rollback", "restore");
  assert.equal(asked.code, 1);
  assert.match(asked.stdout, /^\+on: file\.changed$/m);
  assert.match(asked.stderr, /--yes/);
  assert.equal((master.bodies.at(-1) as { dry_run?: boolean }).dry_run, true);
  await ask("reactors", "rollback", "restore", "--yes");
  const { by, ...wish } = master.bodies.at(-1) as { by: string };
  assert.ok(by !== "");
  assert.deepEqual(wish, { to: "cd".repeat(32), from: "ab".repeat(32) });
});

test("the demo's socket is found from below its directory", async () => {
  const below = join(folder, "deep", "er");
  mkdirSync(below, { recursive: true });
  mkdirSync(join(folder, ".needfire"));
  const demo = await startFakeMaster(join(folder, ".needfire", "master.sock"));
  const ran = await run(["agents", "list"], { cwd: below });
  await demo.stop();
  assert.equal(ran.code, 0, ran.stderr);
});

describe("events watch", () => {
  test("shows what happens, and what was left out; Ctrl-C ends it with 0", async () => {
    const watching = start(["events", "watch", "--type", "file.*"], { env });
    await watching.said("web1:mi4k2x:43");
    watching.child.kill("SIGINT");
    const ran = await watching.ended;
    assert.deepEqual([ran.code, ran.signal], [0, null]);
    assert.match(ran.stdout, /3 events are left out here/);
    assert.ok(!unsafe.test(ran.stdout));
  });

  test("--json is a stream of objects", async () => {
    const watching = start(["events", "watch", "--json"], { env });
    await watching.said("web1:mi4k2x:43");
    watching.child.kill("SIGINT");
    const [first, second] = (await watching.ended).stdout
      .split("\n")
      .map((line) => (line === "" ? undefined : (JSON.parse(line) as unknown)));
    assert.deepEqual([first, second], [event, { dropped: 3 }]);
  });

  test("ends with 3 when the master goes away", async () => {
    const watching = start(["events", "watch"], { env });
    await watching.said("web1:mi4k2x:43");
    master.endStreams();
    const ran = await watching.ended;
    assert.equal(ran.code, 3);
    assert.match(ran.stderr, /ended the stream/);
  });

  test("a reader that has had enough (| head) ends it quietly", async () => {
    const watching = spawn("sh", ["-c", `"$0" "$1" events watch | head -n 1; sleep 0`, process.execPath, program], {
      env: { PATH: process.env["PATH"], ...env },
    });
    let stderr = "";
    watching.stderr.on("data", (text) => (stderr += String(text)));
    const code = await new Promise((resolve) => watching.on("close", resolve));
    assert.deepEqual([code, stderr], [0, ""]);
  });
});

describe("--help", () => {
  const commands = [
    "master",
    "agent",
    "agent join",
    "status",
    "keys",
    "keys list",
    "keys accept",
    "keys reject",
    "keys revoke",
    "keys token",
    "keys token create",
    "agents",
    "agents list",
    "agents show",
    "agents maintenance",
    "events",
    "events list",
    "events count",
    "events watch",
    "events show",
    "events send",
    "beacons",
    "beacons types",
    "beacons list",
    "beacons check",
    "beacons test",
    "beacons tail",
    "reactors",
    "reactors list",
    "reactors show",
    "reactors versions",
    "reactors rollback",
    "reactors explain",
    "reactors check",
    "reactors test",
    "reactors new",
    "reactors replay",
    "actions",
    "actions list",
    "actions show",
    "silence",
    "silence add",
    "silence list",
    "silence remove",
    "breakers",
    "breakers list",
    "breakers reset",
    "tasks",
    "tasks list",
    "tasks show",
    "tasks watch",
    "tasks cancel",
    "tasks approve",
    "tasks deny",
    "tasks keep",
    "rollouts",
    "rollouts list",
    "rollouts show",
    "rollouts pause",
    "rollouts resume",
    "rollouts cancel",
    "rollouts retry",
    "tasks retry",
    "tasks comment",
    "run",
    "do",
    "reload",
  ];
  for (const command of commands) {
    test(`needfire ${command} --help has examples and the options of all commands`, async () => {
      const ran = await run([...command.split(" "), "--help"]);
      assert.equal(ran.code, 0);
      assert.match(ran.stdout, new RegExp(`Usage: needfire ${command}`));
      assert.match(ran.stdout, new RegExp(`Examples:[^]*\\$ needfire ${command.split(" ")[0]}`));
      assert.match(ran.stdout, /--json/);
    });
  }

  test("every command that the program has is in this list", async () => {
    const found: string[] = [];
    const visit = async (words: string[]): Promise<void> => {
      const { stdout } = await run([...words, "--help"]);
      const names = [...(stdout.split("\nCommands:\n")[1]?.split("\n\n")[0] ?? "").matchAll(/^ {2}([a-z]+)/gm)].map((match) => match[1]!);
      for (const name of names) {
        found.push([...words, name].join(" "));
        await visit([...words, name]);
      }
    };
    await visit([]);
    assert.deepEqual(found.toSorted(), commands.toSorted());
  });

  test("needfire help events is needfire events --help", async () => {
    assert.equal((await run(["help", "events"])).stdout, (await run(["events", "--help"])).stdout);
  });
});

describe("reactors check", () => {
  const good = "name: good\non: file.drifted\ndo:\n  - file.restore: { path: /etc/app.conf }\n";
  const at = (name: string, texts: Record<string, string>) => {
    const place = join(folder, name);
    mkdirSync(join(place, "reactors"), { recursive: true });
    for (const [file, text] of Object.entries(texts)) writeFileSync(join(place, "reactors", file), text);
    return place;
  };

  const tests = "tests:\n  - name: fires\n    timeline: [{ at: 0s, expect: nothing }]\n";

  test("good files are ok; other files are left alone; no master is needed", async () => {
    const cwd = at("good", { "good.yaml": good, "good.test.yaml": tests, "readme.md": "x" });
    const ran = await run(["reactors", "check"], { cwd });
    assert.deepEqual([ran.code, ran.stdout], [0, "ok: 1 reactor in 1 file\n"]);
  });

  test("what is hardly meant is a warning with its place and code, which fails with --strict alone", async () => {
    const odd = "name: odd\non: cpu.high\nwhen: event.data.percnt > 90\ndo:\n  - command.run: { argv: [echo] }\n";
    const cwd = at("odd", { "good.yaml": good, "good.test.yaml": tests, "odd.yaml": odd });
    const ran = await run(["reactors", "check"], { cwd });
    assert.equal(ran.code, 0);
    assert.match(
      ran.stdout,
      /reactors\/odd\.yaml:3:18: warning: no such event has event\.data\.percnt; did you mean "percent"\? \[unknown-field\]\n {2}2 \| on: cpu\.high\n> 3 \| when: event\.data\.percnt > 90\n {4}\| {18}\^\n/,
    );
    assert.match(ran.stdout, /reactors\/odd\.yaml:1:7: warning: "odd" has no test.* \[no-test\]/);
    assert.match(ran.stdout, /\nok, 2 warnings: 2 reactors in 2 files\n$/);
    const strict = await run(["reactors", "check", "--strict"], { cwd });
    assert.equal(strict.code, 1);
    assert.match(strict.stdout, /\n2 warnings, which --strict does not let pass: 2 reactors in 2 files\n$/);
    const json = await run(["reactors", "check", "--json"], { cwd });
    assert.equal(json.code, 0);
    const told = json.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { level: string; code: string; line: number });
    assert.deepEqual(
      told.map(({ level, code, line }) => `${level} ${code} ${line}`),
      ["warning no-test 1", "warning unknown-field 3"],
    );
  });

  test("a variable's file is looked for beside the reactor", async () => {
    const uses = (file: string) =>
      `name: uses\non: cpu.high\nvars: { hosts: { file: ${file} } }\nwhen: event.agent in vars.hosts\ndo:\n  - command.run: { argv: [echo] }\n${tests}`;
    const cwd = at("beside", { "uses.yaml": uses("hosts.json"), "hosts.json": '["web1"]' });
    assert.equal((await run(["reactors", "check"], { cwd })).code, 0);
    const missing = await run(["reactors", "check"], { cwd: at("nothing-beside", { "uses.yaml": uses("hosts.json") }) });
    assert.equal(missing.code, 1);
    assert.match(missing.stdout, /there is no file "hosts\.json"/);
  });

  test("every problem of every file, with line, column and a caret", async () => {
    const cwd = at("bad", {
      "a.yaml": good,
      "b.yaml": `name: b\non: file.*\nwhne: x\ndo:\n  - file.restor: {}\n`,
      "c.yaml": "name: c\non: cpu.high\nwhen: event.data. > 3\ndo: [file.restore: { path: 7 }]\n",
    });
    const ran = await run(["reactors", "check"], { cwd });
    assert.equal(ran.code, 1);
    assert.match(
      ran.stdout,
      /reactors\/b\.yaml:3:1: unknown key "whne"; did you mean "when"\?\n {2}2 \| on: file\.\*\n> 3 \| whne: x\n {4}\| \^\n/,
    );
    assert.match(ran.stdout, /reactors\/c\.yaml:3:\d+: in the condition/);
    assert.match(ran.stdout, /reactors\/c\.yaml:4:28: .*expected/);
    assert.match(ran.stdout, /without problems: 1 reactor in 3 files/);
  });

  test("--json is a problem a line", async () => {
    const cwd = at("json", { "b.yaml": "name: b\non: file.*\nwhne: x\ndo:\n  - file.restore: { path: /x }\n" });
    const ran = await run(["reactors", "check", "--json"], { cwd });
    assert.equal(ran.code, 1);
    assert.deepEqual(JSON.parse(ran.stdout), {
      file: "reactors/b.yaml",
      line: 3,
      column: 1,
      message: 'unknown key "whne"; did you mean "when"?',
      level: "error",
    });
  });

  test("a name that two files use is a problem of the second", async () => {
    const cwd = at("twice", { "a.yaml": good, "b.yaml": `# another\n${good}` });
    const ran = await run(["reactors", "check", "reactors"], { cwd });
    assert.equal(ran.code, 1);
    assert.match(ran.stdout, /^reactors\/b\.yaml:2:7: a second reactor of the name "good": the first is in reactors\/a\.yaml:1$/m);
  });

  test("a path that is not there is a problem", async () => {
    const ran = await run(["reactors", "check", "nowhere"], { cwd: folder });
    assert.equal(ran.code, 1);
    assert.match(ran.stdout, /nowhere:1:1: there is no such file/);
  });
});

describe("an older Node", () => {
  const system = ["/usr/bin/node", "/usr/local/bin/node"].find(
    (path) => existsSync(path) && Number.parseInt(execFileSync(path, ["-p", "process.versions.node"], { encoding: "utf8" }), 10) < 24,
  );
  const skip = system === undefined ? "there is no Node older than 24 on this machine" : false;
  const old = { node: system ?? "" };

  test("starts the program under Node 24, with its exit code", { skip }, async () => {
    assert.equal((await run(["--version"], old)).stdout, `${manifest.version}\n`);
    assert.equal((await run(["nonsense"], old)).code, 2);
    assert.equal((await run(["status"], { ...old, env: { NEEDFIRE_MASTER: "/nowhere.sock" } })).code, 3);
  });

  test("passes signals on and mirrors the end", { skip }, async () => {
    const interrupted = start(["events", "watch"], { ...old, env });
    await interrupted.said("web1:mi4k2x:43");
    interrupted.child.kill("SIGINT");
    assert.equal((await interrupted.ended).code, 0);
    const terminated = start(["events", "watch"], { ...old, env });
    await terminated.said("web1:mi4k2x:43");
    terminated.child.kill("SIGTERM");
    assert.equal((await terminated.ended).signal, "SIGTERM");
  });

  test("says in one sentence when there is no Node 24", { skip }, async () => {
    const alone = join(folder, "alone");
    mkdirSync(alone);
    for (const file of ["needfire.js", "node24.js"]) writeFileSync(join(alone, file), readFileSync(join(program, "..", file)));
    writeFileSync(join(alone, "package.json"), '{"type": "module"}');
    const ran = await promisify(execFile)(old.node, [join(alone, "needfire.js"), "status"], { env: { PATH: "/nowhere" } }).catch(
      (error: unknown) => error as { code: number; stderr: string },
    );
    assert.equal("code" in ran ? ran.code : 0, 1);
    assert.match(ran.stderr, /^error: Needfire needs Node 24 or newer: .*\n$/);
  });

  test("takes a newer node from the PATH where there is no package", { skip }, async () => {
    const onPath = join(folder, "on-path");
    mkdirSync(join(onPath, "bin"), { recursive: true });
    symlinkSync(process.execPath, join(onPath, "bin", "node"));
    writeFileSync(join(onPath, "node24.mjs"), readFileSync(join(program, "..", "node24.js")));
    const { stdout } = await promisify(execFile)(
      old.node,
      ["-e", `import(${JSON.stringify(join(onPath, "node24.mjs"))}).then((m) => console.log(m.findNode24()))`],
      { env: { PATH: `/usr/bin:${join(onPath, "bin")}` } },
    );
    assert.equal(stdout.trim(), join(onPath, "bin", "node"));
  });
});

test("the compile cache lies only in a home that is nobody else's", async () => {
  const home = join(folder, "home");
  mkdirSync(home);
  await run(["--version"], { env: { HOME: home } });
  assert.ok(existsSync(join(home, ".cache", "needfire")));
  const open = join(folder, "open-home");
  mkdirSync(open);
  chmodSync(open, 0o777);
  await run(["--version"], { env: { HOME: open } });
  assert.ok(!existsSync(join(open, ".cache")));
});
