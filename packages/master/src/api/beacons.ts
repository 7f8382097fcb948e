/**
 * The API's route about beacons: the definitions in force; and of one agent, how each of its beacons is, as it last told (`beacon.applied`,
 * then what failed, recovered or saw less since).
 */
import { beaconStates, type BeaconsView, beaconsQuery, beaconsView, type BeaconView } from "@needfire/shared/api-beacons";
import type { BeaconDefinition, LoadedBeacon } from "@needfire/shared/beacon";
import { isoTime } from "@needfire/shared/clock";
import { NeedfireError } from "@needfire/shared/errors";
import type { Event } from "@needfire/shared/event";
import type { Problem } from "@needfire/shared/yaml-file";
import type { Agents } from "../agents.ts";
import type { Keys } from "../keys.ts";
import type { Remote } from "../thread.ts";
import type { History } from "../worker-history.ts";
import type { Server } from "./http.ts";

export interface BeaconRoutes {
  keys: Pick<Keys, "list" | "acceptedFor">;
  agents: Pick<Agents, "view">;
  history: Pick<Remote<History>, "query">;
  beacons(): readonly LoadedBeacon[];
  beaconProblems(): Problem[];
}

/** Changes of health since an agent last applied its definitions that are looked at: the newest. */
const changesMax = 1_000;
const healthTypes = { "beacon.failed": "failed", "beacon.degraded": "degraded", "beacon.recovered": "watching" } as const;

export function beaconRoutes(server: Server, options: BeaconRoutes): void {
  server.get("/v1/beacons", { schema: { querystring: beaconsQuery, response: { 200: beaconsView } } }, async ({ query }) =>
    query.agent === undefined ? ofAll(options) : await ofAgent(query.agent, options),
  );
}

function ofAll({ keys, agents, beacons, beaconProblems }: BeaconRoutes): BeaconsView {
  const views = keys.list().flatMap(({ id, state }) => (state === "accepted" ? [agents.view(id)] : []));
  return {
    beacons: beacons().map(({ definition, test, file }) => ({ ...described(definition, file), agents: views.filter(test).length })),
    problems: beaconProblems(),
  };
}

async function ofAgent(id: string, { keys, agents, history, beacons, beaconProblems }: BeaconRoutes): Promise<BeaconsView> {
  if (keys.acceptedFor(id) === undefined) throw new NeedfireError("NOT_FOUND", `there is no agent "${id}" (needfire agents list)`);
  const view = agents.view(id);
  const wanted = beacons().filter(({ test }) => test(view));
  const [applied] = await history.query({ agent: id, type: "beacon.applied", limit: 1 });
  // By the host's clock, which told of both; not by when they came: the lanes of a spool overtake each other, and a host's clock may be slow.
  const changes = applied === undefined ? [] : await history.query({ agent: id, type: "beacon.*", since: applied.time, limit: changesMax });
  const states = healthOf(
    applied,
    changes.toSorted((a, b) => a.time - b.time || a.position - b.position),
  );
  const pushed = wanted.map(({ definition, file }) => ({ ...described(definition, file), ...states.get(definition.name) }));
  const own = [...states].filter(([name]) => !wanted.some(({ definition }) => definition.name === name));
  return { beacons: [...pushed, ...own.map(([name, state]) => ({ name, ...state }))], problems: beaconProblems() };
}

function described({ name, type, description, severity, targets }: BeaconDefinition, file: string): BeaconView {
  const all = typeof targets === "string" ? [targets] : [...targets];
  return { name, type, severity, targets: all, file, ...(description === undefined ? {} : { description }) };
}

type State = NonNullable<BeaconView["state"]>;
type Health = Required<Pick<BeaconView, "type" | "state" | "since">> & Pick<BeaconView, "message">;

/** One of `beacon.applied`, as an honest agent says it. */
interface Listed {
  name: string;
  type: string;
  state: State;
  message?: string;
}

function isListed(value: unknown): value is Listed {
  const { name, type, state, message = "" } = (value ?? {}) as Partial<Record<keyof Listed, unknown>>;
  return [name, type, message].every((text) => typeof text === "string") && beaconStates.some((known) => known === state);
}

/** `changes`: in the order in which they happened. */
function healthOf(applied: Event | undefined, changes: Event[]): Map<string, Health> {
  const states = new Map<string, Health>();
  const listed = applied?.data["beacons"];
  for (const { name, type, state, message } of Array.isArray(listed) ? listed.filter(isListed) : [])
    states.set(name, { type, state, ...(message === undefined ? {} : { message }), since: isoTime(applied!.received) });
  for (const { type, beacon, data, received } of changes) {
    const before = beacon === undefined ? undefined : states.get(beacon);
    const state = (healthTypes as Record<string, State | undefined>)[type];
    if (before === undefined || state === undefined) continue;
    const message = state === "watching" || typeof data["message"] !== "string" ? {} : { message: data["message"] };
    states.set(beacon!, { type: before.type, state, ...message, since: isoTime(received) });
  }
  return states;
}
