/**
 * When something that is asked from time to time counts as up, slow or down. Pure: a state and what was seen in, a state and at most one word
 * out. One failure is none (`attempts`), and one answer need not be all well again (`successes`).
 */

export type State = "up" | "slow" | "down";

export interface Limits {
  /** How many times in a row it must be worse than before to be told so. */
  attempts: number;
  /** How many times in a row it must be better. */
  successes: number;
  slowAboveMs: number;
  clearBelowMs: number;
}

/** `since`: by the time of day, ms. */
interface Streak {
  count: number;
  since: number;
}

/** What has been seen without a break up to now. */
type Run = "failing" | "bad" | "answering" | "good";

export interface Reach {
  state: State;
  since: number;
  runs: Record<Run, Streak>;
}

/** `since`: when what is told began. */
export interface Turn {
  to: State;
  from: State;
  since: number;
  lastedMs: number;
  checks: number;
}

const holds: Record<Run, (seen: State) => boolean> = {
  failing: (seen) => seen === "down",
  bad: (seen) => seen !== "up",
  answering: (seen) => seen !== "down",
  good: (seen) => seen === "up",
};

export function reachOf(state: State, since: number): Reach {
  const none = { count: 0, since };
  return { state, since, runs: { failing: none, bad: none, answering: none, good: none } };
}

/** What an answer is: slow over one limit, and not slow any more only under the other. */
export function judged(state: State, answer: { ok: boolean; latencyMs: number }, { slowAboveMs, clearBelowMs }: Limits): State {
  if (!answer.ok) return "down";
  if (answer.latencyMs > slowAboveMs) return "slow";
  return state === "slow" && answer.latencyMs >= clearBelowMs && clearBelowMs < slowAboveMs ? "slow" : "up";
}

export function step(reach: Reach, { seen, now }: { seen: State; now: number }, limits: Limits): { reach: Reach; turn?: Turn } {
  const runs = Object.fromEntries(
    Object.entries(holds).map(([run, test]) => [run, extended(reach.runs[run as Run], test(seen), now)]),
  ) as Reach["runs"];
  const next = turnOf(reach.state, seen, runs, limits);
  if (next === undefined) return { reach: { ...reach, runs } };
  const { count, since } = runs[next.by];
  const turn = { to: next.to, from: reach.state, since, lastedMs: Math.max(0, since - reach.since), checks: count };
  return { reach: { state: next.to, since, runs }, turn };
}

function extended(run: Streak, goesOn: boolean, now: number): Streak {
  if (!goesOn) return { count: 0, since: now };
  return run.count === 0 ? { count: 1, since: now } : { count: run.count + 1, since: run.since };
}

function turnOf(state: State, seen: State, runs: Reach["runs"], { attempts, successes }: Limits): { to: State; by: Run } | undefined {
  if (state !== "down" && runs.failing.count >= attempts) return { to: "down", by: "failing" };
  if (state === "up" && seen === "slow" && runs.bad.count >= attempts) return { to: "slow", by: "bad" };
  if (state === "down" && runs.answering.count >= successes) return { to: seen, by: "answering" };
  if (state === "slow" && runs.good.count >= successes) return { to: "up", by: "good" };
  return undefined;
}
