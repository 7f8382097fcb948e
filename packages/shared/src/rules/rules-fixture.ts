/** For tests: the rules of some reactors, and what they fire. Never part of the program. */
import assert from "node:assert/strict";
import type { Event } from "../event.ts";
import { loadReactors } from "../reactor.ts";
import { plainRoute } from "../router.ts";
import { ReactorIndex } from "./reactor-index.ts";
import { Rules } from "./rules.ts";
import type { Firing, World } from "./types.ts";

/** In a world of plain agents, without silences. */
export function rulesOf(text: string, route: World["route"] = plainRoute): Rules {
  const loaded = loadReactors("r.yaml", text);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return new Rules(new ReactorIndex(loaded.reactors), {
    agentView: (id) => ({ id, labels: {}, facts: {} }),
    route,
    silence: () => undefined,
  });
}

/** What they fire for an event that nothing caused. */
export function fired(rules: Rules, event: Event): Firing {
  const { decisions } = rules.hear({ event, agent: event.agent, ancestry: [], root: event.id });
  const [found] = decisions.flatMap((decision) => decision.firing ?? []);
  assert.ok(found, JSON.stringify(decisions));
  return found;
}
