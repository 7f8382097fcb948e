/**
 * The tools themselves: every script runs under Node 24 whoever starts it, the set-up is done when it must be and not otherwise, and the
 * checks still see what they are for (a check that has gone blind looks exactly like one that passes).
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { describe, test, type TestContext } from "node:test";

const root = dirname(import.meta.dirname);
const bin = join(root, "node_modules", ".bin");

/** The PATH without the project's own programs, as a user's shell has it. */
const systemPath = (process.env["PATH"] ?? "")
  .split(delimiter)
  .filter((folder) => !folder.includes("node_modules") && folder !== dirname(process.execPath))
  .join(delimiter);

const systemNode = spawnSync("node", ["-p", "[process.execPath, process.versions.node].join('|')"], {
  encoding: "utf8",
  env: { ...process.env, PATH: systemPath },
});
const [oldNode, systemVersion = "0"] = systemNode.status === 0 ? systemNode.stdout.trim().split("|") : [];
const noOldNode = oldNode === undefined || Number.parseInt(systemVersion, 10) >= 24 ? "the system's own node is not older than 24" : false;

function temporary(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "needfire-toolchain-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function write(folder: string, files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

interface Ran {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

function run(command: string, args: string[], options: { cwd?: string; path?: string; extra?: Record<string, string> } = {}): Ran {
  // The variables by which this test runner talks to its children would make a runner inside of it do the same.
  const { NODE_TEST_CONTEXT: _context, ...environment } = process.env;
  const env = { ...environment, PATH: options.path ?? systemPath, ...options.extra };
  return spawnSync(command, args, { cwd: options.cwd ?? root, encoding: "utf8", env, timeout: 120_000 });
}

/** A project that is nothing but its runner: a lock file that asks for nothing, and a program that tells what runs it. */
function bareProject(context: TestContext): string {
  const folder = temporary(context);
  for (const path of ["scripts/run.js", "packages/cli/bin/node24.js"]) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(root, path), join(folder, path));
  }
  write(folder, {
    "package.json": '{ "name": "bare", "version": "1.0.0", "type": "module" }',
    "package-lock.json":
      '{ "name": "bare", "version": "1.0.0", "lockfileVersion": 3, "packages": { "": { "name": "bare", "version": "1.0.0" } } }',
    "node_modules/.package-lock.json": '{ "packages": {} }',
    "tell.ts": "const told: string = process.versions.node;\nconsole.log(told, process.argv.slice(2).join(' '));\n",
  });
  return folder;
}

/** A bare project with the runtime among its dependencies. */
function projectWithNode(context: TestContext): string {
  const folder = bareProject(context);
  const name = `node-${process.platform}-${process.arch}`;
  write(folder, { [`node_modules/${name}/package.json`]: `{ "name": "${name}", "version": "24.0.0" }` });
  mkdirSync(join(folder, "node_modules", name, "bin"));
  symlinkSync(process.execPath, join(folder, "node_modules", name, "bin", "node"));
  return folder;
}

