/**
 * The `log` beacon under a real agent that is killed without a word while real logrotate rotates and a writer writes: every line is told,
 * and none twice (P1).
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { Testbed, until } from "./testbed.ts";

const noLogrotate = spawnSync("logrotate", ["--version"]).error === undefined ? false : "needs logrotate";
const rounds = 6;

test(
  "over SIGKILL of the agent and rotation of any kind no line is missed and none told twice",
  { skip: noLogrotate, timeout: 300_000 },
  async () => {
    const bed = await Testbed.start({}, (made) => {
      for (const name of ["renamed", "copied"]) {
        made.beacon(
          name,
          `name: ${name}\ntype: log\nfrom: start\ninterval: 200ms\npaths: [${JSON.stringify(made.path("host", `${name}.log`))}]\npatterns: [{ match: "^(?P<number>\\\\d+) " }]\n`,
        );
      }
    });
    try {
      const written = { renamed: 0, copied: 0 };
      const file = (name: string) => bed.path("host", `${name}.log`);
      const rotation = { renamed: "create", copied: "copytruncate" };
      for (const [name, how] of Object.entries(rotation)) {
        writeFileSync(file(name), "");
        const compress = how === "create" ? "compress\n  delaycompress" : "compress";
        writeFileSync(
          bed.path(`${name}.conf`),
          `${file(name)} {\n  rotate 100\n  ${compress}\n  ${how}\n  missingok\n  su root root\n}\n`,
          { mode: 0o600 },
        );
      }
      const write = (name: keyof typeof written) => {
        let lines = "";
        for (let i = 0; i < 5; i++) lines += `${++written[name]} ${Math.random()} a line\n`;
        appendFileSync(file(name), lines);
      };
      const writer = setInterval(() => {
        write("renamed");
        write("copied");
      }, 15);
      const rotate = async (name: string) => {
        const child = spawn("logrotate", ["--force", "--state", bed.path(`${name}.state`), bed.path(`${name}.conf`)], { stdio: "inherit" });
        await once(child, "exit");
      };
      try {
        await bed.addAgent("host");
        await bed.watching("host", "renamed", "copied");
        for (let round = 0; round < rounds; round++) {
          await delay(Math.random() * 300);
          await Promise.all([rotate("renamed"), rotate("copied")]);
          await delay(Math.random() * 100);
          await bed.agents.get("host")!.stop("SIGKILL");
          for (let times = round % 3; times > 0; times--) {
            await delay(30);
            await Promise.all([rotate("renamed"), rotate("copied")]);
          }
          bed.launchAgent("host");
        }
        await bed.connected("host");
      } finally {
        clearInterval(writer);
      }
      const told = async (name: string) => {
        const events = await bed.events({ type: "log.matched", where: `event.beacon == "${name}"` }, 0);
        return events.map(({ data }) => Number((data["fields"] as { number: string }).number));
      };
      for (const name of ["renamed", "copied"] as const) {
        // What logrotate itself lost between copying and truncating is nowhere; the beacon may have seen it all the same.
        const expected = name === "renamed" ? Array.from({ length: written.renamed }, (_, i) => i + 1) : numbersIn(bed.path("host"), name);
        let missing: number[] = expected;
        await until(
          `every line of ${name} is told`,
          async () => {
            const numbers = new Set(await told(name));
            missing = expected.filter((number) => !numbers.has(number));
            return missing.length === 0;
          },
          () => `${missing.length} of ${expected.length} are missing: ${missing.slice(0, 20).join(", ")}`,
        );
        const numbers = await told(name);
        const twice = numbers.filter((number, i) => numbers.indexOf(number) !== i);
        assert.deepEqual(twice, [], `lines of ${name} that were told twice`);
        assert.ok(numbers.every((number) => number >= 1 && number <= written[name]));
      }
      assert.ok(globSync(bed.path("host", "renamed.log.*.gz")).length >= rounds - 1, "logrotate has compressed");
    } finally {
      await bed.stop();
    }
  },
);

function numbersIn(dir: string, name: string): number[] {
  return globSync(`${dir}/${name}.log*`)
    .flatMap((path) => {
      const bytes = readFileSync(path);
      return (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString().trimEnd().split("\n");
    })
    .filter((line) => line !== "")
    .map((line) => Number.parseInt(line));
}
