/**
 * What an agent does to stay small (docs/decisions/0010-agent-footprint.md): held here, since nothing else breaks when it is lost.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Testbed } from "./testbed.ts";

/** Says on stderr when one of these is loaded; their parts that compute alone (ajv/dist/runtime) do not count. */
const telling = `
import { registerHooks } from "node:module";
registerHooks({ load(url, context, next) {
  if (/\\/node_modules\\/(ajv\\/dist\\/(2020|core|compile)|@marcbachmann\\/cel-js)/.test(url)) process._rawDebug("loads " + url);
  return next(url, context);
} });`;

test("an agent that watches and remedies has its flags, and loads neither the schemas' compiler nor CEL", async () => {
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(telling)}` };
  const bed = await Testbed.start({ launch: (name) => (name === "host" || name === "master" ? { env } : {}) }, (made) => {
    made.manage("app.conf", { content: "as it should be\n" });
    made.beacon("managed-files", "name: managed-files\ntype: file\nmanaged: true\n");
    made.beacon("load", "name: load\ntype: cpu\nabove: 99\n");
    made.reactor(
      "restore",
      'name: restore\non: file.drifted\nwhen: "event.subject != \'\'"\ndo:\n  - file.restore: { path: "${{ event.subject }}" }\n',
    );
  });
  try {
    const file = bed.path("host", "app.conf");
    await bed.addAgent("host");
    await bed.watching("host", "managed-files", "load");
    mkdirSync(bed.path("host"), { recursive: true });
    writeFileSync(file, "changed by hand\n");
    await bed.events({ type: "execution.finished" }, 1);
    assert.match(readFileSync(`/proc/${bed.agents.get("host")!.pid}/cmdline`, "utf8"), /--max-semi-space-size=1\0.*--expose-gc\0/);
    assert.match(bed.master.output(), /loads .*cel-js/, "the master, which needs it, tells so");
    assert.doesNotMatch(bed.agents.get("host")!.output(), /loads /);
  } finally {
    await bed.stop();
  }
});