describe("the runtime", () => {
  test("these tests run under Node 24 or newer", () => {
    assert.ok(Number.parseInt(process.versions.node, 10) >= 24, process.versions.node);
  });

  test("every npm script goes through the runner, to a program that is there", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };
    for (const name of ["start", "test", "check", "bench", "docs"]) assert.ok(scripts[name] !== undefined, name);
    for (const [name, script] of Object.entries(scripts)) {
      const file = /^node scripts\/run\.js (\S+\.ts)$/.exec(script)?.[1];
      assert.ok(file !== undefined, `${name}: ${script}`);
      assert.ok(readFileSync(join(root, file), "utf8").length > 0, file);
    }
  });

  test(
    "a program runs under Node 24, and so does what it starts as node, although an older node started it",
    { skip: noOldNode },
    (context) => {
      const folder = projectWithNode(context);
      mkdirSync(join(folder, "node_modules", ".bin"));
      symlinkSync(process.execPath, join(folder, "node_modules", ".bin", "node"));
      write(folder, {
        "child.ts":
          'import { execFileSync } from "node:child_process";\nconsole.log(execFileSync("node", ["-p", "process.versions.node"], { encoding: "utf8" }).trim());\n',
      });
      const told = run(oldNode!, ["scripts/run.js", "tell.ts", "--once", "a b"], { cwd: folder });
      assert.deepEqual([told.stdout.trim(), told.stderr, told.status], [`${process.versions.node} --once a b`, "", 0]);
      assert.equal(run(oldNode!, ["scripts/run.js", "child.ts"], { cwd: folder }).stdout.trim(), process.versions.node);
    },
  );

  test("npm run passes arguments on", { skip: noOldNode }, (context) => {
    const folder = projectWithNode(context);
    write(folder, {
      "package.json": '{ "name": "bare", "version": "1.0.0", "type": "module", "scripts": { "start": "node scripts/run.js tell.ts" } }',
    });
    const told = run("npm", ["start", "--silent", "--", "--once"], { cwd: folder });
    assert.equal(told.stdout.trim(), `${process.versions.node} --once`, told.stderr);
  });

  test("where there is no Node 24, it is refused in one sentence", { skip: noOldNode }, (context) => {
    const told = run(oldNode!, ["scripts/run.js", "tell.ts"], { cwd: bareProject(context), path: "/nowhere" });
    assert.deepEqual([told.status, told.stdout], [1, ""]);
    assert.match(told.stderr, /^Needfire needs Node 24 or newer: [^\n]+\.\n$/);
  });

  test("a newer node on the PATH will do where there is no package", { skip: noOldNode }, (context) => {
    const told = run(oldNode!, ["scripts/run.js", "tell.ts"], { cwd: bareProject(context), path: dirname(process.execPath) });
    assert.equal(told.stdout.trim(), process.versions.node);
  });

  test("it ends as its program ends: by code, or by signal", (context) => {
    const folder = projectWithNode(context);
    write(folder, {
      "code.ts": "process.exit(7);\n",
      "signal.ts": 'process.kill(process.pid, "SIGKILL");\nsetInterval(() => {}, 1000);\n',
    });
    assert.equal(run(process.execPath, ["scripts/run.js", "code.ts"], { cwd: folder }).status, 7);
    assert.equal(run(process.execPath, ["scripts/run.js", "signal.ts"], { cwd: folder }).signal, "SIGKILL");
  });

  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    test(`${signal} is passed on, and the program may end in its own way`, async (context) => {
      const folder = projectWithNode(context);
      write(folder, {
        "wait.ts": `process.on("${signal}", () => process.exit(42));\nsetInterval(() => {}, 1000);\nconsole.log("ready");\n`,
      });
      const child = spawn(process.execPath, ["scripts/run.js", "wait.ts"], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
      const ended = new Promise<number | null>((settle) => child.on("close", settle));
      child.stdout.once("data", () => child.kill(signal));
      assert.equal(await ended, 42);
    });
  }
});

/** A stand-in for npm that says how often it was called and does what `npm ci` does with the record. */
const fakeNpm = `#!/bin/sh
echo "npm $*" >> calls
sleep 0.3
mkdir -p node_modules
cp package-lock.json node_modules/.package-lock.json
`;

function projectToSetUp(context: TestContext): { folder: string; path: string; calls: () => string[] } {
  const folder = projectWithNode(context);
  const tools = temporary(context);
  writeFileSync(join(tools, "npm"), fakeNpm, { mode: 0o755 });
  rmSync(join(folder, "node_modules", ".package-lock.json"));
  const calls = () => {
    try {
      return readFileSync(join(folder, "calls"), "utf8").trim().split("\n");
    } catch {
      return [];
    }
  };
  return { folder, path: `${tools}${delimiter}/usr/bin${delimiter}/bin`, calls };
}

