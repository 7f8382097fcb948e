/**
 * The library's scenarios with real processes: a service's own script, a disk that is full, files that are uploaded, packets that are dropped. Each
 * reactor is the library's own file; only places and times are others, since the test has no /var to fill and no hour to wait.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { TaskView } from "@needfire/shared/api";
import { Network } from "./chaos/network.ts";
import { Testbed, until } from "./testbed.ts";

const library = join(dirname(import.meta.dirname), "reactors", "scenarios");
const isOver = ({ state }: TaskView) => ["resolved", "escalated"].includes(state);

/** A scenario of the library, with other places and times. */
function scenario(bed: Testbed, name: string, others: Readonly<Record<string, string>>): void {
  let text = readFileSync(join(library, `${name}.yaml`), "utf8");
  for (const [from, to] of Object.entries(others)) {
    assert.ok(text.includes(from), `${name} has no ${from}`);
    text = text.replaceAll(from, to);
  }
  bed.reactor(name, text);
}

async function over(bed: Testbed, reactor: string, count = 1): Promise<TaskView[]> {
  return bed.tasks((tasks) => tasks.length >= count && tasks.every(isOver), reactor);
}

/** A mount namespace of the agent's own, in which `script` runs first. */
const apart = (script: string) => ["unshare", "--mount", "--propagation", "private", "sh", "-ec", `${script}\nexec "$@"`, "sh"];

