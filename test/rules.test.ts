/**
 * The rule engine in a running master, end to end: correlation over what a real agent sees, timers over a master that is killed (P2), problems
 * with a life, flow, modes, the operator's router (P8), and secrets, which reach a process and appear nowhere else. Real processes.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { TaskView } from "@needfire/shared/api";
import { run } from "../packages/cli/src/testing/run.ts";
import { Testbed, until } from "./testbed.ts";

const folders = ["witness", "login", "absence", "problem", "once", "bundle", "plan", "shadow", "off", "work", "secret", "shape", "kept"];
const secret = `s3cret "quoted" ${createHash("sha256").update("x").digest("hex").slice(0, 16)}`;
const forms = [secret, JSON.stringify(secret).slice(1, -1), Buffer.from(secret).toString("base64"), Buffer.from(secret).toString("hex")];
const shell = (script: string, ...values: string[]) => `command.run: { shell: true, argv: ${JSON.stringify([script, ...values])} }`;

describe("rules in a running master", () => {
  let bed: Testbed;
  /** The secret as the master's environment has it. */
  let inForce = secret;
  const touch = (folder: string, name: string) => writeFileSync(bed.path("host", folder, name), "");
  const inFolder = (folder: string) => `event.data.path.startsWith(${JSON.stringify(bed.path("host", folder, ""))})`;
  const of = (reactor: string, count = 1) =>
    bed.tasks((tasks) => tasks.length >= count && tasks.every(({ state }) => !["running", "verifying"].includes(state)), reactor);
  /** All that happened before has been judged: something that happens now has been. */
  const judged = async () => {
    const { length } = (await bed.client.tasks({ reactor: "witness", limit: 10_000 })).tasks;
    touch("witness", String(length));
    await of("witness", length + 1);
  };
  const router = (rules: string) => bed.write("router.yaml", `rules:\n${rules}`);

  before(async () => {
    bed = await Testbed.start(
      { master: "router: router.yaml", launch: (name) => (name === "master" ? { env: { NEEDFIRE_TEST_SECRET: inForce } } : {}) },
      (made) => {
        bed = made;
        for (const folder of folders) {
          mkdirSync(made.path("host", folder), { recursive: true });
          made.beacon(folder, `name: ${folder}\ntype: file\npaths: [${JSON.stringify(made.path("host", folder))}]\nsettle: 1ms\n`);
        }
        const on = (folder: string) => `on: file.created\nwhen: ${inFolder(folder)}\n`;
        const tell = (type: string) => `event.emit: { type: ${type}, data: { count: "\${{ count }}", newest: "\${{ event.id }}" } }`;
        const mark = (name: string) => shell('touch "$1"', made.path(name));
        router(`  - { when: 'event.type == "file.created" && event.data.path.endsWith("/urgent")', priority: critical, owner: storage }\n`);
        made.reactor("witness", `name: witness\n${on("witness")}do:\n  - event.emit: { type: witness.seen }\n`);
        made.reactor(
          "login",
          `name: login\n${on("login")}correlate: { count: 5, within: 1m, by: event.agent }\ndo:\n  - ${tell("login.many")}\n  - ${shell("true")}\n`,
        );
        made.reactor(
          "absence",
          `name: absence\non: file.created\nwhen: ${inFolder("absence")}\ncorrelate:\n  none: { on: file.removed }\n  within: 4s\ndo:\n  - ${tell("absence.noticed")}\n`,
        );
        made.reactor(
          "problem",
          `name: problem\nraise: { on: file.created, when: '${inFolder("problem")}', by: event.agent }\nclear: { on: file.removed, when: '${inFolder("problem")}' }\ndo:\n  - ${tell("problem.begun")}\non_clear:\n  - ${tell("problem.over")}\n`,
        );
        made.reactor("once", `name: once\n${on("once")}flow: { once: 1h }\ndo:\n  - ${tell("once.made")}\n`);
        made.reactor("bundle", `name: bundle\n${on("bundle")}flow: { collect: 2s }\ndo:\n  - ${tell("bundle.made")}\n`);
        for (const mode of ["plan", "shadow", "off"])
          made.reactor(mode, `name: ${mode}\nmode: ${mode}\n${on(mode)}do:\n  - ${mark(`ran-${mode}`)}\n`);
        // What is created while a command runs may be that command's doing.
        made.reactor("work", `name: work\npriority: low\nfollow: self\n${on("work")}do:\n  - ${shell("sleep 0.3")}\n`);
        made.reactor(
          "secret",
          `name: secret\n${on("secret")}vars:\n  token: { env: NEEDFIRE_TEST_SECRET, secret: true }\ndo:\n  - ${shell(
            'printf "%s" "$1" | sha256sum > "$2"; echo "it is $1"; printf "%s" "$1" | base64 -w0; echo "$1" >&2; echo "token: $1" >> "$3"; exit 3',
            "${{ vars.token }}",
            made.path("secret-seen"),
            made.path("host", "kept", "conf"),
          )}\n`,
        );
        made.write("host/kept/conf", "limit: 1\n");
        mkdirSync(made.path("reactors", "values"));
        made.write("reactors/values/limits.json", '{ "wanted": 2 }');
        made.reactor(
          "shape",
          `name: shape\n${on("shape")}vars:\n  limits: { file: values/limits.json }\ncorrelate: { count: 3, within: 1h }\ndo:\n  - event.emit: { type: shape.made, data: { wanted: "\${{ vars.limits.wanted }}" } }\n`,
        );
      },
    );
    await bed.addAgent("web1");
    await bed.watching("web1", ...folders);
  });
  after(() => bed.stop());

  test("five failed logins of one host within a minute are one task", async () => {
    for (let number = 1; number <= 4; number++) touch("login", String(number));
    await judged();
    assert.deepEqual((await bed.client.tasks({ reactor: "login" })).tasks, []);
    touch("login", "5");
    const [task] = await of("login");
    assert.deepEqual([task!.agent, task!.state], ["web1", "resolved"]);
    const [told] = await bed.events({ type: "login.many" }, 1);
    assert.deepEqual(told!.data, { count: 5, newest: task!.event });
  });

  test("P2: what did not come is noticed once, also by a master that was killed while it waited", async () => {
    touch("absence", "asked");
    await judged();
    bed.master.signal("SIGKILL");
    await bed.master.exited;
    await bed.startMaster();
    await bed.connected("web1");
    await of("absence");
    await judged();
    assert.equal((await of("absence")).length, 1);
    assert.equal((await bed.events({ type: "absence.noticed" }, 1)).length, 1);
  });

  test("a problem is told of when it begins and when it is over, whatever comes in between", async () => {
    touch("problem", "one");
    await judged();
    touch("problem", "two");
    await judged();
    assert.equal((await of("problem")).length, 1);
    rmSync(bed.path("host", "problem", "one"));
    assert.equal((await of("problem", 2)).length, 2);
    assert.equal((await bed.events({ type: "problem.begun" }, 1)).length, 1);
    assert.equal((await bed.events({ type: "problem.over" }, 1)).length, 1);
  });

  test("once is once in its window, and what is collected is one task with all its events", async () => {
    for (const name of ["a", "b", "c"]) {
      touch("once", name);
      touch("bundle", name);
    }
    await of("bundle");
    await judged();
    const [told] = await bed.events({ type: "bundle.made" }, 1);
    assert.equal(told!.data["count"], 3);
    assert.deepEqual([(await of("once")).length, (await of("bundle")).length], [1, 1]);
  });

  test("a plan is shown and not done, a shadow is only recorded, and what is off does nothing", async () => {
    for (const mode of ["plan", "shadow", "off"]) touch(mode, "a");
    const [planned] = await of("plan");
    await judged();
    assert.deepEqual([planned!.state, planned!.executions], ["planned", []]);
    assert.deepEqual(
      planned!.steps.map(({ action }) => action),
      ["command.run"],
    );
    assert.deepEqual([(await bed.client.tasks({ reactor: "shadow" })).tasks, (await bed.client.tasks({ reactor: "off" })).tasks], [[], []]);
    const ran = readdirSync(bed.dir).filter((name) => name.startsWith("ran-"));
    assert.deepEqual(ran, []);
  });

  test("P8: what the router calls critical overtakes what waits, though its event came last and by the same way", async () => {
    const low = 60;
    // All at once: what comes while a command runs counts as its doing, and waits.
    const staged = bed.path("staged");
    mkdirSync(staged);
    for (let number = 0; number < low; number++) writeFileSync(join(staged, `low-${number}`), "");
    writeFileSync(join(staged, "urgent"), "");
    renameSync(staged, bed.path("host", "work", "batch"));
    const tasks = await of("work", low + 2);
    const urgent = tasks.find(({ priority }) => priority === "critical") as TaskView;
    assert.ok(urgent.subject?.endsWith("/urgent"));
    const behind = tasks.filter(({ priority, updated }) => priority !== "critical" && updated > urgent.updated);
    // In the order in which they came, only those would that run beside it: eight at a time.
    assert.ok(behind.length >= low / 4, `${behind.length} of ${low} ended after it`);
  });

  test("a router that turns bad keeps its last good rules in force until it is good again", async () => {
    router("  - { when: 'event.nope.', priority: critical }\n");
    await bed.client.reload();
    const [refused] = await bed.events({ type: "router.refused" }, 1);
    assert.match(String(refused!.data["message"]), /in the condition/);
    const priorityOf = async (name: string) => {
      const path = bed.path("host", "work", name);
      writeFileSync(path, "");
      let task: TaskView | undefined;
      await until(`there is a task for ${name}`, async () => {
        task = (await bed.client.tasks({ reactor: "work", limit: 100 })).tasks.find(({ subject }) => subject === path);
        return task !== undefined;
      });
      return task!.priority;
    };
    assert.equal(await priorityOf("urgent"), "critical");
    router('  - { when: \'event.type == "file.created" && event.data.path.endsWith("more2")\', impact: high, urgency: high }\n');
    await bed.client.reload();
    assert.equal(await priorityOf("more2"), "critical");
    assert.equal(await priorityOf("more3"), "normal");
  });

  test("a reactor that changes keeps what it has counted when its correlation is the same, with the values of its files as they are now", async () => {
    touch("shape", "1");
    touch("shape", "2");
    await judged();
    bed.write("reactors/values/limits.json", '{ "wanted": 7 }');
    await bed.client.reload();
    touch("shape", "3");
    const [made] = await bed.events({ type: "shape.made" }, 1);
    assert.deepEqual(made!.data, { wanted: 7 });
  });

  /** What stands in the files of a directory, by their paths. */
  const contents = (directory: string) =>
    readdirSync(bed.path(directory), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => ({ what: join(entry.parentPath, entry.name), text: readFileSync(join(entry.parentPath, entry.name), "latin1") }));
  const cli = async (...args: string[]) => ({
    what: args.join(" "),
    text: (await run([...args, "--master", bed.path("master.sock")])).stdout,
  });
  const absent = (shown: { what: string; text: string }[]) => {
    for (const { what, text } of shown) for (const form of forms) assert.ok(!text.includes(form), `${form} appears in ${what}`);
  };
  /** All that people are shown of a task and of history. */
  const shown = async (task: TaskView) => [
    { what: "the API's task", text: JSON.stringify(task) },
    { what: "the API's events", text: JSON.stringify(await bed.client.events({ limit: 10_000 })) },
    { what: "the master's log", text: bed.master.output() },
    { what: "the agent's log", text: bed.agents.get("web1")!.output() },
    await cli("tasks", "show", task.id),
    await cli("tasks", "show", task.id, "--json"),
    await cli("events", "list", "--json"),
    await cli("reactors", "explain", task.event, "--json"),
  ];

  test("a secret reaches the process that needs it, and appears nowhere else, even when the host prints it", async () => {
    touch("secret", "a");
    const [task] = await of("secret");
    assert.equal(readFileSync(bed.path("secret-seen"), "utf8").split(" ")[0], createHash("sha256").update(secret).digest("hex"));
    const [execution] = task!.executions;
    assert.match(String(execution!.result!["stdout"]), /^it is \*\*\*\n\*\*\*.{0,4}$/);
    assert.equal(execution!.result!["stderr"], "***\n");
    assert.ok(JSON.stringify(execution!.args).includes("***"));
    // The command put it into a file that a beacon watches.
    const conf = JSON.stringify(bed.path("host", "kept", "conf"));
    const [changed] = await bed.events({ type: "file.changed", where: `event.data.path == ${conf}` }, 1);
    assert.match(String(changed!.data["diff"]), /^\+token: \*\*\*$/m);
    const found = [...(await shown(task!)), ...contents("master")];
    assert.match(found.find(({ what }) => what === `tasks show ${task!.id}`)!.text, /\*\*\*/);
    absent(found);
    // The agent's spool has had the event of the file, which is on that host as well; the rest of its state never has it.
    absent(contents("state-web1").filter(({ what }) => !what.includes("spool.db")));
  });

  test("a secret that was changed while the master was away is still masked where the old one appears", async () => {
    await bed.master.stop();
    inForce = "quite another secret";
    await bed.startMaster();
    await bed.connected("web1");
    const before = (await bed.client.events({ type: "file.changed", limit: 100 })).events.length;
    bed.write("host/kept/conf", `limit: 2\nold: ${secret}\nnew: ${inForce}\n`);
    const conf = JSON.stringify(bed.path("host", "kept", "conf"));
    const events = await bed.events({ type: "file.changed", where: `event.data.path == ${conf}` }, before + 1);
    assert.match(String(events.at(-1)!.data["diff"]), /^-token: \*\*\*\n.*\+old: \*\*\*\n\+new: \*\*\*$/ms);
    const [task] = await of("secret");
    absent([...(await shown(task!)), ...contents("master")]);
  });
});
