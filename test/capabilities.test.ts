/** An agent that is not root, with what it needs of root's capabilities: real files of root, real processes of root, and what it is refused without them. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { getPriority } from "node:os";
import { test } from "node:test";
import { run } from "../packages/cli/src/testing/run.ts";
import { Testbed } from "./testbed.ts";

const nobody = 65_534;
/** Without the first it could not even read its own state, which root made in this test. */
const capabilities: Record<string, string[]> = {
  able: ["dac_override", "chown", "fowner", "kill", "sys_nice"],
  unable: ["dac_override"],
};

function withOnly(allowed: string[]): string[] {
  const set = ["-all", ...allowed.map((name) => `+${name}`)].join(",");
  const user = [`--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"];
  return ["setpriv", ...user, `--inh-caps=${set}`, `--ambient-caps=${set}`, `--bounding-set=${set}`];
}

const numbers: Record<string, number> = { chown: 0, dac_override: 1, fowner: 3, kill: 5, sys_nice: 23 };

function noCapabilities(): string | false {
  const [, held = "0"] = /^CapEff:\s+([0-9a-f]+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  const missing = capabilities["able"]!.filter((name) => ((BigInt(`0x${held}`) >> BigInt(numbers[name]!)) & 1n) === 0n);
  if (missing.length > 0) return `needs the capabilities ${missing.join(", ")} (root)`;
  return existsSync("/usr/bin/setpriv") ? false : "needs setpriv (util-linux)";
}

const skip = noCapabilities();

test(
  "an agent that is a user with capabilities does what they allow, and says what was refused where it lacks them",
  { skip },
  async (t) => {
    const content = "workers = 4\n";
    const paths = new Map<string, string>();
    const bed = await Testbed.start(
      { launch: (name) => (capabilities[name] === undefined ? {} : { through: withOnly(capabilities[name]) }) },
      (made) => void paths.set("managed", made.manage("app.conf", { content })),
    );
    t.after(() => bed.stop());
    const managed = paths.get("managed")!;
    const act = async (agent: string, ...words: string[]) => {
      const { stdout, stderr } = await run(["do", agent, ...words, "--json"], {
        env: { NEEDFIRE_MASTER: bed.path("master.sock") },
        timeoutMs: 180_000,
      });
      assert.notEqual(stdout, "", stderr);
      const [host] = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as { ending: string; message?: string });
      assert.ok(host, stderr);
      return host;
    };
    for (const agent of Object.keys(capabilities)) {
      await bed.addAgent(agent);
      assert.match(readFileSync(`/proc/${bed.agents.get(agent)!.pid}/status`, "utf8"), new RegExp(`^Uid:\\t${nobody}\\b`, "m"));
    }
    const mine = spawn("sleep", ["1000"]);
    t.after(() => void mine.kill("SIGKILL"));
    const gone = once(mine, "exit");

    for (const words of [
      ["process.renice", `pid=${mine.pid}`, "nice=-5"],
      ["process.signal", `pid=${mine.pid}`, "signal=TERM"],
    ]) {
      const refused = await act("unable", ...words);
      assert.deepEqual([refused.ending, /the agent may not/.test(refused.message ?? "")], ["failed", true], refused.message);
    }
    assert.equal((await act("able", "process.renice", `pid=${mine.pid}`, "nice=-5")).ending, "ok");
    assert.equal(getPriority(mine.pid!), -5);
    assert.equal((await act("able", "process.signal", `pid=${mine.pid}`, "signal=TERM")).ending, "ok");
    await gone;

    writeFileSync(managed, "workers = 400\n");
    chmodSync(managed, 0o600);
    const { uid } = statSync(managed);
    assert.equal((await act("able", "file.restore", `path=${managed}`)).ending, "ok");
    assert.deepEqual([readFileSync(managed, "utf8"), statSync(managed).uid], [content, uid]);
    const other = bed.path("host", "other.conf");
    bed.write("host/other.conf", "x\n");
    const changed = await act("able", "file.mode", `path=${other}`, "mode=0640");
    assert.equal(changed.ending, "ok", changed.message);
    assert.deepEqual([statSync(other).mode & 0o777, statSync(other).uid], [0o640, uid]);
    writeFileSync(managed, "workers = 400\n");
    const refused = await act("unable", "file.restore", `path=${managed}`);
    assert.deepEqual([refused.ending, readFileSync(managed, "utf8")], ["failed", "workers = 400\n"]);
    assert.match(refused.message ?? "", /EPERM|not permitted/);
  },
);
