/**
 * Facts: what the agent reports about its host, for targets and for people.
 */
import { arch, cpus, hostname, networkInterfaces, release, totalmem } from "node:os";
import { osInfo } from "systeminformation";
import { errorText } from "@needfire/shared/errors";

export async function gatherFacts(version: string): Promise<Record<string, unknown>> {
  const system = await osInfo().catch((error: unknown) => ({ distro: "unknown", release: "", problem: errorText(error) }));
  return {
    hostname: hostname(),
    os: "linux",
    distro: system.distro,
    distro_release: system.release,
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
