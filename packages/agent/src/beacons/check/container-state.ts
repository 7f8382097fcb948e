/**
 * What is known of containers, and what an event of the engine or a look at all of them makes of it. Pure. It is what keeps anything from being
 * told twice: an event that says what is known already says nothing.
 */

/** As it is kept across restarts. */
export interface Known {
  name: string;
  image: string;
  running: boolean;
  unhealthy: boolean;
}

/** `time`: ns since the epoch, as near as a number comes to that. */
export interface EngineEvent {
  action: string;
  id: string;
  name: string;
  image: string;
  labels: Record<string, string>;
  time: number;
  exitCode: number | undefined;
}

/** How one was found. `exitCode`, `oomKilled`: of one that has ended, when that was asked for. */
export interface Found {
  name: string;
  image: string;
  labels: Record<string, string>;
  running: boolean;
  unhealthy: boolean;
  exitCode?: number | undefined;
  oomKilled?: boolean;
}

export type Told =
  | { type: "container.started" | "container.oom" | "container.unhealthy" | "container.healthy" }
  | { type: "container.died"; exitCode: number | undefined; oomKilled?: boolean | undefined };

/** `known` undefined: it is gone, or was never there. */
export interface Step {
  known: Known | undefined;
  tell: Told[];
}

const textCharactersMax = 500;
const id = /^[0-9a-f]{12,64}$/;

/** A line of the engine's stream; undefined when it is of something else, or of nothing that is known here. */
export function parseEvent(line: string): EngineEvent | undefined {
  const { Type: type, Action: action, Actor: actor, time, timeNano } = JSON.parse(line) as Record<string, unknown>;
  if (type !== "container" || typeof action !== "string") return undefined;
  const { ID: actorId, Attributes: attributes } = (actor ?? {}) as { ID?: unknown; Attributes?: unknown };
  if (typeof actorId !== "string" || !id.test(actorId)) return undefined;
  const labels = textsOf(attributes);
  const code = Number(labels["exitCode"] ?? labels["containerExitCode"]);
  return {
    ...{ action, id: actorId, labels },
    name: cut(labels["name"]),
    image: cut(labels["image"]),
    time: typeof timeNano === "number" ? timeNano : Number(time ?? 0) * 1e9,
    exitCode: action === "die" && Number.isInteger(code) ? code : undefined,
  };
}

/** The list of containers. `unhealthy`: the ids of those. */
export function parseList(list: unknown, unhealthy: ReadonlySet<string>): Map<string, Found> {
  const found = new Map<string, Found>();
  for (const each of Array.isArray(list) ? (list as Record<string, unknown>[]) : []) {
    const { Id: key, Names: names, Image: image, Labels: labels, State: state } = each;
    if (typeof key !== "string" || !id.test(key)) continue;
    const name = Array.isArray(names) && typeof names[0] === "string" ? names[0].replace(/^\//, "") : "";
    const running = state === "running" || state === "paused";
    found.set(key, { name: cut(name), image: cut(image), labels: textsOf(labels), running, unhealthy: running && unhealthy.has(key) });
  }
  return found;
}

export function parseIds(list: unknown): Set<string> {
  return new Set(Array.isArray(list) ? list.flatMap((each: { Id?: unknown }) => (typeof each.Id === "string" ? [each.Id] : [])) : []);
}

/** What an event makes of what was known. */
export function onEvent(known: Known | undefined, { action, name, image, exitCode }: EngineEvent): Step {
  const now = {
    name: name || (known?.name ?? ""),
    image: image || (known?.image ?? ""),
    running: known?.running ?? false,
    unhealthy: known?.unhealthy ?? false,
  };
  switch (action) {
    case "start":
      return known?.running === true
        ? { known: now, tell: [] }
        : { known: { ...now, running: true, unhealthy: false }, tell: [{ type: "container.started" }] };
    case "die":
      return known?.running === false
        ? { known: now, tell: [] }
        : { known: { ...now, running: false, unhealthy: false }, tell: [{ type: "container.died", exitCode }] };
    case "oom":
      return { known: now, tell: [{ type: "container.oom" }] };
    case "health_status: unhealthy":
      return healthStep({ ...now, running: true }, true);
    case "health_status: healthy":
      return healthStep({ ...now, running: true }, false);
    case "destroy":
    case "remove":
      return { known: undefined, tell: [] };
    default:
      return { known, tell: [] };
  }
}

/** What a look makes of it. `isFirst`: nothing was known of any, so what merely runs is no news. Not found: it is gone. */
export function onFound(known: Known | undefined, found: Found | undefined, isFirst: boolean): Step {
  if (found === undefined)
    return { known: undefined, tell: known?.running === true ? [{ type: "container.died", exitCode: undefined }] : [] };
  const { name, image, running, unhealthy, exitCode, oomKilled } = found;
  const wasRunning = known?.running ?? (isFirst && running);
  const tell: Told[] = [];
  if (running && !wasRunning) tell.push({ type: "container.started" });
  if (!running && wasRunning) tell.push({ type: "container.died", exitCode, oomKilled });
  const health = healthStep({ name, image, running, unhealthy: wasRunning && running && (known?.unhealthy ?? false) }, unhealthy);
  return { known: health.known, tell: [...tell, ...health.tell] };
}

function healthStep(known: Known, unhealthy: boolean): Step {
  if (known.unhealthy === unhealthy) return { known, tell: [] };
  return { known: { ...known, unhealthy }, tell: [{ type: unhealthy ? "container.unhealthy" : "container.healthy" }] };
}

function cut(text: unknown): string {
  return typeof text === "string" ? text.slice(0, textCharactersMax) : "";
}

function textsOf(value: unknown): Record<string, string> {
  const entries = typeof value === "object" && value !== null ? Object.entries(value) : [];
  return Object.fromEntries(entries.filter((pair): pair is [string, string] => typeof pair[1] === "string"));
}
