/**
 * `package.install`, `package.upgrade` and `package.remove`: what has changed is read from the package database before and after, whatever
 * a tool says of itself; and what was asked for must be so in the end. How each tool is asked is in package-apt.ts and package-rpm.ts.
 */
import { existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import type { ActionResult } from "@needfire/shared/action";
import { durationMs } from "@needfire/shared/duration";
import { type Action, type ActionContext, type Ending, failed, refused, would } from "./action.ts";
import type { Asking, Installed, PackageTool, ToolName, Wish } from "./package-tool.ts";
import { type Host, askProgram, thisHost } from "./on-host.ts";

/** Packages that a result names. */
const toldMax = 500;
const lockLookMs = 1_000;
const queryMsMax = 120_000;

type PackageEnding = Ending<ActionResult<"package.install">>;

const scope = () => ({ topic: "package" });
export const install: Action<"package.install"> = { run: (args, context) => changePackages({ verb: "install", ...args }, context), scope };
export const upgrade: Action<"package.upgrade"> = { run: (args, context) => changePackages({ verb: "upgrade", ...args }, context), scope };
export const remove: Action<"package.remove"> = { run: (args, context) => changePackages({ verb: "remove", ...args }, context), scope };

/** `host`: another than this one, for tests. */
export async function changePackages(wish: Wish, context: ActionContext, host: Host = thisHost): Promise<PackageEnding> {
  const name = findTool(host.root);
  if (name === undefined) return failed("no package tool that Needfire knows is on this host: apt, dnf, yum, zypper");
  const tool = await load(name);
  const asking = askingOf(name, tool, { wish, context, host });
  const before = await tool.installed(asking);
  if (typeof before === "string") return failed(before);
  const plan = await tool.plan(wish, before, asking);
  if (plan.kind === "refused") return refused(plan.message);
  if (plan.kind === "failed") return failed(plan.message);
  const note = plan.note === undefined ? {} : { message: plan.note };
  if (plan.kind === "nothing") return { outcome: "succeeded", changed: false, ...note, result: difference(name, before, before) };
  if (context.dryRun) return would(plan.doing);
  if (context.signal.aborted) return failed(String(context.signal.reason));
  const ran = await asking.change(plan.argv);
  const after = await tool.installed(asking);
  if (typeof after === "string") return failed(ran.problem ?? after);
  const result = difference(name, before, after);
  const changed = result.count > 0;
  const problem = tool.isDone(ran) ? unfulfilled(wish, after, tool) : ran.problem;
  return problem === undefined
    ? { outcome: "succeeded", changed, ...note, result }
    : { outcome: "failed", changed, message: problem, result };
}

/** A Debian may have dnf installed, too: what its own packages are in counts. */
function findTool(root: string): ToolName | undefined {
  if (existsSync(`${root}/var/lib/dpkg/status`) && existsSync(`${root}/usr/bin/apt-get`)) return "apt";
  return (["zypper", "dnf", "yum"] as const).find((name) => existsSync(`${root}/usr/bin/${name}`));
}

async function load(name: ToolName): Promise<PackageTool> {
  return name === "apt" ? (await import("./package-apt.ts")).apt : (await import("./package-rpm.ts")).rpmTool;
}

function askingOf(name: ToolName, tool: PackageTool, { wish, context, host }: { wish: Wish; context: ActionContext; host: Host }): Asking {
  const { signal, dryRun } = context;
  const timeoutMs = durationMs(wish.timeout);
  const untilMs = performance.now() + durationMs(wish.lock_timeout);
  const uncancelled = new AbortController().signal;
  return {
    tool: name,
    dryRun,
    ask: (argv) => askProgram(argv, { host, signal, timeoutMs: queryMsMax, env: tool.env }),
    change: async (argv) => {
      for (;;) {
        const ran = await askProgram(argv, { host, signal: uncancelled, timeoutMs, env: tool.env });
        if (tool.isDone(ran) || !tool.isLocked(ran)) return ran;
        if (signal.aborted) return { ...ran, problem: String(signal.reason) };
        if (performance.now() >= untilMs)
          return { ...ran, problem: `somebody else installed packages for longer than ${wish.lock_timeout}: ${ran.problem}` };
        await wait(lockLookMs);
      }
    },
  };
}

/** What a tool that is content with itself has not done. */
function unfulfilled(wish: Wish, after: Installed, tool: PackageTool): string | undefined {
  if (wish.verb === "upgrade") return undefined;
  const wrong = wish.packages.filter((each) => tool.has(after, each) !== (wish.verb === "install"));
  if (wrong.length === 0) return undefined;
  return `${wrong.join(", ")}: ${wish.verb === "install" ? "not installed in the end" : "installed still"}`;
}

function difference(tool: ToolName, before: Installed, after: Installed): ActionResult<"package.install"> {
  const names = [...new Set([...before.keys(), ...after.keys()])].filter((name) => before.get(name) !== after.get(name)).toSorted();
  const packages = names.slice(0, toldMax).map((name) => {
    const [was, is] = [before.get(name), after.get(name)];
    return { name, ...(was === undefined ? {} : { before: was }), ...(is === undefined ? {} : { after: is }) };
  });
  return { tool, packages, count: names.length };
}
