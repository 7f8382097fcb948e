/** `agent.maintenance`: puts a host into maintenance or ends it, as an operator does with `needfire agents maintenance`. */
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { durationMs } from "@needfire/shared/duration";
import { errorText, NeedfireError } from "@needfire/shared/errors";
import { masterAgent } from "@needfire/shared/ids";
import { type OwnContext, type OwnEnding, would } from "./action.ts";

type Args = ActionArgs<"agent.maintenance">;
type Ending = OwnEnding<ActionResult<"agent.maintenance">>;

export async function run(args: Args, context: OwnContext): Promise<Ending> {
  const agent = args.agent ?? context.host;
  if (agent === undefined || agent === masterAgent)
    return { outcome: "refused", changed: false, message: "it is about no host: name one with `agent`" };
  try {
    return args.end === true ? await end(agent, context) : await begin(agent, args, context);
  } catch (error) {
    if (!(error instanceof NeedfireError)) throw error;
    return { outcome: "failed", changed: false, message: errorText(error) };
  }
}

async function begin(agent: string, { for: lasts, why }: Args, { task, maintenance, dryRun }: OwnContext): Promise<Ending> {
  const wish = { forMs: durationMs(lasts ?? "0s"), why: why ?? "", by: task };
  if (dryRun) {
    const doing =
      maintenance.of(agent) === undefined
        ? `put ${agent} into maintenance for ${lasts}`
        : `let the maintenance of ${agent} end in ${lasts}`;
    return would(doing);
  }
  const { until } = await maintenance.begin(agent, wish);
  return { outcome: "succeeded", changed: true, result: { agent, until } };
}

async function end(agent: string, { task, maintenance, dryRun }: OwnContext): Promise<Ending> {
  if (maintenance.of(agent) === undefined)
    return { outcome: "succeeded", changed: false, message: `${agent} is not in maintenance`, result: { agent } };
  if (dryRun) return would(`end the maintenance of ${agent}`);
  await maintenance.end(agent, task);
  return { outcome: "succeeded", changed: true, result: { agent } };
}
