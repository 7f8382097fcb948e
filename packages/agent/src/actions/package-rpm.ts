/** Packages of Red Hat's and SUSE's kin: dnf, yum and zypper, with nobody to ask; what is installed says rpm. */
import type { Asking, Installed, PackageTool, Plan, ToolName, Wish } from "./package-tool.ts";

type RpmTool = Exclude<ToolName, "apt">;

interface Words {
  install(wish: Wish & { verb: "install" }, packages: readonly string[]): string[];
  upgrade(wish: Wish & { verb: "upgrade" }): string[] | string;
  remove: string[];
  dry: string[];
  spec(wanted: string): string;
}

const common = ["-y", "-q"];
const dnf: Words = {
  install: ({ refresh }, packages) => [...common, ...(refresh ? ["--refresh"] : []), "install", "--", ...packages],
  upgrade: ({ refresh, security, packages = [] }) => [
    ...common,
    ...(refresh ? ["--refresh"] : []),
    "upgrade",
    ...(security ? ["--security"] : []),
    ...(packages.length > 0 ? ["--", ...packages] : []),
  ],
  // What came along as a dependency stays: nobody has asked for its removal.
  remove: [...common, "--setopt=clean_requirements_on_remove=False", "remove", "--"],
  dry: ["--assumeno"],
  spec: (wanted) => wanted.replace("=", "-"),
};
const withoutRefresh = (words: string[]) => words.filter((word) => word !== "--refresh");

const tools: Record<RpmTool, Words> = {
  dnf,
  // It looks by itself whether what it knows is old.
  yum: {
    ...dnf,
    install: (wish, packages) => withoutRefresh(dnf.install(wish, packages)),
    upgrade: (wish) => withoutRefresh(dnf.upgrade(wish) as string[]),
  },
  zypper: {
    install: ({ refresh, recommends }, packages) => [
      ...["--non-interactive", "--quiet", ...(refresh ? [] : ["--no-refresh"]), "install", "--auto-agree-with-licenses"],
      ...[recommends ? "--recommends" : "--no-recommends", "--", ...packages],
    ],
    upgrade: ({ refresh, security, packages }) => {
      const before = ["--non-interactive", "--quiet", ...(refresh ? [] : ["--no-refresh"])];
      if (security && packages !== undefined) return "zypper knows security updates as patches of the whole host, not of some packages";
      if (security) return [...before, "patch", "--category", "security", "--auto-agree-with-licenses"];
      return [...before, "update", "--auto-agree-with-licenses", ...(packages === undefined ? [] : ["--", ...packages])];
    },
    remove: ["--non-interactive", "--quiet", "remove", "--"],
    dry: ["--dry-run"],
    spec: (wanted) => wanted,
  },
};

/** zypper: done, and the host or a service should be restarted. */
const zypperDone = new Set([100, 101, 102, 103]);
const zypperLocked = 7;

export const rpmTool: PackageTool = {
  env: { ZYPP_LOCK_TIMEOUT: "60" },
  // dnf and yum wait for each other by themselves, as long as this may take.
  isLocked: ({ code, stderr }) => code === zypperLocked || /is locked by|another app is currently holding the (yum|dnf) lock/i.test(stderr),
  isDone: ({ problem, code }) => problem === undefined || (code !== undefined && zypperDone.has(code)),
  has,
  installed,
  plan,
};

async function installed({ ask }: Asking): Promise<Installed | string> {
  const { problem, stdout } = await ask(["rpm", "-qa", "--queryformat", "%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\n"]);
  if (problem !== undefined) return problem;
  const all = new Map<string, string>();
  for (const line of stdout.split("\n").toSorted()) {
    const [name = "", version = ""] = line.split("\t");
    // Of some several are installed at a time: kernels, keys.
    if (name !== "") all.set(name, all.has(name) ? `${all.get(name)}, ${withoutEpoch(version)}` : withoutEpoch(version));
  }
  return all;
}

/** As people write it: an epoch of 0 is left out. */
function withoutEpoch(version: string): string {
  return version.replace(/^0:/, "");
}

function has(all: Installed, wanted: string): boolean {
  const [name = "", version] = wanted.split("=");
  const there = all.get(name)?.split(", ") ?? [];
  if (version === undefined) return there.length > 0;
  const asked = withoutEpoch(version);
  return there.some((each) => each === asked || each.replace(/-[^-]*$/, "") === asked || each.replace(/^[0-9]+:/, "") === asked);
}

async function plan(wish: Wish, before: Installed, asking: Asking): Promise<Plan> {
  const tool = asking.tool as RpmTool;
  const words = tools[tool];
  const missing = wish.packages?.filter((each) => !has(before, each)) ?? [];
  if (wish.verb === "install") {
    if (missing.length === 0) return { kind: "nothing" };
    return planned([tool, ...words.install(wish, missing.map(words.spec))], { asking, words, doing: `install ${missing.join(", ")}` });
  }
  if (wish.verb === "upgrade") {
    if (missing.length > 0) return { kind: "failed", message: `not installed: ${missing.join(", ")}` };
    const argv = words.upgrade(wish);
    if (typeof argv === "string") return { kind: "refused", message: argv };
    return planned([tool, ...argv], { asking, words, doing: `upgrade ${wish.packages?.join(", ") ?? "the host's packages"}` });
  }
  const there = wish.packages.filter((each) => has(before, each));
  if (there.length === 0) return { kind: "nothing" };
  const { problem, stderr } = await asking.ask(["rpm", "--erase", "--test", "--", ...there]);
  if (problem !== undefined && !wish.dependents)
    return { kind: "refused", message: `something needs it (dependents allows it): ${stderr.trim().slice(0, 1_000)}` };
  return { kind: "run", argv: [tool, ...words.remove, ...there], doing: `remove ${there.join(", ")}` };
}

interface Planning {
  asking: Asking;
  words: Words;
  doing: string;
}

/** A dry run asks the tool, which asks nobody and says no. */
async function planned([tool, ...rest]: [string, ...string[]], { asking, words, doing }: Planning): Promise<Plan> {
  const run = { kind: "run", argv: [tool, ...rest] as [string, ...string[]], doing } as const;
  if (!asking.dryRun) return run;
  const { problem, stdout, stderr } = await asking.ask(dryArgv(tool, rest, words));
  const said = `${stdout}\n${stderr}`;
  if (/nothing to do/i.test(said) || (problem === undefined && said.trim() === "")) return { kind: "nothing" };
  if (problem === undefined || /operation aborted/i.test(said)) return run;
  return { kind: "failed", message: problem };
}

/** Options of zypper's come behind its command. */
function dryArgv(tool: string, words: readonly string[], { dry }: Words): [string, ...string[]] {
  if (tool !== "zypper") return [tool, ...dry, ...words.filter((word) => word !== "-y" && word !== "-q")];
  const at = words.findIndex((word) => !word.startsWith("-")) + 1;
  return [tool, ...words.slice(0, at).filter((word) => word !== "--quiet"), ...dry, ...words.slice(at)];
}
