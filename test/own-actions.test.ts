/** Actions of the master's own, with a real master: what it runs, asks over HTTP and waits for, over a kill, a cancellation and a refusal. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import type { TaskView } from "@needfire/shared/api";
import { Testbed, until } from "./testbed.ts";

const secret = "correct horse battery staple";

describe("actions of the master's own", () => {
  let bed: Testbed;
  let server: Server;
  const heard: { headers: IncomingHttpHeaders; method: string; body: string }[] = [];
  const lines = (name: string) => (existsSync(bed.path(name)) ? readFileSync(bed.path(name), "utf8").trimEnd().split("\n") : []);
  const fire = (reactor: string) =>
    bed.client.send({ type: `try.${reactor}`, subject: "a subject; $(id) `id`", severity: "normal", data: {} });
  const isOver = ({ state }: TaskView) => ["resolved", "escalated", "cancelled"].includes(state);
  const ended = async (reactor: string): Promise<TaskView> => {
    const [found] = await bed.tasks((tasks) => tasks.length > 0 && tasks.every(isOver), reactor);
    return bed.client.task(found!.id);
  };
  const underWay = async (reactor: string): Promise<TaskView> => (await bed.tasks((tasks) => tasks.length > 0, reactor))[0]!;
  const reactor = (made: Testbed, name: string, steps: readonly object[], more = "") =>
    made.reactor(name, `name: ${name}\non: try.${name}\n${more}do:\n${steps.map((step) => `  - ${JSON.stringify(step)}\n`).join("")}`);

  before(async () => {
    server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => (body += String(chunk)));
      request.on("end", () => {
        const { headers, method = "", url } = request;
        heard.push({ headers, method, body });
        const away = url === "/away";
        if (away) response.writeHead(302, { location: "/there" }).end();
        else response.writeHead(201, { "set-cookie": "session=1" }).end(`said ${String(headers.authorization)} ${"x".repeat(100)}`);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const allowed = 'commands_local: ["/bin/sh **"]';
    bed = await Testbed.start({ master: allowed }, (made) => {
      const script = made.path("note.sh");
      made.write("note.sh", '#!/bin/sh\nprintf "%s\\n" "$2" >> "$1"\n[ -z "$3" ] || exec sleep "$3"\n');
      made.write("token", secret);
      const note = (file: string, text: string, ...more: string[]) => ({
        "command.local": { argv: ["/bin/sh", script, made.path(file), text, ...more] },
      });
      reactor(made, "local", [note("said", "${{ event.subject }}")]);
      reactor(made, "refused", [{ "command.local": { argv: ["/bin/rm", "-r", "/tmp/none"] } }]);
      reactor(made, "killed", [note("killed", "once", "60")]);
      reactor(made, "cancelled", [note("cancelled", "once", "60")]);
      reactor(made, "waits", [
        note("waits", "before"),
        { wait: { for: "2s" } },
        note("waits", "after"),
        { "task.comment": { text: "done" } },
      ]);
      const asks = {
        "http.request": {
          url: `${address}/`,
          method: "POST",
          headers: { authorization: "${{ vars.token }}" },
          json: { of: "${{ event.subject }}" },
          body_bytes_max: 60,
        },
      };
      reactor(made, "asks", [asks], `vars:\n  token: { secret: true, file: ${JSON.stringify(made.path("token"))} }\n`);
      reactor(made, "moved", [{ "http.request": { url: `${address}/away` } }]);
      reactor(made, "works", [{ "agent.maintenance": { for: "1h", why: "a new disk", agent: "web1" } }]);
    });
  });
  after(async () => {
    server.close();
    await bed.stop();
  });

  test("a program runs on the master's host, and gets its arguments as they are", async () => {
    await fire("local");
    const { state, executions } = await ended("local");
    assert.equal(state, "resolved", JSON.stringify(executions));
    assert.deepEqual(lines("said"), ["a subject; $(id) `id`"]);
    assert.equal(executions[0]!.agent, "master");
  });

  test("a command line that master.yaml does not allow is refused with what to write", async () => {
    await fire("refused");
    const { state, executions } = await ended("refused");
    assert.equal(state, "escalated");
    assert.equal(executions[0]!.state, "refused");
    assert.equal(executions[0]!.message, 'policy: no pattern of commands_local fits ["/bin/rm","-r","/tmp/none"]');
  });

  test("a request goes out with its secret, and the record has none of it; the answer is cut and its cookies are left out", async () => {
    await fire("asks");
    const task = await ended("asks");
    assert.equal(task.state, "resolved", JSON.stringify(task.executions));
    const { headers, method, body } = heard.at(-1)!;
    assert.deepEqual([method, headers.authorization, headers["content-type"]], ["POST", secret, "application/json"]);
    assert.deepEqual(JSON.parse(body), { of: "a subject; $(id) `id`" });
    const result = task.executions[0]!.result as { status: number; body: string; body_note: string; headers: Record<string, string> };
    assert.equal(result.status, 201);
    assert.match(result.body, /^said \*{3}/);
    assert.equal(result.body_note, "the first 60 bytes are shown");
    assert.equal(result.headers["set-cookie"], undefined);
    const events = (await bed.client.events({ limit: 1_000 })).events;
    assert.ok(!JSON.stringify([task, events]).includes(secret));
    assert.ok(!bed.master.output().includes(secret));
  });

  test("a redirect is not followed, and is told", async () => {
    await fire("moved");
    const { state, reason } = await ended("moved");
    assert.equal(state, "escalated");
    assert.match(reason ?? "", /the answer was 302, expected 200 to 299; it points to \/there: write that address/);
  });

  test("a host is put into maintenance by a remedy", async () => {
    await bed.addAgent("web1");
    // It has a session a moment before it has said what it is.
    await until("web1 is known", async () =>
      (await bed.client.agents()).agents.some(({ id, facts }) => id === "web1" && "hostname" in facts),
    );
    await fire("works");
    const { id, state, executions } = await ended("works");
    assert.equal(state, "resolved", JSON.stringify(executions));
    const { maintenance } = await bed.client.agent("web1");
    assert.deepEqual([maintenance?.why, maintenance?.by], ["a new disk", id]);
  });

  test("a remedy ends a host's maintenance, and to end what is none changes nothing", async () => {
    const end = async (request: string, dry_run: boolean) => {
      const { tasks } = await bed.client.order({
        ...{ request, targets: "web1", action: "agent.maintenance", args: { end: true }, by: "ann" },
        ...{ dry_run, priority: "normal", timeout_ms: 60_000 },
      });
      await until("it has ended", async () => isOver(await bed.client.task(tasks[0]!.id)));
      const { changed, message } = (await bed.client.task(tasks[0]!.id)).executions[0]!;
      return [changed, message, (await bed.client.agent("web1")).maintenance === undefined];
    };
    assert.deepEqual(await end("end-maintenance-1", true), [true, "would end the maintenance of web1", false]);
    assert.deepEqual(await end("end-maintenance-2", false), [true, undefined, true]);
    assert.deepEqual(await end("end-maintenance-3", false), [false, "web1 is not in maintenance", true]);
  });

  test("a dry run of what the master does itself tells it, and nothing comes of it", async () => {
    const dry = async (action: string, args: Record<string, unknown>) => {
      const { tasks } = await bed.client.order({
        ...{ request: `dry-run-${action.replace(".", "-")}`, targets: "master", action, args, by: "ann" },
        ...{ dry_run: true, priority: "normal", timeout_ms: 60_000 },
      });
      await until("it has ended", async () => isOver(await bed.client.task(tasks[0]!.id)));
      const { state, executions } = await bed.client.task(tasks[0]!.id);
      return [state, executions[0]!.changed, executions[0]!.message];
    };
    assert.deepEqual(await dry("wait", { for: "1h" }), ["resolved", false, "would wait for 1h"]);
    assert.deepEqual(await dry("event.emit", { type: "dry.run" }), ["resolved", true, "would put the event dry.run into the journal"]);
    assert.deepEqual(await dry("task.comment", { text: "x" }), ["resolved", true, "would write a comment into the task's history"]);
    assert.deepEqual((await bed.client.events({ type: "{dry.run,task.comment}" })).events, []);
  });

  test("a command that runs is ended when its task is cancelled", async () => {
    await fire("cancelled");
    await until("it runs", () => lines("cancelled").length === 1);
    await bed.client.cancelTask((await underWay("cancelled")).id, { by: "alice" });
    await until(
      "its end is known",
      async () => (await bed.client.task((await underWay("cancelled")).id)).executions[0]!.state === "cancelled",
    );
  });

  test("a wait outlasts a kill of the master, and a command that ran then is interrupted, and not run again", async () => {
    await fire("killed");
    await fire("waits");
    await until("both are under way", () => lines("killed").length === 1 && lines("waits").length === 1);
    await until("it waits", async () => (await bed.client.task((await underWay("waits")).id)).executions.length === 2);
    await bed.master.stop("SIGKILL");
    await bed.startMaster();
    const killed = await ended("killed");
    assert.deepEqual([killed.state, killed.executions.map(({ state }) => state)], ["escalated", ["interrupted"]]);
    const waits = await ended("waits");
    assert.deepEqual(
      [waits.state, waits.executions.map(({ action }) => action)],
      ["resolved", ["command.local", "wait", "command.local", "task.comment"]],
    );
    assert.deepEqual(lines("waits"), ["before", "after"]);
    assert.deepEqual(lines("killed"), ["once"]);
    const [comment] = await bed.events({ type: "task.comment" }, 1);
    assert.deepEqual([comment!.data["task"], comment!.data["text"]], [waits.id, "done"]);
  });
});