function noMounts(): string | false {
  if (process.getuid?.() !== 0) return "needs root, for a mount namespace";
  const { status } = spawnSync("unshare", ["--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
  return status === 0 ? false : "no mount namespaces here";
}

function noPacketFilter(): string | false {
  if (spawnSync("nft", ["--version"]).error !== undefined) return "needs nft (nftables)";
  return Network.unavailable() ?? false;
}

test("uploaded files are in the queue, each under its own name, and none over another", async () => {
  const bed = await Testbed.start({}, (made) => {
    for (const folder of ["upload", "queue"]) mkdirSync(made.path(folder));
    writeFileSync(made.path("queue", "taken"), "the first\n");
    scenario(made, "upload-queue", { "/srv/upload/": `${made.path("upload")}/`, "/srv/queue/": `${made.path("queue")}/` });
    made.beacon("uploads", `name: uploads\ntype: file\npaths: [${JSON.stringify(made.path("upload"))}]\nsettle: 50ms\n`);
  });
  try {
    await bed.addAgent("ftp1");
    await bed.watching("ftp1", "uploads");
    const names = ["plain", "-rf", "$(touch pwned) `id`", "a\nb", "taken"];
    for (const name of names) writeFileSync(bed.path("upload", name), `${name}\n`);
    writeFileSync(bed.path("upload", "more.part"), "not whole");
    const tasks = await over(bed, "upload-queue", names.length);
    assert.deepEqual(readdirSync(bed.path("queue")).toSorted(), names.toSorted());
    assert.deepEqual(readdirSync(bed.path("upload")).toSorted(), ["more.part", "taken"]);
    assert.equal(readFileSync(bed.path("queue", "taken"), "utf8"), "the first\n");
    assert.deepEqual(tasks.filter(({ state }) => state === "escalated").length, 1);
    const [stuck] = await bed.events({ type: "upload.stuck" }, 1);
    assert.equal(stuck!.subject, bed.path("upload", "taken"));
  } finally {
    await bed.stop();
  }
});

test("a full disk is cleaned, and the beacon's own word confirms it", { skip: noMounts() }, async () => {
  let disk = "";
  const bed = await Testbed.start(
    { launch: (name) => (name === "db1" ? { through: apart(`mount -t tmpfs -o size=4m tmpfs ${disk}`) } : {}) },
    (made) => {
      disk = made.path("disk");
      mkdirSync(disk);
      scenario(made, "disk-cleanup", {
        "[/var, /]": `[${JSON.stringify(disk)}]`,
        "path: /var/log": `path: ${disk}`,
        "/var/cache/apt/archives": disk,
        "within: 2m": "within: 8s",
      });
      made.beacon(
        "disks",
        `name: disks\ntype: disk\nmounts: [${JSON.stringify(disk)}]\nabove: 50\nclear_below: 40\nfor: 0s\nreadonly: false\ninterval: 200ms\n`,
      );
    },
  );
  try {
    const agent = await bed.addAgent("db1");
    const inside = (...argv: string[]) => execFileSync("nsenter", [`--mount=/proc/${agent.pid}/ns/mnt`, ...argv], { encoding: "utf8" });
    await bed.watching("db1", "disks");
    inside("sh", "-c", `cd ${disk} && echo kept >app.log && head -c 3000000 /dev/zero >app.log.1`);
    const [task] = await over(bed, "disk-cleanup");
    const { state, rung, verified, executions } = await bed.client.task(task!.id);
    // What is not a week old goes with the second rung only.
    assert.deepEqual([state, verified, rung], ["resolved", true, 2], JSON.stringify(executions));
    assert.equal(inside("ls", disk), "app.log\n");
  } finally {
    await bed.stop();
  }
});

/** A service whose program ends by itself, and which `start` alone does not help while there is a file `stuck`. */
const initScript = (folder: string) => `#!/bin/sh
case "$1" in
  start) [ -e ${folder}/stuck ] || touch ${folder}/runs ;;
  stop) rm -f ${folder}/runs ;;
  restart) rm -f ${folder}/stuck; touch ${folder}/runs ;;
  status) [ -e ${folder}/runs ] || exit 3 ;;
esac
echo "$1" >>${folder}/asked
`;

test("a service is revived by the rung that helps, and no higher one", { skip: noMounts() }, async () => {
  let scripts = "";
  // Nothing in /run tells of another init.
  const ownInit = () => apart(`mount -t tmpfs tmpfs /run\nmount --bind ${scripts} /etc/init.d`);
  const bed = await Testbed.start({ launch: (name) => (name === "web1" ? { through: ownInit() } : {}) }, (made) => {
    scripts = made.path("init.d");
    mkdirSync(scripts);
    writeFileSync(join(scripts, "shop"), initScript(made.path("host")), { mode: 0o755 });
    writeFileSync(made.path("host", "runs"), "");
    scenario(made, "service-ladder", { "backoff: 10s": "backoff: 100ms", "within: 1m": "within: 8s" });
    made.beacon("services", "name: services\ntype: service\nunits: [shop]\nfor: 0s\ninterval: 200ms\n");
  });
  const asked = () => readFileSync(bed.path("host", "asked"), "utf8").split("\n");
  const times = (verb: string) => asked().filter((each) => each === verb).length;
  try {
    await bed.addAgent("web1");
    await bed.watching("web1", "services");
    await until("the beacon has looked", () => existsSync(bed.path("host", "asked")) && times("status") >= 2);
    spawnSync("rm", [bed.path("host", "runs")]);
    const [first] = await over(bed, "service-ladder");
    assert.deepEqual([first!.state, first!.rung, times("start"), times("restart")], ["resolved", 1, 1, 0]);
    writeFileSync(bed.path("host", "stuck"), "");
    spawnSync("rm", [bed.path("host", "runs")]);
    const [second] = await over(bed, "service-ladder", 2);
    assert.deepEqual([second!.state, second!.rung, times("restart")], ["resolved", 2, 1]);
    assert.deepEqual((await bed.client.events({ type: "person.wanted" })).events, []);
  } finally {
    await bed.stop();
  }
});

test(
  "who guesses passwords is blocked on the host, and released in time, although the master is killed meanwhile",
  { skip: noPacketFilter() },
  async () => {
    const network = new Network(["master", "web1"]);
    network.make();
    const bed = await Testbed.start(
      {
        listen: `tcp://${network.address("master")}:*`,
        launch: (name) => ({ through: network.through(name.includes("web1") ? "web1" : "master") }),
      },
      (made) => {
        scenario(made, "brute-force", { "after: 1h": "after: 15s" });
        const log = JSON.stringify(made.path("auth.log"));
        writeFileSync(made.path("auth.log"), "");
        for (const name of ["wtmp", "btmp"]) writeFileSync(made.path(name), "");
        const records = `wtmp: ${JSON.stringify(made.path("wtmp"))}\nbtmp: ${JSON.stringify(made.path("btmp"))}`;
        made.beacon(
          "logins",
          `name: logins\ntype: login\nevents: [failed]\nlogs: [${log}]\njournald: never\n${records}\ninterval: 200ms\n`,
        );
      },
    );
    const attacker = "203.0.113.9";
    const isBlocked = () => {
      const [enter = "", ...rest] = network.through("web1");
      return spawnSync(enter, [...rest, "nft", "list", "ruleset"], { encoding: "utf8" }).stdout.includes(attacker);
    };
    try {
      await bed.addAgent("web1");
      await bed.watching("web1", "logins");
      const line = (pid: number) =>
        `Mar  2 02:00:0${pid} web1 sshd[${pid}]: Failed password for root from ${attacker} port 5000${pid} ssh2\n`;
      for (const pid of [1, 2, 3, 4]) appendFileSync(bed.path("auth.log"), line(pid));
      await bed.events({ type: "login.failed" }, 4);
      assert.equal(isBlocked(), false);
      appendFileSync(bed.path("auth.log"), line(5));
      const [task] = await over(bed, "brute-force");
      assert.equal(task!.state, "resolved", JSON.stringify(task));
      assert.equal(isBlocked(), true);
      await bed.master.stop("SIGKILL");
      await bed.startMaster();
      await until("it is released", () => !isBlocked());
      const [undone] = await bed.events({ type: "task.undone" }, 1);
      assert.equal(undone!.data["task"], task!.id);
    } finally {
      await bed.stop();
      network.remove();
    }
  },
);
