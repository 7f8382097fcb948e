/** The main job: a managed file that is changed by hand is put back, once, with a history that says why. Real processes. */
import assert from "node:assert/strict";
import { chmodSync, chownSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Testbed, until } from "./testbed.ts";

const content = "listen = 127.0.0.1\ntls = required\n";
const root = process.getuid?.() === 0;

describe("a managed file", () => {
  let bed: Testbed;
  let file: string;

  const isRight = () => {
    try {
      const { mode, uid } = statSync(file);
      return readFileSync(file, "utf8") === content && (mode & 0o7777) === 0o640 && uid === process.getuid?.();
    } catch {
      return false;
    }
  };
  const settled = (tasks: number) => bed.tasks((found) => found.length >= tasks && found.every(({ state }) => state === "resolved"));
  const isPutBackAfter = async (change: () => void) => {
    const before = (await bed.client.tasks({ limit: 1_000 })).tasks.length;
    change();
    await until("the file is back", isRight);
    const [task] = await settled(before + 1);
    assert.equal(task!.verified, true);
  };

  before(async () => {
    bed = await Testbed.start({}, (made) => {
      file = made.manage("etc/app.conf", { content, mode: "0640" });
      made.reactor(
        "restore",
        "name: restore\non: file.drifted\nlimits: { breaker: off }\ndo:\n  - file.restore: { path: '${{ event.data.path }}' }\n",
      );
      made.beacon("managed", "name: managed\ntype: file\nmanaged: true\nsettle: 1ms\n");
    });
    await bed.addAgent("web1");
    await until("the file is in place", isRight);
    await settled(1);
  });
  after(() => bed.stop());

  test("is put back after an edit in place", () => isPutBackAfter(() => writeFileSync(file, `${content}debug = true\n`)));
  test("is put back after a rename over it", () =>
    isPutBackAfter(() => {
      writeFileSync(`${file}.swp`, "from an editor\n");
      renameSync(`${file}.swp`, file);
    }));
  test("is put back after it was truncated", () => isPutBackAfter(() => truncateSync(file)));
  test("is put back after it was deleted", () => isPutBackAfter(() => rmSync(file)));
  test("is put back after chmod", () => isPutBackAfter(() => chmodSync(file, 0o666)));
  test("is put back after chown", { skip: root ? false : "needs root" }, () => isPutBackAfter(() => chownSync(file, 65_534, 65_534)));
  test("is put back after a link took its place, and the link's target is left alone", async () => {
    const other = bed.path("other.conf");
    writeFileSync(other, "not ours\n");
    await isPutBackAfter(() => {
      symlinkSync(other, `${file}.link`);
      renameSync(`${file}.link`, file);
    });
    assert.equal(readFileSync(other, "utf8"), "not ours\n");
    assert.equal(statSync(other).isFile(), true);
  });

  test("fires its reactor once for each change: putting it back is no new event", async () => {
    const events = async () => (await bed.client.events({ type: "file.*", limit: 1_000 })).events.length;
    const [tasksBefore, eventsBefore] = [(await bed.client.tasks({ limit: 1_000 })).tasks.length, await events()];
    // In one step each: a truncation and a write may be seen as two changes.
    const replace = (text: string) => () => {
      writeFileSync(`${file}.tmp`, text);
      renameSync(`${file}.tmp`, file);
    };
    await isPutBackAfter(replace("once\n"));
    // Whatever the restore's own writes set off has reached the master by the time a later event has.
    await isPutBackAfter(replace("twice\n"));
    await delay(300);
    assert.equal((await bed.client.tasks({ limit: 1_000 })).tasks.length, tasksBefore + 2);
    assert.equal(await events(), eventsBefore + 2);
  });

  test("has a history that leads from the change to the verification, and back", async () => {
    await isPutBackAfter(() => writeFileSync(file, "for the record\n"));
    const [task] = (await bed.client.tasks({ limit: 1 })).tasks;
    const { chain, event } = await bed.client.chain(task!.event);
    assert.equal(event.type, "file.drifted");
    assert.match(String(event.data["diff"]), /^\+for the record$/m);
    assert.deepEqual(
      chain.map(({ depth, kind, title }) => `${depth} ${kind} ${title.replace(file, "FILE")}`),
      [
        "0 event file.drifted FILE",
        "1 task task of restore",
        "2 event task.created FILE",
        "2 execution file.restore on web1",
        "3 event execution.finished FILE",
        "2 event task.verifying FILE",
        "2 execution file.check on web1 (verification)",
        "3 event execution.finished FILE",
        "2 event task.resolved FILE",
      ],
    );
    const result = chain.find(({ title }) => title.startsWith("execution.finished"))!;
    const fromBelow = await bed.client.chain(result.id);
    assert.deepEqual(
      fromBelow.chain.map(({ id }) => id),
      chain.map(({ id }) => id),
    );
    assert.equal(fromBelow.chain.find(({ asked }) => asked)?.id, result.id);
  });
});

test("a managed file that is secret never shows its content in an event", async () => {
  let file = "";
  const bed = await Testbed.start({}, (made) => {
    file = made.manage("secret.conf", { content: "password = hunter2\n", secret: true });
    made.reactor(
      "restore",
      "name: restore\non: file.drifted\nlimits: { breaker: off }\ndo:\n  - file.restore: { path: '${{ event.data.path }}' }\n",
    );
    made.beacon("managed", "name: managed\ntype: file\nmanaged: true\n");
  });
  try {
    await bed.addAgent("web1");
    await bed.tasks((tasks) => tasks.length === 1 && tasks[0]!.state === "resolved");
    writeFileSync(file, "password = swordfish\n");
    await until("the file is back", () => readFileSync(file, "utf8") === "password = hunter2\n");
    await bed.tasks((tasks) => tasks.length === 2 && tasks.every(({ state }) => state === "resolved"));
    const everything =
      JSON.stringify((await bed.client.events({ limit: 1_000 })).events) + JSON.stringify((await bed.client.tasks({})).tasks);
    assert.doesNotMatch(everything, /hunter2|swordfish/);
  } finally {
    await bed.stop();
  }
});

test("an agent gets only the managed files that are meant for it", async () => {
  const bed = await Testbed.start({}, (made) => {
    made.manage("for-web.conf", { content: "web\n", targets: 'agent.labels.role == "web"' });
    made.reactor(
      "restore",
      "name: restore\non: file.drifted\nlimits: { breaker: off }\ndo:\n  - file.restore: { path: '${{ event.data.path }}' }\n",
    );
    made.beacon("managed", "name: managed\ntype: file\nmanaged: true\n");
  });
  try {
    await bed.addAgent("db1", { role: "db" });
    await bed.addAgent("web1", { role: "web" });
    await bed.tasks((tasks) => tasks.length === 1 && tasks[0]!.state === "resolved");
    assert.equal((await bed.client.tasks({})).tasks[0]!.agent, "web1");
    assert.deepEqual((await bed.client.agent("db1")).files, []);
    assert.equal(readFileSync(bed.path("host", "for-web.conf"), "utf8"), "web\n");
  } finally {
    await bed.stop();
  }
});
