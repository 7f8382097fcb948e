/** What an init is asked for, and how that ends: between service.ts and those that know an init. */
import type { ActionResult } from "@needfire/shared/action";
import type { ActionContext, Ending } from "./action.ts";
import type { Host } from "./on-host.ts";

export type Verb = "start" | "stop" | "restart" | "reload" | "enable" | "disable" | "mask" | "unmask";
export type ServiceEnding = Ending<ActionResult<"service.start">>;

/** What an init is asked for. */
export interface ServiceWish {
  verb: Verb;
  /** As the init calls it. */
  unit: string;
  timeoutMs: number;
  host: Host;
  context: ActionContext;
}
