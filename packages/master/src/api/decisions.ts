/**
 * Why each reactor did or did not fire on an event (P5): judged again by the same engine, with the reactors and facts of now and as if
 * nothing had happened before, beside the tasks that were made of it then.
 */
import type { DecisionView } from "@needfire/shared/api";
import type { Event } from "@needfire/shared/event";
import type { RouteOf } from "@needfire/shared/router";
import type { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { Rules } from "@needfire/shared/rules/rules";
import type { Decision } from "@needfire/shared/rules/types";
import type { AgentView } from "@needfire/shared/target";
import { originOf } from "../origin.ts";
import type { Remote } from "../thread.ts";
import type { History } from "../worker-history.ts";

export async function decisionsOn(
  event: Event,
  {
    history,
    reactors,
    agentView,
    route,
  }: { history: Remote<History>; reactors: ReactorIndex; agentView(id: string): AgentView; route: RouteOf },
): Promise<DecisionView[]> {
  const origin = await originOf(event, (id) => history.readTask(id));
  const made = new Map((await history.tasksOfEvent(event.id)).map((task) => [task.reactor, task.id]));
  const rules = new Rules(reactors, { agentView, route, silence: () => undefined }, { asksAll: true });
  return rules.hear({ event, ...origin }).decisions.map((decision) => viewOf(decision, made.get(decision.reactor.name)));
}

function viewOf({ reactor: { name, description }, reason, detail, firing }: Decision, task: string | undefined): DecisionView {
  if (firing === undefined && task === undefined) return { reactor: name, decision: reason, detail };
  const made = task === undefined ? {} : { task };
  return { reactor: name, decision: "fire", detail: firing?.plan.ok === false ? firing.plan.reason : description, ...made };
}
