import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Fixture, sha256 } from "../beacons/fixture.ts";
import { contextOf, runner } from "./fixture.ts";
import { action as scriptRun } from "./script-run.ts";

function setting(t: TestContext, script: string) {
  const f = new Fixture();
  t.after(() => f.end());
  const stop = new AbortController();
  const context = contextOf(f, { content: async () => Buffer.from(script), signal: stop.signal });
  const { run, dry } = runner("script.run", scriptRun, context);
  const of = (args: Record<string, unknown> = {}) => ({ source: "clean.sh", digest: sha256(script), size: script.length, ...args });
  const left = () => (fs.existsSync(context.scratch) ? fs.readdirSync(context.scratch) : []);
  return {
    f,
    stop,
    context,
    left,
    run: (args?: Record<string, unknown>) => run(of(args)),
    dry: (args?: Record<string, unknown>) => dry(of(args)),
  };
}

const hostile = ["", "a b", "$(id)", "`id`", "'; id; '", "line\nbreak", "--help", "*"];

test("a script runs with its arguments as they are, from a file that nobody else can read, which is gone afterwards", async (t) => {
  const { run, left } = setting(t, `#!/bin/sh\nprintf '%s\\0' "$@"; stat -c '%a %u' "$0" "$(dirname "$0")" >&2\n`);
  const ending = await run({ args: hostile });
  assert.deepEqual([ending.outcome, ending.changed], ["succeeded", true]);
  assert.deepEqual(ending.result?.stdout.split("\0").slice(0, -1), hostile);
  const uid = process.getuid?.();
  assert.equal(ending.result?.stderr, `700 ${uid}\n700 ${uid}\n`);
  assert.match(ending.result?.digest ?? "", /^[0-9a-f]{64}$/);
  assert.deepEqual(left(), []);
});

test("a script that fails, takes too long or is cancelled says so, and leaves no file", async (t) => {
  assert.match((await setting(t, "#!/bin/sh\nexit 3\n").run()).message ?? "", /^exited with 3$/);
  const slow = setting(t, "#!/bin/sh\nsleep 60\n");
  assert.match((await slow.run({ timeout: "50ms" })).message ?? "", /took longer than 50ms/);
  const running = slow.run();
  while (slow.left().length === 0) await delay(5);
  slow.stop.abort("it was cancelled");
  assert.equal((await running).outcome, "failed");
  assert.deepEqual(slow.left(), []);
});

test("a dry run fetches the script and starts nothing", async (t) => {
  const { f, dry, left } = setting(t, `#!/bin/sh\ntouch "$1"\n`);
  const ending = await dry({ args: [f.host("made")] });
  assert.deepEqual([ending.outcome, ending.changed, fs.existsSync(f.host("made")), left()], ["succeeded", true, false, []]);
  assert.match(ending.message ?? "", /^would run clean\.sh \([0-9a-f]{12}\) with /);
});

test("what has no digest, and what is no script, is refused", async (t) => {
  const { run } = setting(t, "id\n");
  assert.match((await run()).message ?? "", /does not begin with #!/);
  assert.equal((await run({ digest: undefined })).outcome, "refused");
});
