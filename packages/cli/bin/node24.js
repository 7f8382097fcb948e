/**
 * Finding Node 24, which Needfire runs on, from whichever Node this happens to be (20 and newer: plain JavaScript, no dependencies).
 * Here and not in `src/` because it has to run before TypeScript can.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";

export const nodeMajorMin = 24;
/** How long a `node` on the PATH may take to tell its version. */
const versionTimeoutMs = 5_000;

/**
 * The path of a Node that is new enough: this one, the one among the dependencies, or one on the PATH, in that order.
 *
 * @returns {string | undefined}
 */
export function findNode24() {
  if (isNewEnough(process.versions.node)) return process.execPath;
  return packagedNode() ?? nodeOnPath();
}

/**
 * What to tell somebody for whom {@link findNode24} finds nothing.
 *
 * @returns {string}
 */
export function tooOldMessage() {
  return (
    `Needfire needs Node ${nodeMajorMin} or newer: this is Node ${process.versions.node} and there is no package with a newer one for ` +
    `${process.platform}-${process.arch} (on Linux, x64 and arm64, npm installs it as an optional dependency); put a newer node on the PATH.`
  );
}

/** @returns {string | undefined} */
function packagedNode() {
  const require = createRequire(import.meta.url);
  try {
    const binary = join(dirname(require.resolve(`node-${process.platform}-${process.arch}/package.json`)), "bin", "node");
    return existsSync(binary) ? binary : undefined;
  } catch {
    return undefined;
  }
}

/** @returns {string | undefined} */
function nodeOnPath() {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const binary = join(folder, "node");
    if (folder === "" || !existsSync(binary)) continue;
    const told = spawnSync(binary, ["-p", "process.versions.node"], { encoding: "utf8", timeout: versionTimeoutMs });
    if (told.status === 0 && isNewEnough(told.stdout)) return binary;
  }
  return undefined;
}

/** @param {string} version */
function isNewEnough(version) {
  return Number.parseInt(version, 10) >= nodeMajorMin;
}
