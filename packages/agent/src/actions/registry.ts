/** Every action that an agent performs: loaded when it is first asked for, since most hosts run few of them. */
import type { AgentActionName, Action, ActionContext, Ending } from "./action.ts";
import type { RemedyScope } from "../remedies.ts";
import type { Verb } from "./service-wish.ts";

const actions: { [N in AgentActionName]: () => Promise<{ action: Action<N> }> } = {
  "file.restore": () => import("./file-restore.ts"),
  "file.check": () => import("./file-check.ts"),
  "file.remove": () => import("./file-remove.ts"),
  "file.write": () => import("./file-write.ts"),
  "file.mode": () => import("./file-mode.ts"),
  "file.line": () => import("./file-line.ts"),
  "disk.clean": () => import("./disk-clean.ts"),
  "script.run": () => import("./script-run.ts"),
  "command.run": () => import("./command-run.ts"),
  "firewall.block": async () => ({ action: (await import("./firewall.ts")).block }),
  "firewall.unblock": async () => ({ action: (await import("./firewall.ts")).unblock }),
  "package.install": async () => ({ action: (await import("./package.ts")).install }),
  "package.upgrade": async () => ({ action: (await import("./package.ts")).upgrade }),
  "package.remove": async () => ({ action: (await import("./package.ts")).remove }),
  "process.signal": () => import("./process-signal.ts"),
  "process.renice": () => import("./process-renice.ts"),
  "user.lock": async () => ({ action: (await import("./user.ts")).lock }),
  "user.unlock": async () => ({ action: (await import("./user.ts")).unlock }),
  "sysctl.set": () => import("./sysctl-set.ts"),
  "agent.facts": () => import("./agent-facts.ts"),
  "host.reboot": () => import("./host-reboot.ts"),
  "service.start": service("start"),
  "service.stop": service("stop"),
  "service.restart": service("restart"),
  "service.reload": service("reload"),
  "service.enable": service("enable"),
  "service.disable": service("disable"),
  "service.mask": service("mask"),
  "service.unmask": service("unmask"),
};

function service(verb: Verb): () => Promise<{ action: Action<"service.start"> }> {
  return async () => ({ action: (await import("./service.ts")).serviceAction(verb) });
}

/** An action whose arguments were checked against its schema. */
export interface LoadedAction {
  scope: RemedyScope | undefined;
  run(context: ActionContext): Promise<Ending<Record<string, unknown>>>;
}

export async function loadAction(name: AgentActionName, args: Record<string, unknown>): Promise<LoadedAction> {
  const { action } = await (actions as Untyped)[name]();
  return { scope: action.scope(args as never), run: (context) => action.run(args as never, context) };
}

/** The table pairs each name with its arguments; a lookup by a name that is only known at run time loses that. */
type Untyped = Record<AgentActionName, () => Promise<{ action: UntypedAction }>>;
interface UntypedAction {
  run(args: never, context: ActionContext): Promise<Ending<Record<string, unknown>>>;
  scope(args: never): RemedyScope | undefined;
}

export function runsHere(name: string): name is AgentActionName {
  return Object.hasOwn(actions, name);
}
