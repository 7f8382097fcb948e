/** How a task begins: what is kept of its firing, and what is to be done. */
import type { Plan } from "../rules/types.ts";
import type { Beginning, FiringRecord, Task } from "./types.ts";

export function recordOf({ reactor, trigger, route, ...firing }: Beginning): FiringRecord {
  const { event } = trigger;
  return {
    reactor: reactor.name,
    reactorVersion: reactor.version,
    branch: firing.branch,
    owner: reactor.owner ?? route.owner,
    labels: { ...route.labels },
    runbook: reactor.runbook,
    key: [...firing.key],
    event: event.id,
    events: [...firing.events],
    count: firing.count,
    subject: event.subject,
    priority: firing.priority,
    ancestry: [...firing.ancestry, reactor.name],
    root: trigger.root,
  };
}

/** The same, of what was kept of it. */
export function recordIn(kept: FiringRecord): FiringRecord {
  const { reactor, reactorVersion, branch, owner, labels, runbook, key, event, events, count, subject, priority, ancestry, root } = kept;
  return { reactor, reactorVersion, branch, owner, labels, runbook, key, event, events, count, subject, priority, ancestry, root };
}

export function taskOf(record: FiringRecord, { id, agent, plan, now }: { id: string; agent: string; plan: Plan; now: number }): Task {
  return {
    ...record,
    id,
    agent,
    ...(plan.ok && plan.joinKey !== undefined ? { joinKey: plan.joinKey } : {}),
    ...(plan.ok && plan.lock !== undefined ? { lock: plan.lock } : {}),
    ...(plan.ok && plan.beginMs !== undefined ? { beginMs: plan.beginMs } : {}),
    joined: 0,
    rungs: plan.ok ? plan.rungs : [],
    otherwise: plan.ok ? plan.otherwise : [],
    rung: 0,
    attempt: 0,
    begun: 0,
    heard: false,
    called: 0,
    attempts: 0,
    history: [],
    leases: [],
    open: [],
    started: 0,
    status: { state: "running", execution: "" },
    created: now,
    updated: now,
  };
}
