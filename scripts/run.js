/**
 * Starts one of the project's programs the way all of them run: with the dependencies that the lock file asks for, under Node 24.
 * Plain JavaScript without a dependency, because it runs on whatever Node the machine has (20 or newer) before anything is installed.
 *
 *     node scripts/run.js FILE.ts [ARGUMENT...]
 *
 * Owns the set-up (`npm ci`) and the choice of the runtime; knows nothing of what it starts. Writes to stderr only: stdout belongs to
 * the program. Exits as the program does, with its code or by its signal.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { findNode24, tooOldMessage } from "../packages/cli/bin/node24.js";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, "node_modules", ".bin");
const lock = join(root, ".needfire", "setup.lock");
/** Longer than any `npm ci`; an older lock was left behind by a process whose number somebody else has now. */
const lockAgeMsMax = 15 * 60_000;

await main(process.argv.slice(2));

/** @param {string[]} args */
async function main([file, ...args]) {
  if (file === undefined) return fail("usage: node scripts/run.js FILE.ts [ARGUMENT...]");
  if (!inStep() && !(await setUp())) return;
  const node = findNode24();
  if (node === undefined) return fail(tooOldMessage());
  start(node, [join(root, file), ...args]);
}

/** @param {string} message */
function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exitCode = 1;
}

/**
 * Whether what is installed is what the lock file asks for. Compared by content: a checkout gives files new times without changing
 * them, and an install that was done by hand is as good as ours. npm writes its record last, so a broken install has none.
 */
function inStep() {
  const wanted = packagesOf(join(root, "package-lock.json"));
  const present = packagesOf(join(root, "node_modules", ".package-lock.json"));
  if (wanted === undefined) return true;
  if (present === undefined) return false;
  const missing = Object.entries(wanted).some(([path, entry]) => path !== "" && !entry.optional && present[path] === undefined);
  const foreign = Object.entries(present).some(([path, entry]) => wanted[path] === undefined || identity(entry) !== identity(wanted[path]));
  return !missing && !foreign;
}

/** @param {Record<string, unknown>} entry */
function identity({ version, integrity, resolved, link, dependencies }) {
  return JSON.stringify([version, integrity ?? resolved, link, dependencies]);
}

/** @param {string} path @returns {Record<string, any> | undefined} */
function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages;
  } catch {
    return undefined;
  }
}

/** Installs, unless another copy of us does so right now: then waits for it. False when it failed. */
async function setUp() {
  for (let told = false; !takeLock(); told = true) {
    if (!told) process.stderr.write("needfire: waiting for another set-up of this checkout\n");
    await sleep(250);
  }
  try {
    return inStep() || install();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function install() {
  process.stderr.write("needfire: setting up: npm ci --ignore-scripts (the dependencies are absent or older than package-lock.json)\n");
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--include=dev", "--include=optional"];
  // npm is started by the system's own Node, not by the one inside the node_modules that it is about to replace.
  const path = (process.env["PATH"] ?? "").split(delimiter).filter((part) => part !== bin);
  const env = { ...process.env, PATH: path.join(delimiter) };
  const { status, signal, error } = spawnSync("npm", args, { cwd: root, env, stdio: ["ignore", 2, 2] });
  if (status === 0) return true;
  fail(
    `needfire: the set-up failed: npm ci ${error ? `could not be started (${error.message})` : `ended with ${signal ?? `code ${status}`}`}`,
  );
  return false;
}

/** A directory is the lock: making one either succeeds for one process or fails. */
function takeLock() {
  mkdirSync(dirname(lock), { recursive: true });
  try {
    mkdirSync(lock);
  } catch {
    if (lockIsStale()) breakLock();
    return false;
  }
  writeFileSync(join(lock, "pid"), String(process.pid));
  return true;
}

function lockIsStale() {
  try {
    const age = Date.now() - statSync(lock).mtimeMs;
    const owner = Number(readOr(join(lock, "pid"), "0"));
    if (owner === 0) return age > 5_000;
    return age > lockAgeMsMax || !isAlive(owner);
  } catch {
    return false; // gone meanwhile: just try again
  }
}

/** Moves the lock away first: of several that find it stale, one succeeds, and none removes a lock that was taken since. */
function breakLock() {
  const aside = `${lock}.${process.pid}`;
  try {
    renameSync(lock, aside);
  } catch {
    return;
  }
  rmSync(aside, { recursive: true, force: true });
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === "EPERM";
  }
}

/** @param {string} path @param {string} otherwise */
function readOr(path, otherwise) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}

/** @param {string} node @param {string[]} args */
function start(node, args) {
  // First in the PATH, so that what the program starts as `node` is the same one.
  const path = [bin, dirname(node), ...(process.env["PATH"] ?? "").split(delimiter).filter((part) => part !== bin)];
  const child = spawn(node, args, { stdio: "inherit", env: { ...process.env, PATH: path.join(delimiter) } });
  /** @param {NodeJS.Signals} signal */
  const forward = (signal) => {
    // Ctrl-C reaches everything in the terminal's foreground, the program included: a second one would look like impatience.
    if (signal === "SIGINT" && process.stdin.isTTY) return;
    child.kill(signal);
  };
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) process.on(signal, forward);
  child.on("error", (error) => fail(`needfire: ${node} could not be started: ${error.message}`));
  child.on("exit", (code, signal) => {
    if (signal === null) return void (process.exitCode = code ?? 1);
    for (const name of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) process.off(name, forward);
    process.kill(process.pid, signal);
  });
}
