/**
 * Packages of Debian and its kin: apt-get, with nobody to ask. Names are looked up first, since apt-get takes one that it does not know for
 * an expression or for a wish of another kind (`name-`, `name+`). Configuration files that were changed stay as they are.
 */
import type { Answer } from "./on-host.ts";
import type { Asking, Installed, PackageTool, Plan, Wish } from "./package-tool.ts";

const quietly = [
  ...["-q", "-y", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"],
  ...["-o", "Dpkg::Use-Pty=0", "-o", "APT::Get::AutomaticRemove=0", "-o", "APT::Color=0"],
];
const leftovers = " (its configuration only)";

export const apt: PackageTool = {
  env: { DEBIAN_FRONTEND: "noninteractive", DEBCONF_NONINTERACTIVE_SEEN: "true", NEEDRESTART_MODE: "l", APT_LISTCHANGES_FRONTEND: "none" },
  isLocked: ({ stderr }) => /Could not get lock|Unable to (acquire|lock)|is another process using it/i.test(stderr),
  isDone: ({ problem }) => problem === undefined,
  has,
  installed,
  plan: (wish, before, asking) => plans[wish.verb](wish as never, before, asking),
};

const plans = { install: planInstall, upgrade: planUpgrade, remove: planRemove };

async function installed({ ask }: Asking): Promise<Installed | string> {
  const format = "${Package}\\t${Architecture}\\t${Version}\\t${db:Status-Status}\\n";
  const { problem, stdout } = await ask(["dpkg-query", "--show", `--showformat=${format}`]);
  // It fails when there is no package at all.
  if (problem !== undefined && stdout !== "") return problem;
  const rows = stdout.split("\n").map((line) => line.split("\t") as [string, string, string, string]);
  const found = rows.filter(([, , , status]) => status !== undefined && status !== "not-installed");
  const counts = new Map<string, number>();
  for (const [name] of found) counts.set(name, (counts.get(name) ?? 0) + 1);
  const version = ([, , text, status]: (typeof found)[number]) =>
    status === "installed" ? text : status === "config-files" ? `${text}${leftovers}` : `${text} (${status})`;
  // Of one that is there for several architectures, each.
  return new Map(found.map((row) => [(counts.get(row[0]) ?? 0) > 1 ? `${row[0]}:${row[1]}` : row[0], version(row)]));
}

function versionsOf(all: Installed, name: string): string[] {
  const [bare = ""] = name.split(":");
  return [...all].flatMap(([each, version]) =>
    each === name || each === bare || (!name.includes(":") && each.startsWith(`${name}:`)) ? [version] : [],
  );
}

function has(all: Installed, wanted: string): boolean {
  const [name = "", version] = wanted.split("=");
  return versionsOf(all, name).some((each) => !each.endsWith(")") && (version === undefined || each === version));
}

async function planInstall(wish: Wish & { verb: "install" }, before: Installed, asking: Asking): Promise<Plan> {
  const missing = wish.packages.filter((wanted) => !has(before, wanted));
  if (missing.length === 0) return { kind: "nothing" };
  const note = await refresh(wish.refresh, asking);
  const problem = await unknown(missing, asking);
  if (problem !== undefined) return { kind: "failed", message: `${problem}${note.note === undefined ? "" : ` (${note.note})`}` };
  const options = [wish.recommends ? "--install-recommends" : "--no-install-recommends", ...(wish.downgrade ? ["--allow-downgrades"] : [])];
  return simulated(["apt-get", ...quietly, "--no-remove", ...options, "install", "--", ...missing], { asking, note });
}

async function planUpgrade(wish: Wish & { verb: "upgrade" }, before: Installed, asking: Asking): Promise<Plan> {
  const absent = wish.packages?.filter((name) => !has(before, name)) ?? [];
  if (absent.length > 0) return { kind: "failed", message: `not installed: ${absent.join(", ")}` };
  const note = await refresh(wish.refresh, asking);
  const all = ["--with-new-pkgs", "upgrade"];
  const some = (packages: readonly string[]) => ["--only-upgrade", "install", "--", ...packages];
  let what = wish.packages === undefined ? all : some(wish.packages);
  if (wish.security) {
    const { problem, stdout } = await asking.ask(["apt-get", ...quietly, "--no-remove", "-s", ...what]);
    if (problem !== undefined) return { kind: "failed", message: problem };
    const versions = securityUpdates(stdout);
    if (versions.length === 0) return { kind: "nothing", ...note };
    what = some(versions);
  }
  return simulated(["apt-get", ...quietly, "--no-remove", "--no-install-recommends", ...what], { asking, note });
}

async function planRemove(wish: Wish & { verb: "remove" }, before: Installed, asking: Asking): Promise<Plan> {
  const there = wish.packages.filter((name) => versionsOf(before, name).some((version) => wish.purge || !version.endsWith(leftovers)));
  if (there.length === 0) return { kind: "nothing" };
  const argv: [string, ...string[]] = ["apt-get", ...quietly, wish.purge ? "purge" : "remove", "--", ...there];
  const { problem, stdout } = await asking.ask(simulation(argv));
  if (problem !== undefined) return { kind: "failed", message: problem };
  const bare = new Set(there.map((name) => name.replace(/:.*$/, "")));
  const gone = [...stdout.matchAll(/^(?:Remv|Purg) (\S+)/gm)].map(([, name = ""]) => name);
  const others = [...new Set(gone)].filter((name) => !bare.has(name.replace(/:.*$/, "")));
  if (others.length > 0 && !wish.dependents)
    return { kind: "refused", message: `these need it, and would go, too: ${others.join(", ")} (dependents allows it)` };
  return { kind: "run", argv, doing: `remove ${[...there, ...others].join(", ")}` };
}

/** Runs nothing, and says what would be: `Inst`, `Conf`, `Remv` lines. */
function simulation([program, ...rest]: [string, ...string[]]): [string, ...string[]] {
  return [program, "-s", ...rest];
}

async function simulated(argv: [string, ...string[]], { asking, note }: { asking: Asking; note: { note?: string } }): Promise<Plan> {
  const { problem, stdout } = await asking.ask(simulation(argv));
  if (problem !== undefined) return { kind: "failed", message: problem };
  const steps = [...stdout.matchAll(/^Inst (\S+)(?: \[([^\]]*)\])? \((\S+)/gm)];
  if (steps.length === 0 && !/^(Conf|Remv) /m.test(stdout)) return { kind: "nothing", ...note };
  const told = steps.map(([, name, old, version]) =>
    old === undefined ? `install ${name} ${version}` : `upgrade ${name} from ${old} to ${version}`,
  );
  return { kind: "run", argv, doing: told.join(", "), ...note };
}

/** `Inst NAME [OLD] (NEW ORIGIN:RELEASE/ARCHIVE, ... [ARCHITECTURE])`: where a security archive has that very version. */
function securityUpdates(simulation: string): string[] {
  const lines = simulation.matchAll(/^Inst (\S+) \[[^\]]*\] \((\S+) ([^)]*)\)/gm);
  return [...lines].flatMap(([, name = "", version = "", origins = ""]) => (/security/i.test(origins) ? [`${name}=${version}`] : []));
}

/** What is known may be old: then it is said, and what follows goes by what is known. A dry run changes nothing, these lists neither. */
async function refresh(isWanted: boolean, { dryRun, change }: Asking): Promise<{ note?: string }> {
  if (!isWanted || dryRun) return {};
  const { problem }: Answer = await change(["apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update"]);
  return problem === undefined ? {} : { note: `the repositories could not all be read: ${problem.slice(0, 500)}` };
}

async function unknown(wanted: readonly string[], { ask }: Asking): Promise<string | undefined> {
  const missing: string[] = [];
  for (const each of wanted) {
    const [name = ""] = each.split(/[:=]/);
    const { stdout } = await ask(["apt-cache", "pkgnames", "--", name]);
    if (!stdout.split("\n").includes(name)) missing.push(name);
  }
  return missing.length === 0 ? undefined : `no repository of this host has a package ${missing.join(", ")}`;
}
