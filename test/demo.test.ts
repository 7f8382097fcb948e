/**
 * What a new user sees: `npm start` in a checkout of its own. It ends as it says, with what it says, leaves no process behind, and does
 * not get in the way of another copy. Real checkouts, copied from this one as it is on the disk.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { until } from "./testbed.ts";

const root = dirname(import.meta.dirname);
/** The PATH without the project's own programs, as a user's shell has it. */
const systemPath = (process.env["PATH"] ?? "")
  .split(delimiter)
  .filter((folder) => !folder.includes("node_modules") && folder !== dirname(process.execPath))
  .join(delimiter);
/** The demo gives a remedy 10 s, and a start longer; a small machine may run other tests at once. */
const endLimitMs = 60_000;

interface Ran {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** A checkout in a directory of its own, with the dependencies of this one. */
class Checkout {
  readonly dir = mkdtempSync(join(tmpdir(), "needfire-demo-"));
  readonly #running: Running[] = [];

  constructor() {
    const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root, encoding: "utf8" });
    for (const file of files.split("\0").filter((name) => name !== "" && existsSync(join(root, name)))) {
      mkdirSync(dirname(join(this.dir, file)), { recursive: true });
      cpSync(join(root, file), join(this.dir, file));
    }
    linkDependencies(root, this.dir);
  }

  get home(): string {
    return join(this.dir, ".needfire");
  }

  get managedFile(): string {
    return join(this.home, "host", "etc", "greeter.conf");
  }

  /** `npm start`, in a process group of its own. */
  start(options: StartOptions = {}): Running {
    const running = new Running(this.dir, options);
    this.#running.push(running);
    return running;
  }

  once(): Promise<Ran> {
    return this.start({ once: true }).ended;
  }

  /** The command lines of all processes that were started from here. */
  processes(): string[] {
    return this.#processes().map(({ line }) => line);
  }

  async remove(): Promise<void> {
    await Promise.all(this.#running.map((running) => running.kill()));
    for (const { pid } of this.#processes()) kill(pid);
    rmSync(this.dir, { recursive: true, force: true });
  }

  #processes(): { pid: number; line: string }[] {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => processOf(pid) ?? [])
      .filter(({ line, cwd }) => line.includes(this.dir) || cwd.startsWith(this.dir));
  }
}

interface StartOptions {
  once?: boolean;
  /** In a terminal of its own. */
  terminal?: boolean;
  npm?: boolean;
}

class Running {
  readonly ended: Promise<Ran>;
  readonly #child: ChildProcess;
  readonly #ran: Ran = { code: null, signal: null, stdout: "", stderr: "" };

