/** What a package tool is asked, and what it answers: between package.ts and those that know a tool. */
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import type { Answer } from "./on-host.ts";

export type ToolName = ActionResult<"package.install">["tool"];

/** Of each package that is there: its version. */
export type Installed = ReadonlyMap<string, string>;

export type Wish =
  | ({ verb: "install" } & ActionArgs<"package.install">)
  | ({ verb: "upgrade" } & ActionArgs<"package.upgrade">)
  | ({ verb: "remove" } & ActionArgs<"package.remove">);

/** What is to be run, or why nothing is. `doing`: for a dry run. */
export type Plan =
  | { kind: "run"; argv: [string, ...string[]]; doing: string; note?: string }
  | { kind: "nothing"; note?: string }
  | { kind: "refused"; message: string }
  | { kind: "failed"; message: string };

/** What a tool is asked with. `ask` reads, and may be cancelled; `change` may not, and waits for the lock. */
export interface Asking {
  tool: ToolName;
  dryRun: boolean;
  ask(argv: [string, ...string[]]): Promise<Answer>;
  change(argv: [string, ...string[]]): Promise<Answer>;
}

export interface PackageTool {
  installed(asking: Asking): Promise<Installed | string>;
  plan(wish: Wish, before: Installed, asking: Asking): Promise<Plan>;
  /** Whether a wish for `name` or `name=version` is fulfilled. */
  has(installed: Installed, wanted: string): boolean;
  isLocked(ran: Answer): boolean;
  isDone(ran: Answer): boolean;
  env: Record<string, string>;
}
