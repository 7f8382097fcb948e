/**
 * Which packages are installed: dpkg's status file, read as a stream, or what rpm says, asked only when its database has changed. Reading is all
 * that happens here.
 */
import { createReadStream, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { environment, runProgram } from "@needfire/shared/host/program";

const packagesMax = 50_000;
const textCharactersMax = 200;
const rpmTimeoutMs = 120_000;
const rpmOutputBytesMax = 16 * 1024 * 1024;

/**
 * The versions of every package, by name and architecture with a space between. `unsettled`: its installation or removal goes on, so nothing can be
 * said of it yet.
 */
export interface Installed {
  versions: Map<string, string[]>;
  unsettled: Set<string>;
  /** Some were left out: there are more than `packagesMax`. */
  cut: boolean;
}

export interface PackageSource {
  /** Changes when packages may have; costs a few stats. */
  stamp(): string;
  read(signal: AbortSignal): Promise<Installed>;
}

export function packageSource(manager: "auto" | "dpkg" | "rpm", root: string): { manager: "dpkg" | "rpm"; source: PackageSource } {
  const status = join(root, "var/lib/dpkg/status");
  const database = ["usr/lib/sysimage/rpm", "var/lib/rpm"].find((folder) => rpmFiles.some((name) => existsSync(join(root, folder, name))));
  if (manager !== "rpm" && (manager === "dpkg" || existsSync(status))) return { manager: "dpkg", source: dpkg(status) };
  if (manager === "rpm" || database !== undefined) return { manager: "rpm", source: rpm(root, `/${database ?? "var/lib/rpm"}`) };
  throw new Error(`neither dpkg nor rpm keeps packages in ${root}: there is no ${status} and no database of rpm`);
}

function dpkg(status: string): PackageSource {
  return {
    stamp: () => stampOf([status]),
    async read(signal) {
      const found = new Found();
      let entry: Record<string, string> = {};
      const wanted = /^(Package|Status|Version|Architecture): (.*)$/;
      for await (const line of createInterface({ input: createReadStream(status, { encoding: "utf8", signal }), crlfDelay: Infinity })) {
        const field = wanted.exec(line);
        if (field !== null) entry[field[1]!] = field[2]!;
        else if (line === "") {
          found.takeDpkg(entry);
          entry = {};
        }
      }
      found.takeDpkg(entry);
      return found;
    },
  };
}

/** Of rpm's database those that hold the packages: what readers touch does not count. */
const rpmFiles = ["rpmdb.sqlite", "rpmdb.sqlite-wal", "Packages", "Packages.db"];

function rpm(root: string, dbpath: string): PackageSource {
  const format = "%{NAME}\\t%{ARCH}\\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\n";
  const argv = ["rpm", "--root", root, "--dbpath", dbpath, "-qa", "--queryformat", format];
  return {
    stamp: () => stampOf(rpmFiles.map((name) => join(root, dbpath, name))),
    async read(signal) {
      const text = await outputOf(argv, { timeoutMs: rpmTimeoutMs, outputBytesMax: rpmOutputBytesMax, signal });
      const found = new Found();
      for (const line of text.split("\n")) {
        const [name, architecture, version] = line.split("\t");
        // Keys that packages are signed with stand among the packages.
        if (name && version !== undefined && name !== "gpg-pubkey")
          found.take(name, architecture === "(none)" ? "" : architecture!, version);
      }
      return found;
    },
  };
}

class Found implements Installed {
  readonly versions = new Map<string, string[]>();
  readonly unsettled = new Set<string>();
  cut = false;

  take(name: string, architecture: string, version: string): void {
    const key = keyOf(name, architecture);
    const versions = this.versions.get(key);
    if (versions === undefined && this.versions.size >= packagesMax) this.cut = true;
    else if (versions === undefined) this.versions.set(key, [version.slice(0, textCharactersMax)]);
    else versions.push(version.slice(0, textCharactersMax));
  }

  /** `Status: want flag state`; see dpkg-query(1). Packages that wait for triggers are unpacked and configured. */
  takeDpkg({ Package: name, Status: status = "", Version: version = "", Architecture: architecture = "" }: Record<string, string>): void {
    const state = status.split(" ")[2];
    if (name === undefined || state === undefined || state === "config-files" || state === "not-installed") return;
    if (state === "installed" || state.startsWith("triggers-")) this.take(name, architecture, version);
    else this.unsettled.add(keyOf(name, architecture));
  }
}

function keyOf(name: string, architecture: string): string {
  return `${name.slice(0, textCharactersMax)} ${architecture.slice(0, textCharactersMax)}`;
}

/** Without the time of the inode's change: rpm changes that when it only reads. */
function stampOf(paths: string[]): string {
  const stats = paths.map((path) => statSync(path, { throwIfNoEntry: false }));
  return stats.map((stat) => (stat === undefined ? "-" : `${stat.ino}:${stat.size}:${stat.mtimeMs}`)).join(" ");
}

/** What a program prints that must succeed; `codes`: what counts as that. */
export async function outputOf(
  argv: string[],
  limits: { timeoutMs: number; outputBytesMax: number; signal: AbortSignal },
): Promise<string> {
  const ran = await runProgram({ argv, cwd: "/", env: environment({ LC_ALL: "C.UTF-8" }), ...limits });
  if (ran.kind === "not_started") throw new Error(ran.message);
  const { exitCode, timedOut, stdout, stderr } = ran;
  if (timedOut) throw new Error(`${argv[0]} took longer than ${limits.timeoutMs / 1_000} s`);
  if (exitCode !== 0) throw new Error(`${argv[0]} exited with ${exitCode}: ${stderr.text.trim().slice(0, 500)}`);
  if (stdout.bytes > stdout.keptBytes) throw new Error(`${argv[0]} printed more than ${limits.outputBytesMax} bytes`);
  return stdout.text;
}