  constructor(cwd: string, { once = false, terminal = false, npm = true }: StartOptions) {
    // The variables by which the test runner talks to its children are not the demo's, nor are npm's own.
    const environment = Object.entries(process.env).filter(([name]) => name !== "NODE_TEST_CONTEXT" && !name.startsWith("npm_"));
    const flags = once ? ["--once"] : [];
    const command = npm ? ["npm", "start", "--", ...flags] : ["node", "scripts/run.js", "scripts/demo.ts", ...flags];
    const [program, ...words] = terminal ? ["script", "-qec", command.join(" "), "/dev/null"] : command;
    this.#child = spawn(program!, words, {
      cwd,
      detached: true,
      stdio: [terminal ? "pipe" : "ignore", "pipe", "pipe"],
      env: { ...Object.fromEntries(environment), PATH: systemPath },
    });
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => (this.#ran.stdout += text));
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => (this.#ran.stderr += text));
    this.ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (code, signal) => resolve({ ...this.#ran, code, signal }));
    });
  }

  async said(text: string): Promise<void> {
    const isOver = () => this.#child.exitCode !== null || this.#child.signalCode !== null;
    await until(
      `the demo says ${JSON.stringify(text)}`,
      () => {
        if (!this.#ran.stdout.includes(text) && isOver()) throw new Error(`it ended:\n${this.#ran.stdout}${this.#ran.stderr}`);
        return this.#ran.stdout.includes(text);
      },
      () => this.#ran.stdout + this.#ran.stderr,
    );
  }

  /** To everything that it started, as a terminal does at Ctrl-C and a service manager at a stop. */
  signal(signal: NodeJS.Signals): void {
    process.kill(-this.#child.pid!, signal);
  }

  type(text: string): void {
    this.#child.stdin!.write(text);
  }

  async kill(): Promise<void> {
    kill(-this.#child.pid!);
    await this.ended.catch(() => {});
  }
}

describe("npm start", () => {
  let checkout: Checkout;
  before(() => {
    checkout = new Checkout();
  });
  after(() => checkout.remove());
  const nothingIsLeft = () =>
    until(
      "no process is left",
      () => checkout.processes().length === 0,
      () => checkout.processes().join("\n"),
    );

  test("-- --once shows the main job and ends with 0 and its figures, twice in a row", async () => {
    for (let round = 1; round <= 2; round++) {
      const ran = await checkout.once();
      assert.deepEqual([ran.code, ran.signal], [0, null], ran.stdout + ran.stderr);
      assert.doesNotMatch(ran.stderr, /npm ci|setting up/, "the dependencies were there");
      const shown = lastLine(ran);
      assert.deepEqual(Object.keys(shown), ["restored", "detect_ms", "react_ms", "restore_ms", "total_ms"]);
      assert.equal(shown["restored"], true);
      for (const name of ["detect_ms", "react_ms", "restore_ms", "total_ms"]) {
        const ms = Number(shown[name]);
        assert.ok(typeof shown[name] === "number" && ms < 10_000 && ms > -1, `${name}: ${shown[name]}`);
      }
      for (const step of [/ event {2,}/, / match {2,}/, / verifying /, / result {2,}file\.restore succeeded/, / verified {2,}/])
        assert.match(ran.stdout, step);
      assert.match(ran.stdout, /^ {2}-tls {7}= required$/m, "the diff that was undone");
      assert.match(ran.stdout, /^ {2}\+tls {7}= off$/m);
      assert.match(readFileSync(checkout.managedFile, "utf8"), /^tls {7}= required$/m);
      assert.deepEqual(checkout.processes(), []);
    }
    assert.equal(statSync(checkout.home).isDirectory(), true);
    assert.equal(execFileSync("git", ["check-ignore", ".needfire"], { cwd: root, encoding: "utf8" }).trim(), ".needfire");
  });

  test("follows the events until Ctrl-C, which stops both processes; the same checkout and another one meanwhile", async () => {
    // Without npm, whose shell ends with 130 at Ctrl-C, whatever the program says.
    const running = checkout.start({ npm: false });
    await running.said("Ctrl-C stops both processes");
    const processes = checkout.processes();
    for (const part of ["master --config", "agent --config"])
      assert.equal(processes.filter((line) => line.includes("needfire.js") && line.includes(part)).length, 1, processes.join("\n"));

    const second = await checkout.once();
    assert.equal(second.code, 1, second.stdout);
    assert.match(second.stderr, /^The demo is running in this checkout already .*\.$/m);
    assert.equal(checkout.processes().length, processes.length, "the first one was not disturbed");

    const other = new Checkout();
    try {
      const ran = await other.once();
      assert.equal(ran.code, 0, ran.stdout + ran.stderr);
      assert.equal(lastLine(ran)["restored"], true);
      assert.deepEqual(other.processes(), []);
    } finally {
      await other.remove();
    }

    // The user does what it says.
    const desired = readFileSync(checkout.managedFile, "utf8");
    writeFileSync(checkout.managedFile, "edited by hand\n");
    await until("the file is back", () => existsSync(checkout.managedFile) && readFileSync(checkout.managedFile, "utf8") === desired);
    await running.said("file.drifted");

    running.signal("SIGINT");
    const ran = await within(running.ended);
    assert.deepEqual([ran.code, ran.signal, ran.stderr], [0, null, ""], ran.stdout.slice(-2_000));
    await nothingIsLeft();
  });

  test(
    "in a terminal ends at Ctrl-C without a complaint",
    { skip: existsSync("/usr/bin/script") ? false : "script(1) is not installed" },
    async () => {
      const running = checkout.start({ terminal: true });
      await running.said("Ctrl-C stops both processes");
      running.type("\x03");
      const ran = await within(running.ended);
      assert.ok(ran.code === 0 || ran.code === 130, String(ran.code));
      assert.doesNotMatch(ran.stdout, /ended the stream|The logs:/);
      await nothingIsLeft();
    },
  );

  test("stopped while it starts leaves nothing behind", async () => {
    for (const [word, signal] of [
      ["master  ", "SIGTERM"],
      ["agent   ", "SIGTERM"],
      ["agent   ", "SIGHUP"],
    ] as const) {
      const running = checkout.start();
      await running.said(word);
      running.signal(signal);
      await within(running.ended);
      await nothingIsLeft();
    }
  });

  test("-- --once ends with 1 and the reason when nothing puts the file back, and works again when something does", async () => {
    const reactor = join(checkout.dir, "reactors", "managed-files.yaml");
    const good = readFileSync(reactor, "utf8");
    const desired = readFileSync(join(checkout.home, "files", "greeter.conf"), "utf8");
    const bad: [RegExp, string][] = [
      [/the event fired no reactor/, good.replace("on: file.drifted", "on: never.happens")],
      [
        /escalated.*command\.run failed/,
        "name: managed-files\non: file.drifted\nlimits: { breaker: off }\ndo:\n  - command.run: { argv: ['false'] }\n",
      ],
    ];
    for (const [reason, text] of bad) {
      writeFileSync(reactor, text);
      writeFileSync(checkout.managedFile, desired);
      const begun = performance.now();
      const ran = await checkout.once();
      const tookMs = performance.now() - begun;
      assert.equal(ran.code, 1, ran.stdout);
      const shown = lastLine(ran);
      assert.equal(shown["restored"], false);
      assert.match(String(shown["reason"]), reason);
      assert.ok(tookMs < 30_000, `it took ${tookMs} ms`);
      assert.deepEqual(checkout.processes(), []);
    }
    writeFileSync(reactor, good);
    const ran = await checkout.once();
    assert.equal(ran.code, 0, ran.stdout + ran.stderr);
    assert.equal(readFileSync(checkout.managedFile, "utf8"), desired);
  });
});

/** The last line of stdout that npm did not write itself. */
function lastLine({ stdout, stderr }: Ran): Record<string, unknown> {
  const line = stdout.trimEnd().split("\n").at(-1)!;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch (error) {
    throw new Error(`the last line is not JSON:\n${stdout}${stderr}`, { cause: error });
  }
}

async function within<T>(ended: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`it did not end within ${endLimitMs / 1_000} s`)), endLimitMs);
  try {
    return await Promise.race([ended, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Everything of `node_modules` as links, but for the workspace's own packages, which are the copy's. */
function linkDependencies(from: string, to: string): void {
  const source = join(from, "node_modules");
  const target = join(to, "node_modules");
  mkdirSync(join(target, "@needfire"), { recursive: true });
  for (const name of readdirSync(source)) if (name !== "@needfire") symlinkSync(join(source, name), join(target, name));
  for (const name of readdirSync(join(source, "@needfire")))
    symlinkSync(readlinkSync(join(source, "@needfire", name)), join(target, "@needfire", name));
  for (const name of readdirSync(join(from, "packages"))) {
    const own = join(from, "packages", name, "node_modules");
    if (existsSync(own) && existsSync(join(to, "packages", name))) symlinkSync(own, join(to, "packages", name, "node_modules"));
  }
}

/** A process, or a group of them, that may have ended by itself. */
function kill(id: number): void {
  try {
    process.kill(id, "SIGKILL");
  } catch {
    // Nobody is left.
  }
}

function processOf(pid: string): { pid: number; line: string; cwd: string } | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    // A process that has ended and waits for its parent has no command line.
    return line === "" ? undefined : { pid: Number(pid), line, cwd: readlinkSync(`/proc/${pid}/cwd`) };
  } catch {
    return undefined;
  }
}
