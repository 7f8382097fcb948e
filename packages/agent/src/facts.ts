/**
 * Facts: what the agent reports about its host, for targets and for people. Read from files and the kernel alone: joining waits for them,
 * and a program started for one (`hostname -f` asks the network) may take its time.
 */
import { readFileSync } from "node:fs";
import { arch, cpus, hostname, networkInterfaces, release, totalmem } from "node:os";
import { parseEnv } from "node:util";

/** In this order: https://www.freedesktop.org/software/systemd/man/latest/os-release.html */
const osReleaseFiles = ["/etc/os-release", "/usr/lib/os-release"];

export function gatherFacts(version: string): Record<string, unknown> {
  const system = osRelease();
  return {
    hostname: hostname(),
    os: "linux",
    distro: system["NAME"] ?? "unknown",
    distro_release: system["VERSION_ID"] ?? "",
    kernel: release(),
    arch: arch(),
    cpus: cpus().length,
    memory_bytes: totalmem(),
    addresses: Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ internal }) => !internal)
      .map(({ address }) => address),
    needfire_version: version,
    node_version: process.versions.node,
  };
}

/** Shell assignments, as in a .env file. Empty on a system that has none. */
function osRelease(): NodeJS.Dict<string> {
  for (const file of osReleaseFiles) {
    try {
      return parseEnv(readFileSync(file, "utf8"));
    } catch {
      continue; // not there, or not to be read: a host without these facts is still a host
    }
  }
  return {};
}
