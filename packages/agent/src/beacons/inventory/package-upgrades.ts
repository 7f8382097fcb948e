/**
 * Which upgrades are pending: apt's simulation of a full upgrade, or dnf's query, both on the lists that are there. Nothing is fetched or changed.
 */
import type { PackagePending } from "@needfire/shared/beacons/package";
import { outputOf } from "./package-sources.ts";

const limits = { timeoutMs: 300_000, outputBytesMax: 8 * 1024 * 1024 };

interface Asked {
  root: string;
  /** As `Installed` has them. */
  versions: ReadonlyMap<string, readonly string[]>;
  signal: AbortSignal;
}

export async function pendingUpgrades(manager: "dpkg" | "rpm", { root, versions, signal }: Asked): Promise<PackagePending[]> {
  if (manager === "dpkg") {
    const rooted = root === "/" ? [] : ["-o", `Dir=${root}`, "-o", `Dir::State::status=${root}/var/lib/dpkg/status`];
    const argv = ["apt-get", "-q", "--simulate", "-o", "Debug::NoLocking=true", ...rooted, "dist-upgrade"];
    return parseApt(await outputOf(argv, { ...limits, signal }));
  }
  const query = (more: string[]) => outputOf(dnf(root, more), { ...limits, signal });
  const security = new Set((await query(["--security"])).split("\n"));
  return parseDnf(await query([]), security, versions);
}

/** `Inst openssl [3.0.14-1] (3.0.15-1 Debian:12.7/stable, Debian-Security:12/stable-security [amd64]) []`; what is new has no first version. */
export function parseApt(text: string): PackagePending[] {
  return [...text.matchAll(/^Inst (\S+) \[([^\]\s]+)\] \((\S+) ([^)]*) \[([^\]\s]+)\]\)/gm)].map(
    ([, name = "", version = "", candidate = "", origins = "", architecture = ""]) => ({
      // A package of another architecture than the machine's bears that in its name.
      ...{ name: name.split(":")[0]!, architecture, version, candidate },
      security: /security/i.test(origins),
    }),
  );
}

function dnf(root: string, more: string[]): string[] {
  const rooted = root === "/" ? [] : [`--installroot=${root}`];
  // The line's end is for dnf 5; dnf 4 makes one of its own.
  return ["dnf", "--quiet", "--cacheonly", ...rooted, "repoquery", "--upgrades", ...more, "--qf", "%{name} %{arch} %{evr}\n"];
}

function parseDnf(text: string, security: ReadonlySet<string>, versions: Asked["versions"]): PackagePending[] {
  return [...new Set(text.split("\n"))].flatMap((line) => {
    const [name, architecture, candidate] = line.split(" ");
    if (name === undefined || architecture === undefined || candidate === undefined) return [];
    const version = versions.get(`${name} ${architecture}`)?.at(-1) ?? "";
    return [{ name, architecture, version, candidate, security: security.has(line) }];
  });
}
