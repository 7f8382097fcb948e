/** What people do by hand, with the program that they do it with, against a real master and real agents, one of which is away. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { after, before, test } from "node:test";
import type { EventView, TaskShowView, TaskView } from "@needfire/shared/api";
import type { OrderRequest } from "@needfire/shared/api-by-hand";
import { byHand } from "@needfire/shared/task/order";
import { type Ran, run, start } from "../packages/cli/src/testing/run.ts";
import { Testbed, until } from "./testbed.ts";

interface HostLine {
  kind: "host";
  agent: string;
  ending: string;
  task: string;
  changed?: boolean;
  message?: string;
  dry_run?: boolean;
  result?: { stdout?: string; exit_code?: number };
}
interface SummaryLine {
  kind: "summary";
  ok: number;
  failed: number;
  not_there: number;
  under_way: number;
  not_begun: number;
}

let bed: Testbed;
const environment = { SSH_CONNECTION: "10.1.2.3 50000 10.0.0.1 22", SUDO_USER: "ann" };
const options = () => ({ env: { NEEDFIRE_MASTER: bed.path("master.sock"), ...environment }, timeoutMs: 180_000 });
const needfire = (...words: string[]) => run(words, options());
const begin = (...words: string[]) => start(words, options());

/** What `--json` says of each host, by its id, and in the end. */
function told(ran: Ran): { hosts: Map<string, HostLine>; summary: SummaryLine } {
  const lines = ran.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as HostLine | SummaryLine);
  const summary = lines.at(-1);
  assert.equal(summary?.kind, "summary", ran.stderr);
  const hosts = lines.filter((line) => line.kind === "host");
  return { hosts: new Map(hosts.map((line) => [line.agent, line])), summary: summary as SummaryLine };
}

const order = (given: Partial<OrderRequest> & Pick<OrderRequest, "request">): OrderRequest => ({
  ...{ targets: "web*", action: "command.run", args: { argv: ["true"] } },
  ...{ by: "ann", dry_run: false, priority: "normal", timeout_ms: 60_000 },
  ...given,
});

/** Programs that wait until they are told to go on. */
const waits = ["sh", "-c", 'touch "$1.began.$$"; while ! test -e "$1"; do sleep 0.05; done', "sh"];

before(async () => {
  bed = await Testbed.start({}, (made) => {
    made.reactor(
      "failing",
      `name: failing\non: file.created\nwhen: event.agent == "web1"\ntask: { key: [event.subject] }\ndo:\n  - steps:\n      - command.run: { argv: [test, -e, ${JSON.stringify(made.path("room"))}] }\n    retry: { attempts: 2, backoff: 1ms }\n  - steps:\n      - command.run: { argv: [test, -e, ${JSON.stringify(made.path("room"))}] }\n`,
    );
    made.beacon("jobs", `name: jobs\ntype: file\npaths: [${JSON.stringify(made.path("host"))}]\nsettle: 1ms\n`);
  });
  for (const id of ["web1", "web2", "db1"]) await bed.addAgent(id, { role: id.startsWith("web") ? "web" : "db" });
  await bed.agents.get("db1")!.stop();
  await until("db1 is away", async () => !(await bed.client.agent("db1")).connected);
});
after(() => bed.stop());