describe("the set-up", () => {
  test("is done when there is none, said in one line on stderr, and not repeated", (context) => {
    const { folder, path, calls } = projectToSetUp(context);
    const first = run(process.execPath, ["scripts/run.js", "tell.ts"], { cwd: folder, path });
    assert.equal(first.stdout.trim(), process.versions.node);
    assert.match(first.stderr, /^needfire: setting up: npm ci [^\n]+\n$/);
    assert.equal(calls().length, 1);
    assert.match(calls()[0]!, /^npm ci --ignore-scripts /);
    const second = run(process.execPath, ["scripts/run.js", "tell.ts"], { cwd: folder, path });
    assert.deepEqual([second.stderr, calls().length], ["", 1]);
  });

  test("is not repeated when a checkout has only given the lock file a new time", (context) => {
    const { folder, path, calls } = projectToSetUp(context);
    run(process.execPath, ["scripts/run.js", "tell.ts"], { cwd: folder, path });
    writeFileSync(join(folder, "package-lock.json"), readFileSync(join(folder, "package-lock.json")));
    run(process.execPath, ["scripts/run.js", "tell.ts"], { cwd: folder, path });
    assert.equal(calls().length, 1);
  });

  test("is done again when the lock file asks for something else", (context) => {
    const { folder, path, calls } = projectToSetUp(context);
    const lock = (version: string) =>
      write(folder, {
        "package-lock.json": JSON.stringify({
          lockfileVersion: 3,
          packages: { "": {}, "node_modules/a": { version, integrity: `sha512-${version}` } },
        }),
      });
    for (const version of ["1.0.0", "2.0.0"]) {
      lock(version);
      run(process.execPath, ["scripts/run.js", "tell.ts"], { cwd: folder, path });
    }
    assert.equal(calls().length, 2);
  });

  test("is done once by two that start at the same time", async (context) => {
    const { folder, path, calls } = projectToSetUp(context);
    const start = () =>
      new Promise<number | null>((settle) => {
        spawn(process.execPath, ["scripts/run.js", "tell.ts"], { cwd: folder, env: { ...process.env, PATH: path }, stdio: "ignore" }).on(
          "close",
          settle,
        );
      });
    assert.deepEqual(await Promise.all([start(), start(), start()]), [0, 0, 0]);
    assert.equal(calls().length, 1);
  });

  test("is not held up by a lock that a dead process left", (context) => {
    const { folder, path, calls } = projectToSetUp(context);
    const dead = spawnSync(process.execPath, ["-e", ""]).pid;
    write(folder, { ".needfire/setup.lock/pid": String(dead) });
    assert.equal(run(process.execPath, ["scripts/run.js", "tell.ts"], { cwd: folder, path }).status, 0);
    assert.equal(calls().length, 1);
  });

  test("that fails is told, and nothing is started", (context) => {
    const { folder, path } = projectToSetUp(context);
    writeFileSync(join(path.split(delimiter)[0]!, "npm"), "#!/bin/sh\nexit 3\n", { mode: 0o755 });
    const told = run(process.execPath, ["scripts/run.js", "tell.ts"], { cwd: folder, path });
    assert.deepEqual([told.status, told.stdout], [1, ""]);
    assert.match(told.stderr, /the set-up failed: npm ci ended with code 3\n$/);
  });

  test("of this checkout is in step", () => {
    assert.equal(run(process.execPath, ["scripts/run.js", "scripts/docs.ts", "--check"]).stderr, "");
  });
});

/** A house with our rules and our tools, in which something is wrong. */
function plantedHouse(context: TestContext, files: Record<string, string>): string {
  const folder = temporary(context);
  for (const name of [".dependency-cruiser.mjs", ".oxlintrc.json", "knip.json", "package.json", "tsconfig.json"])
    cpSync(join(root, name), join(folder, name));
  mkdirSync(join(folder, "node_modules"));
  for (const name of ["zeromq", "chokidar", "execa", "msgpackr", "@types", "undici-types"])
    symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
  mkdirSync(join(folder, "node_modules", "@needfire"));
  for (const room of ["shared", "agent", "master"]) {
    cpSync(join(root, "packages", room, "package.json"), join(folder, "packages", room, "package.json"));
    symlinkSync(join(folder, "packages", room), join(folder, "node_modules", "@needfire", room));
  }
  write(folder, {
    "packages/shared/src/fine.ts": "export const fine = 1;\n",
    "packages/agent/src/main.ts": "export const main = 1;\n",
    ...files,
  });
  return folder;
}

const path = `${bin}${delimiter}${systemPath}`;

