#!/usr/bin/env node
/**
 * The `needfire` program's door: plain JavaScript that any Node from 20 on can run. Under Node 24 it loads the CLI; under an older
 * one it runs itself again under Node 24 and stands aside: same terminal, signals passed on, same end.
 */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import module from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * What V8 is told for the daemons, which run for months and mostly wait (docs/decisions/0010-agent-footprint.md).
 * `--max-semi-space-size`: the young generation, in MB. With V8's own 16 an idle agent keeps 13 MB more, and a master some 10 kB for each of its
 * agents, which a fleet that comes all at once leaves behind. `--expose-gc`: an agent gives back what its start took (garbage.ts), and a
 * master what the coming of a whole fleet left (after-storm.ts).
 *
 * @type {Record<string, string[] | undefined>}
 */
const daemonFlags = {
  agent: ["--max-semi-space-size=1", "--expose-gc", ...compileLater()],
  master: ["--max-semi-space-size=4", "--expose-gc"],
};

if (Number.parseInt(process.versions.node, 10) >= 24) {
  const flags = daemonFlags[process.argv[2] ?? ""] ?? [];
  if (!flags.every((flag) => process.execArgv.includes(flag))) startWith(flags);
  enableCompileCache();
  const { main } = await import("../src/main.ts");
  await main(process.argv.slice(2));
} else {
  await runUnderNode24();
}

/**
 * Machine code for what a storm of events runs through, and not for what a start does: 9 MB. These flags are V8's own affair, and a Node
 * that does not know one does not start, so only the version that we have tried gets them.
 */
function compileLater() {
  const tried = process.versions.node.startsWith("24.");
  return tried ? ["--invocation-count-for-maglev=4000", "--invocation-count-for-turbofan=300000"] : [];
}

/**
 * The same process (pid, terminal, signals) from the beginning, with flags that V8 only takes at its start. Returns where that cannot be.
 *
 * @param {string[]} flags
 */
function startWith(flags) {
  try {
    process.execve?.(process.execPath, [process.execPath, ...flags, ...process.execArgv, ...process.argv.slice(1)]);
  } catch {
    // A Node that may not: the daemon runs as well, in more memory.
  }
}

/**
 * Reading TypeScript costs 40 ms that need be spent only once. The cache holds code, so it may lie only where nobody else can write:
 * in a home that is ours (not the caller's home under sudo, never the shared /tmp that is Node's default).
 */
function enableCompileCache() {
  try {
    const home = process.env["XDG_CACHE_HOME"] ?? homedir();
    const own = statSync(home);
    if (own.uid !== process.geteuid?.() || (own.mode & 0o022) !== 0) return;
    const folder = process.env["XDG_CACHE_HOME"] === undefined ? join(home, ".cache", "needfire") : join(home, "needfire");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const made = statSync(folder);
    if (made.uid === own.uid && (made.mode & 0o022) === 0) module.enableCompileCache(folder);
  } catch {
    // No home, or one that cannot be written: it works without, a little slower.
  }
}

async function runUnderNode24() {
  const { findNode24, tooOldMessage } = await import("./node24.js");
  const node = findNode24();
  if (node === undefined) return giveUp(tooOldMessage());
  const { spawn } = await import("node:child_process");
  const child = spawn(node, [...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit" });
  for (const signal of /** @type {const} */ (["SIGTERM", "SIGINT", "SIGHUP"])) {
    process.on(signal, () => {
      // Ctrl-C goes to the terminal's whole foreground group, so the child has it already; twice would mean "at once" to a daemon.
      if (signal !== "SIGINT" || !inForeground()) child.kill(signal);
    });
  }
  child.on("error", (error) => giveUp(`${node} cannot be run: ${error.message}`));
  child.on("exit", (code, signal) => {
    if (signal === null) return void (process.exitCode = code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** Whether this process belongs to the group that its terminal sends Ctrl-C to. */
function inForeground() {
  try {
    const stat = readFileSync("/proc/self/stat", "utf8");
    const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return group === foreground;
  } catch {
    return process.stdin.isTTY;
  }
}

/** @param {string} message */
function giveUp(message) {
  process.stderr.write(`error: ${message}\n`);
  process.exitCode = 1;
}