test("a command runs on every host that the target means, and each says what it printed: exit code 0", async () => {
  const ran = await needfire("run", 'agent.labels.role == "web"', "--", "echo", "hello");
  assert.equal(ran.code, 0, ran.stderr);
  assert.match(ran.stdout, /^web1 {2}ok .*\n {2}hello$/m);
  assert.match(ran.stdout, /^web2 {2}ok .*\n {2}hello$/m);
  assert.match(ran.stdout, /^2 ok {2}\(/m);
  assert.ok(!ran.stdout.includes("\x1b"), "no terminal, so nothing is drawn");
});

test("arguments reach the program as they are, whatever is in them", async () => {
  const words = [
    "a b",
    "$(id)",
    "`id`",
    "",
    "-x",
    "--json",
    "--",
    "new\nline",
    "quo'te\"",
    "*",
    "$HOME",
    "a;b|c&d>e",
    "key=value",
    "\\",
    "ünï",
  ];
  const ran = await needfire("run", "web1", "--json", "--", "printf", "[%s]\\0", ...words);
  assert.equal(ran.code, 0, ran.stderr);
  assert.equal(told(ran).hosts.get("web1")?.result?.stdout, words.map((word) => `[${word}]\0`).join(""));
  const args = JSON.stringify({ argv: ["printf", "[%s]\\0", ...words] });
  const done = await needfire("do", "web1", "command.run", "--args", args, "--json");
  assert.equal(told(done).hosts.get("web1")?.result?.stdout, words.map((word) => `[${word}]\0`).join(""));
});

test("a host that is away is waited for, and said to be not there: exit code 1", async () => {
  const ran = await needfire("run", "*", "--timeout", "10s", "--json", "--", "true");
  const { hosts, summary } = told(ran);
  assert.equal(ran.code, 1);
  assert.match(ran.stderr, /Not connected, and waited for: db1/);
  assert.deepEqual([hosts.get("web1")?.ending, hosts.get("web2")?.ending, hosts.get("db1")?.ending], ["ok", "ok", "not_there"]);
  assert.deepEqual([summary.ok, summary.failed, summary.not_there], [2, 0, 1]);
  const shown = await needfire("run", "db1", "--timeout", "1s", "--", "true");
  assert.match(shown.stdout, /^db1 {2}not there .*\n0 ok, 1 not there/m);
  const listed = await needfire("tasks", "list", "--agent", "db1", "--state", "expired");
  assert.match(listed.stdout, /expired +by hand/, listed.stdout);
  assert.equal((await bed.events({ type: "task.expired", agent: "master" }, 2)).length, 2);
});

test("a wait has the time that it was given and no more, and has failed then: exit code 1", async () => {
  const ran = await needfire("do", "web*", "wait", "for=1h", "--timeout", "1s", "--json");
  const { hosts, summary } = told(ran);
  assert.equal(ran.code, 1);
  assert.deepEqual([hosts.get("web1")?.ending, hosts.get("web2")?.ending, summary.failed], ["failed", "failed", 2]);
  const shown = await needfire("do", "master", "wait", "for=1h", "--timeout", "1s");
  assert.match(shown.stdout, /^master {2}failed: its time of 1\.0 s was over/m);
});

test("a host that comes back within its time does it then", async () => {
  const running = begin("run", "db1", "--json", "--timeout", "2m", "--", "echo", "late");
  await bed.tasks((tasks) => tasks.some(({ agent, state }) => agent === "db1" && state === "running"), byHand);
  await bed.startAgent("db1");
  const ran = await running.ended;
  assert.equal(ran.code, 0, ran.stderr);
  assert.equal(told(ran).hosts.get("db1")?.result?.stdout, "late\n");
  await bed.agents.get("db1")!.stop();
  await until("db1 is away", async () => !(await bed.client.agent("db1")).connected);
});

test("a program that fails is a failure with its output, and one that takes too long is ended on its host", async () => {
  const ran = await needfire("run", "web*", "--", "sh", "-c", "echo out; echo err >&2; exit 3");
  assert.equal(ran.code, 1);
  assert.match(ran.stdout, /^web1 {2}failed: exited with 3 .*\n {2}out\n {2}err$/m);
  assert.match(ran.stdout, /^0 ok, 2 failed/m);
  const slow = await needfire("run", "web1", "--timeout", "1s", "--json", "--", "sleep", "600");
  assert.equal(slow.code, 1);
  assert.equal(told(slow).hosts.get("web1")?.ending, "failed");
});

test("so many at a time: the second host begins when the first has ended", async () => {
  const go = bed.path("go-batch");
  const running = begin("run", "web*", "--batch", "1", "--json", "--", ...waits, go);
  const [first] = await bed.tasks((tasks) => tasks.some(({ state }) => state === "running"), byHand);
  const open = async () => (await bed.client.tasks({ reactor: byHand, state: "running" })).tasks;
  assert.equal((await open()).length, 1);
  assert.equal((await needfire("tasks", "cancel", first!.event)).stdout, `${first!.id} is cancelled.\n`);
  await until("the second one runs", async () => (await open()).some(({ agent }) => agent !== first!.agent));
  bed.write("go-batch", "");
  const { hosts, summary } = told(await running.ended);
  assert.deepEqual([hosts.get(first!.agent)?.ending, summary.ok], ["cancelled", 1]);
});

test("a dry run changes nothing, says what it would do, and asks for no proof", async () => {
  const path = bed.path("dry");
  const ran = await needfire("do", "web1", "file.write", `path=${path}`, "content=x", "--dry-run");
  assert.equal(ran.code, 0, ran.stderr);
  assert.match(ran.stdout, /^web1 {2}ok, would change .*\n {2}would write /m);
  assert.ok(!existsSync(path));
  const { task } = told(await needfire("do", "web1", "file.write", `path=${path}`, "content=x", "--dry-run", "--json")).hosts.get("web1")!;
  const shown = await bed.client.task(task);
  assert.deepEqual([shown.dry_run, shown.verified, shown.executions.length], [true, false, 1]);
  const done = await needfire("do", "web1", "file.write", `path=${path}`, "content=x");
  assert.match(done.stdout, /^web1 {2}ok, changed /m);
  assert.equal(readFileSync(path, "utf8"), "x");
});

test("what is wrong with a call is said before anything is made: exit code 2, or 1 where nobody is meant, or 3 without a master", async () => {
  const tasks = (await bed.client.status()).tasks;
  const wrong = async (code: number, message: RegExp, ...words: string[]) => {
    const ran = await needfire(...words);
    assert.deepEqual([ran.code, ran.stdout], [code, ""], `${words.join(" ")}: ${ran.stderr}`);
    assert.match(ran.stderr, message);
  };
  await wrong(2, /there is no action "file.wrte"; did you mean "file.write"\?/, "do", "web1", "file.wrte");
  await wrong(2, /unknown key "pth"; did you mean "path"\?/, "do", "web1", "file.write", "pth=/x", "content=y");
  await wrong(2, /expected key=value, got 'nonsense'/, "do", "web1", "file.write", "nonsense");
  await wrong(2, /file.remove runs on hosts, and "master" is none/, "do", "master", "file.remove", "path=/nowhere");
  await wrong(2, /Expected a number of hosts/, "run", "web1", "--batch", "0", "--", "true");
  await wrong(2, /stands after --/, "run", "web1", "ls", "-l");
  await wrong(2, /no CEL condition/, "run", "agent.labels.role = 1", "--", "true");
  await wrong(1, /no agent fits the target "nobody"/, "run", "nobody", "--", "true");
  const ran = await run(["run", "web1", "--", "true"], { env: { NEEDFIRE_MASTER: bed.path("no.sock") } });
  assert.equal(ran.code, 3);
  assert.equal((await bed.client.status()).tasks, tasks);
});

test("an event that somebody sends says who, and from where; data that says so itself is not taken", async () => {
  const sent = await needfire("events", "send", "deploy.wanted", "--data", '{"version": "1.4.2"}', "--json");
  const { event } = await bed.client.chain((JSON.parse(sent.stdout) as { id: string }).id);
  assert.deepEqual(event.data, { version: "1.4.2", by: "ann from 10.1.2.3" });
  const forged = await needfire("events", "send", "deploy.wanted", "--data", '{"by": "somebody else"}');
  assert.deepEqual([forged.code, forged.stdout], [2, ""]);
  assert.match(forged.stderr, /data\.by says who sent the event/);
  const { id } = await bed.client.send({ type: "deploy.wanted" });
  assert.deepEqual((await bed.client.chain(id)).event.data, { by: "api" });
  await assert.rejects(bed.client.send({ type: "deploy.wanted", by: " " }), /body\/by must match pattern/);
});

test("Ctrl-C says how to end what goes on; it goes on", async () => {
  const go = bed.path("go-interrupted");
  const running = begin("run", "web*", "--batch", "1", "--json", "--", ...waits, go);
  const [task] = await bed.tasks((tasks) => tasks.some(({ state }) => state === "running"), byHand);
  running.child.kill("SIGINT");
  const said = await running.complained("Ctrl-C once more leaves");
  assert.match(said, new RegExp(`goes on. 1 host will not be begun[^]*needfire tasks cancel ${task!.event}`));
  running.child.kill("SIGINT");
  const ran = await running.ended;
  const { summary } = told(ran);
  assert.deepEqual([ran.code, summary.under_way, summary.not_begun], [1, 1, 1]);
  assert.equal((await bed.client.task(task!.id)).state, "running");
  bed.write("go-interrupted", "");
  await bed.tasks((tasks) => tasks.find(({ id }) => id === task!.id)?.state === "resolved", byHand);
});

test("an order that is asked for again is done once, also when the master was killed in between", async () => {
  const count = bed.path("count");
  const wish = order({ request: "request-0001", args: { argv: ["sh", "-c", 'echo x >> "$1.$NF"', "sh", count], env: { NF: "n" } } });
  const first = await bed.client.order(wish);
  assert.deepEqual(await bed.client.order(wish), first);
  await bed.master.stop("SIGKILL");
  await bed.startMaster();
  const again = await bed.client.order(wish);
  assert.deepEqual([again.order, again.tasks.map(({ id }) => id)], [first.order, first.tasks.map(({ id }) => id)]);
  await bed.tasks((tasks) => first.tasks.every((made) => tasks.some(({ id, state }) => id === made.id && state === "resolved")), byHand);
  assert.equal(readFileSync(`${count}.n`, "utf8"), "x\n".repeat(2));
  for (const id of ["web1", "web2"]) await bed.connected(id);
});

test("a master that is killed in the middle is waited for: what was ordered ends, and what was to come is ordered, each once", async () => {
  const go = bed.path("go-killed");
  const running = begin("run", "web*", "--batch", "1", "--json", "--timeout", "5m", "--", ...waits, go);
  const [first] = await bed.tasks((tasks) => tasks[0]?.state === "running", byHand);
  const began = () => readdirSync(bed.dir).filter((name) => name.startsWith("go-killed.began")).length;
  await until("it runs", () => began() === 1);
  await bed.master.stop("SIGKILL");
  await running.complained("The master has gone away");
  await bed.startMaster();
  bed.write("go-killed", "");
  const ran = await running.ended;
  assert.equal(ran.code, 0, ran.stderr);
  assert.equal(told(ran).summary.ok, 2);
  assert.equal((await bed.client.task(first!.id)).state, "resolved");
  assert.equal(began(), 2);
  for (const id of ["web1", "web2"]) await bed.connected(id);
});

test("who ordered it, from where and why is an event, from which the chain goes to every host", async () => {
  const ran = await needfire("run", "web*", "--why", "to see", "--json", "--", "true");
  const { task } = told(ran).hosts.get("web1")!;
  const { event, ordered_by: by, why } = await bed.client.task(task);
  assert.deepEqual([by, why], ["ann from 10.1.2.3", "to see"]);
  const chain = await bed.client.chain(event);
  const { type, data } = chain.event;
  assert.deepEqual([type, data["by"], data["why"], data["targets"], data["agents"]], ["task.ordered", by, why, "web*", ["web1", "web2"]]);
  assert.deepEqual(
    chain.chain.map(({ kind, depth }) => `${depth} ${kind}`).filter((text) => !text.endsWith("event")),
    ["1 task", "2 execution", "1 task", "2 execution"],
  );
  assert.match((await needfire("tasks", "show", task)).stdout, /ordered by +ann from 10\.1\.2\.3/);
});

test("a task that failed is tried once more from its first rung, for the same host; one that is open or resolved is not", async () => {
  await bed.watching("web1", "jobs");
  bed.write("host/job", "");
  const [failed] = await bed.tasks((tasks) => tasks[0]?.state === "escalated", "failing");
  assert.equal(failed?.attempts, 3);
  const once = await needfire("tasks", "retry", failed!.id, "--json");
  assert.equal(once.code, 0, once.stderr);
  const again = JSON.parse(once.stdout) as TaskView;
  assert.deepEqual([again.retry_of, again.agent, again.reactor, again.key], [failed!.id, "web1", "failing", failed!.key]);
  await until("it failed again", async () => (await bed.client.task(again.id)).state === "escalated");
  bed.write("room", "");
  const asked = JSON.parse((await needfire("tasks", "retry", again.id, "--dry-run", "--json")).stdout) as TaskView;
  await until("the host has said what it would do", async () => (await bed.client.task(asked.id)).state === "resolved");
  const foreseen = await bed.client.task(asked.id);
  assert.deepEqual([foreseen.reactor, foreseen.dry_run, foreseen.retry_of, foreseen.attempts], [byHand, true, undefined, 1]);
  const [word] = foreseen.executions;
  assert.equal(foreseen.executions.length, 1, "nothing is verified, since nothing was done");
  assert.match(word?.message ?? "", /would run/);
  const retried = JSON.parse((await needfire("tasks", "retry", again.id, "--json")).stdout) as TaskView;
  await until("it is resolved", async () => (await bed.client.task(retried.id)).state === "resolved");
  const refused = await needfire("tasks", "retry", retried.id);
  assert.deepEqual([refused.code, refused.stdout], [1, ""]);
  assert.match(refused.stderr, /it is resolved: there is nothing to try again/);
  const [told1] = await bed.events({ type: "task.retried" }, 2);
  assert.deepEqual([told1!.cause, told1!.data["by"]], [failed!.id, "ann from 10.1.2.3"]);
  rmSync(bed.path("room"));
});

test("an order is tried again on the hosts on which it failed, and not where it held since", async () => {
  const room = bed.path("order-room");
  const ran = await needfire("run", "web*", "--json", "--", "test", "-e", room);
  assert.equal(ran.code, 1);
  const { event, id } = await bed.client.task(told(ran).hosts.get("web1")!.task);
  const again = async () => {
    const { code, stdout, stderr } = await needfire("tasks", "retry", event);
    assert.equal(code, 0, stderr);
    const made = stdout.match(/^t-[0-9a-f]{16}/gm) ?? [];
    for (const task of made)
      await until("it has ended", async () => ["resolved", "escalated"].includes((await bed.client.task(task)).state));
    return made.length;
  };
  assert.equal(await again(), 2);
  bed.write("order-room", "");
  const [one] = /t-[0-9a-f]{16}/.exec((await needfire("tasks", "retry", id)).stdout) ?? [];
  await until("it held there", async () => (await bed.client.task(one!)).state === "resolved");
  assert.equal(await again(), 1, "the other one");
  assert.equal(await again(), 0);
});

test("a comment is kept with who said it, and shown with the task; tasks watch tells of every step", async () => {
  const watching = begin("tasks", "watch", "--reactor", byHand, "--json");
  await bed.events({ type: "task.*" }, 1);
  const marker = begin("tasks", "watch", "--since", "1h");
  await marker.said("ordered");
  const { task } = told(await needfire("run", "web1", "--json", "--", "true")).hosts.get("web1")!;
  const said = await needfire("tasks", "comment", task, "looks", "well\x1b[2J");
  assert.equal(said.code, 0, said.stderr);
  await watching.said("looks well");
  for (const { child } of [watching, marker]) child.kill("SIGINT");
  const [seen, table] = [await watching.ended, await marker.ended];
  assert.deepEqual([seen.code, table.code], [0, 0]);
  const types = seen.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as EventView)
    .filter(({ data, type }) => data["task"] === task || type === "task.ordered")
    .map(({ type }) => type);
  assert.deepEqual(types, ["task.ordered", "task.created", "task.resolved", "task.comment"]);
  const shown = (await bed.client.task(task)) as TaskShowView;
  assert.deepEqual(
    shown.comments.map(({ by, text }) => [by, text]),
    [["ann from 10.1.2.3", "looks well\x1b[2J"]],
  );
  assert.match((await needfire("tasks", "show", task)).stdout, /ann from 10\.1\.2\.3 .* looks well\\x1b\[2J$/m);
});

test("a value of a secret that somebody typed reaches the program, and is shown to nobody", async () => {
  bed.write("secret.txt", "correct-horse-battery");
  bed.reactor(
    "uses",
    `name: uses\non: never.sent\nvars:\n  password: { file: ${JSON.stringify(bed.path("secret.txt"))}, secret: true }\ndo:\n  - command.run: { argv: ['true', '\${{ vars.password }}'] }\n`,
  );
  const { problems } = await bed.client.reload();
  assert.deepEqual(problems, []);
  const out = bed.path("typed");
  const ran = await needfire(
    "run",
    "web1",
    "--json",
    "--",
    "sh",
    "-c",
    'printf %s "$1" > "$2"; echo "$1"',
    "sh",
    "correct-horse-battery",
    out,
  );
  assert.equal(ran.code, 0, ran.stderr);
  assert.equal(readFileSync(out, "utf8"), "correct-horse-battery");
  const { task, result } = told(ran).hosts.get("web1")!;
  assert.equal(result?.stdout, "***\n");
  const { event } = await bed.client.task(task);
  const everything = JSON.stringify([await bed.client.task(task), await bed.client.chain(event)]);
  assert.ok(!everything.includes("correct-horse"), everything);
  assert.ok(everything.includes("***"));
});

test("every change by a person says who made it, and from where", async () => {
  const { id } = JSON.parse(
    (await needfire("silence", "add", "--reactor", "nothing", "--for", "1h", "--why", "a test", "--json")).stdout,
  ) as { id: string };
  await needfire("silence", "remove", id);
  await needfire("agents", "maintenance", "web1", "--for", "1h", "--why", "a test");
  await needfire("agents", "maintenance", "web1", "--end");
  await needfire("keys", "token", "create");
  await needfire("reload");
  await needfire("keys", "revoke", "db1");
  const types = [
    "silence.added",
    "silence.removed",
    "agent.maintenance",
    "agent.maintenance_ended",
    "keys.token_created",
    "keys.revoked",
    "master.reloaded",
  ];
  for (const type of types) {
    const found = await bed.events({ type }, 1);
    assert.equal(found.at(-1)!.data["by"], "ann from 10.1.2.3", type);
  }
});