describe("the dependency rules see", () => {
  for (const [what, file, text, rule] of [
    [
      "a type that shared takes from a daemon",
      "packages/shared/src/bad.ts",
      'import type { main } from "@needfire/agent/main";\nexport type Main = typeof main;\n',
      "shared-imports-no-workspace",
    ],
    [
      "I/O in shared",
      "packages/shared/src/bad.ts",
      'import { readFileSync } from "node:fs";\nexport const read = readFileSync;\n',
      "shared-does-no-io",
    ],
    ["I/O in shared, as a type", "packages/shared/src/bad.ts", 'export type { Socket } from "node:net";\n', "shared-does-no-io"],
    [
      "I/O in shared, loaded late",
      "packages/shared/src/bad.ts",
      'export const load = () => import("node:child_process");\n',
      "shared-does-no-io",
    ],
    [
      "a daemon that imports another",
      "packages/master/src/bad.ts",
      'import { main } from "@needfire/agent/main";\nexport const other = main;\n',
      "rooms-import-only-shared",
    ],
    [
      "a daemon that imports another by a path",
      "packages/master/src/bad.ts",
      'export { main } from "../../agent/src/main.ts";\n',
      "rooms-import-only-shared",
    ],
    [
      "a second user of ZeroMQ",
      "packages/agent/src/bad.ts",
      'import { Dealer } from "zeromq";\nexport const socket = new Dealer();\n',
      "only-there-zeromq",
    ],
    [
      "a second user of ZeroMQ, as a type",
      "packages/agent/src/bad.ts",
      'import type { Dealer } from "zeromq";\nexport type Socket = Dealer;\n',
      "only-there-zeromq",
    ],
    [
      "a second user of SQLite",
      "packages/agent/src/bad.ts",
      'import { DatabaseSync } from "node:sqlite";\nexport const open = DatabaseSync;\n',
      "only-there-sqlite",
    ],
    [
      "a second user of chokidar",
      "packages/agent/src/bad.ts",
      'import { watch } from "chokidar";\nexport const look = watch;\n',
      "only-there-chokidar",
    ],
    [
      "a second user of execa",
      "packages/agent/src/bad.ts",
      'import { execa } from "execa";\nexport const start = execa;\n',
      "only-there-execa",
    ],
    [
      "a package that is not declared",
      "packages/agent/src/bad.ts",
      'import { pack } from "msgpackr";\nexport const start = pack;\n',
      "not-declared",
    ],
    ["an import that leads nowhere", "packages/agent/src/bad.ts", 'import { x } from "./nowhere.ts";\nexport const y = x;\n', "not-found"],
    [
      "a cycle, even of types",
      "packages/agent/src/bad.ts",
      'import type { Bad } from "./bad.ts";\nexport interface Bad { next: Bad }\n',
      "no-cycles",
    ],
    [
      "daemons that the CLI loads at once",
      "packages/cli/src/commands/daemons.ts",
      'import { main } from "@needfire/agent/main";\nexport const start = main;\n',
      "cli-starts-the-daemons-late",
    ],
  ] as const) {
    test(what, (context) => {
      const folder = plantedHouse(context, { [file]: text });
      const { stdout, status } = run("depcruise", ["--config", ".dependency-cruiser.mjs", "packages"], { cwd: folder, path });
      assert.notEqual(status, 0, stdout);
      assert.match(stdout, new RegExp(`error ${rule}: `));
    });
  }

  test("nothing wrong in what is allowed", (context) => {
    const folder = plantedHouse(context, {
      "packages/agent/src/link.ts":
        'import { Dealer } from "zeromq";\nimport { fine } from "@needfire/shared/fine";\nexport const socket = () => [new Dealer(), fine];\n',
      "packages/agent/src/spool-file.ts": 'import { DatabaseSync } from "node:sqlite";\nexport const open = DatabaseSync;\n',
      "packages/shared/src/id.ts": 'import { createHash } from "node:crypto";\nexport const hash = createHash;\n',
      "packages/agent/src/spool.test.ts": 'import { DatabaseSync } from "node:sqlite";\nexport const open = DatabaseSync;\n',
      "packages/cli/src/commands/daemons.ts": 'export const start = () => import("@needfire/agent/main");\n',
    });
    const { stdout, status } = run("depcruise", ["--config", ".dependency-cruiser.mjs", "packages"], { cwd: folder, path });
    assert.equal(status, 0, stdout);
  });
});

describe("the linter sees", () => {
  for (const [what, text, rule] of [
    [
      "a promise that nobody waits for",
      "const later = async (): Promise<number> => 1;\nexport function start(): void {\n  later();\n}\n",
      "no-floating-promises",
    ],
    [
      "a promise where a condition is meant",
      "const later = async (): Promise<boolean> => true;\nexport function start(): number {\n  return later() ? 1 : 2;\n}\n",
      "no-misused-promises",
    ],
    ["an await of what is no promise", "export async function start(): Promise<number> {\n  return await 1;\n}\n", "await-thenable"],
    [
      "a forgotten member of a union",
      'export function start(kind: "a" | "b"): void {\n  switch (kind) {\n    case "a":\n      break;\n  }\n}\n',
      "switch-exhaustiveness-check",
    ],
    ["a type taken by import()", 'export type Socket = import("node:net").Socket;\n', "consistent-type-imports"],
    ["something that a daemon prints", "export function start(): void {\n  console.log(1);\n}\n", "no-console"],
  ] as const) {
    test(what, (context) => {
      const folder = plantedHouse(context, { "packages/agent/src/bad.ts": text });
      const { stdout, status } = run("oxlint", ["--deny-warnings", "packages"], { cwd: folder, path });
      assert.notEqual(status, 0, stdout);
      assert.match(stdout, new RegExp(`\\(${rule}\\)`));
    });
  }
});

describe("the search for dead code sees", () => {
  test("an export that nobody imports, a file that nobody loads and a dependency that nobody uses", (context) => {
    const folder = plantedHouse(context, {
      "packages/shared/src/fine.ts": "export const fine = 1;\nexport const unused = 2;\n",
      "scripts/inner/left-over.ts": "export {};\n",
    });
    const { stdout, status } = run("knip", ["--no-progress", "--no-config-hints"], { cwd: folder, path });
    assert.notEqual(status, 0, stdout);
    assert.match(stdout, /^unused\s+packages\/shared\/src\/fine\.ts/m);
    assert.match(stdout, /^scripts\/inner\/left-over\.ts/m);
    assert.match(stdout, /^msgpackr\s+packages\/shared\/package\.json/m);
  });
});
