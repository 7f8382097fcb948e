/** `agent.maintenance`: puts a host into maintenance, as an operator does with `needfire agents maintenance`. */
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { durationMs } from "@needfire/shared/duration";
import { errorText, NeedfireError } from "@needfire/shared/errors";
import { masterAgent } from "@needfire/shared/ids";
import type { OwnContext, OwnEnding } from "./action.ts";

type Ending = OwnEnding<ActionResult<"agent.maintenance">>;

export async function run(args: ActionArgs<"agent.maintenance">, { host, task, maintain }: OwnContext): Promise<Ending> {
  const agent = args.agent ?? host;
  if (agent === undefined || agent === masterAgent)
    return { outcome: "refused", changed: false, message: "the event is about no host: name one with `agent`" };
  try {
    const { until } = await maintain(agent, { forMs: durationMs(args.for), why: args.why, by: task });
    return { outcome: "succeeded", changed: true, result: { agent, until } };
  } catch (error) {
    if (!(error instanceof NeedfireError)) throw error;
    return { outcome: "failed", changed: false, message: errorText(error) };
  }
}
