import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Thread } from "./thread.ts";
import { ThreadOnDemand } from "./thread-on-demand.ts";

interface Echo {
  say(text: string): string;
}

/** A thread that answers, and says when it was started and stopped. */
function world({ idleMs = 60_000, failing = false } = {}) {
  const done: string[] = [];
  const state = { failing };
  const start = (): Promise<Thread<Echo>> => {
    done.push("started");
    if (state.failing) return Promise.reject(new Error("no thread"));
    return Promise.resolve({
      remote: { say: (text: string) => (text === "bad" ? Promise.reject(new Error(text)) : Promise.resolve(text)) },
      stop: () => Promise.resolve(void done.push("stopped")),
    });
  };
  return { done, state, thread: new ThreadOnDemand<Echo>({ start, idleMs }) };
}

test("one thread answers what comes together and soon after, and ends when it is stopped", async () => {
  const { done, thread } = world();
  const say = (text: string) => thread.use(({ say: ask }) => ask(text));
  assert.deepEqual(await Promise.all([say("a"), say("b")]), ["a", "b"]);
  assert.equal(await say("c"), "c");
  assert.deepEqual(done, ["started"]);
  await thread.stop();
  await thread.stop();
  assert.deepEqual(done, ["started", "stopped"]);
});

test("it ends when nobody has asked for a while, and another one is started when somebody does; not while an answer is awaited", async () => {
  const { done, thread } = world({ idleMs: 1 });
  const answer = Promise.withResolvers<string>();
  const long = thread.use(() => answer.promise);
  await thread.use(({ say }) => say("short"));
  await delay(20);
  assert.deepEqual(done, ["started"]);
  answer.resolve("long");
  assert.equal(await long, "long");
  while (!done.includes("stopped")) await delay(1);
  await thread.use(({ say }) => say("again"));
  assert.deepEqual(done.slice(0, 3), ["started", "stopped", "started"]);
  await thread.stop();
});

test("a failure reaches who asked, and the next question gets a new thread, also when one could not be started", async () => {
  const { done, state, thread } = world();
  await assert.rejects(
    thread.use(({ say }) => say("bad")),
    /bad/,
  );
  assert.equal(await thread.use(({ say }) => say("good")), "good");
  assert.deepEqual(done, ["started", "stopped", "started"]);
  await thread.stop();
  state.failing = true;
  await assert.rejects(
    thread.use(({ say }) => say("x")),
    /no thread/,
  );
  state.failing = false;
  assert.equal(await thread.use(({ say }) => say("y")), "y");
  await thread.stop();
});
