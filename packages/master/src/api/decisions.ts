/**
 * Why each reactor did or did not fire on an event (P5): judged again by the same engine, with the reactors and facts of now, beside the
 * tasks that were made of it then.
 */
import type { DecisionView } from "@needfire/shared/api";
import type { Event } from "@needfire/shared/event";
import { type Decision, match } from "@needfire/shared/match";
import type { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import type { AgentView } from "@needfire/shared/target";
import { originOf } from "../origin.ts";
import type { Remote } from "../thread.ts";
import type { History } from "../worker-history.ts";

export async function decisionsOn(
  event: Event,
  { history, reactors, agentView }: { history: Remote<History>; reactors: ReactorIndex; agentView(id: string): AgentView },
): Promise<DecisionView[]> {
  const origin = await originOf(event, (id) => history.readTask(id));
  const made = new Map((await history.tasksOfEvent(event.id)).map((task) => [task.reactor, task.id]));
  return match(reactors, { event, agent: agentView(origin.agent), ancestry: origin.ancestry }).map((decision) => {
    const task = made.get(decision.reactor.name);
    return { ...viewOf(decision), ...(task === undefined ? {} : { task }) };
  });
}

function viewOf(decision: Decision): DecisionView {
  const reactor = decision.reactor.name;
  if (decision.kind === "skip") return { reactor, decision: decision.reason, detail: decision.detail };
  return { reactor, decision: "fire", detail: decision.plan.ok ? decision.reactor.description : decision.plan.reason };
}
