/**
 * What the state of a service comes to: whether to say that it is down, up again or flapping. Pure: a standing and what is seen in, a
 * standing and at most one word out. `step` is to be called again when its `dueAt` has come.
 */

/** What an init says of a unit, in the words of all of them. */
export interface UnitSeen {
  /** `changing`: it starts or ends right now, or will within moments. */
  verdict: "runs" | "stopped" | "failed" | "changing";
  /** It stopped and its init is about to start it again: it is meant to run, whoever named it. */
  returns?: boolean;
  /** Something that differs with each start of it; undefined: not known. */
  life?: string | undefined;
}

export interface Standing {
  told: "up" | "down" | "flapping";
  /** When that was told, monotonic; undefined: before this run of the beacon, or never. */
  toldAt?: number | undefined;
  /** Seen to run: from then on it is expected to, if only a glob fits it. */
  ran: boolean;
  notRunning?: { verdict: "stopped" | "failed"; since: number } | undefined;
  life?: string | undefined;
  /** When it was restarted, monotonic, oldest first: as many as are needed. */
  restarts: readonly number[];
}

export interface JudgeRules {
  downWhen: "stopped" | "failed";
  forMs: number;
  restartsMax: number;
  windowMs: number;
}

/** Before systemd starts a service again it calls it failed for a moment. */
const failedMsMin = 50;

export type Word = "down" | "up" | "flapping";

export interface Judged {
  standing: Standing;
  say?: Word;
  /** What was told before lasted so long. */
  lastedMs?: number | undefined;
  dueAt?: number | undefined;
}

export const unknownStanding: Standing = { told: "up", ran: false, restarts: [] };

/** `named`: it stands in the definition in full, so it is expected to run from the first look on. */
export function step(before: Standing, seen: UnitSeen, { now, named, rules }: { now: number; named: boolean; rules: JudgeRules }): Judged {
  const standing = observe(before, seen, now, rules);
  const state = condition(standing, seen, { now, named, rules });
  const wanted = word(standing, state.is, rules);
  if (wanted === standing.told) return { standing, dueAt: state.dueAt ?? calmAt(standing, rules) };
  const after = { ...standing, told: wanted, toldAt: now };
  return {
    standing: after,
    say: wanted,
    lastedMs: standing.told === "up" || standing.toldAt === undefined ? undefined : now - standing.toldAt,
    dueAt: state.dueAt ?? calmAt(after, rules),
  };
}

/** What is remembered of a look that is not to be judged: what happens while a remedy is at work is no restart. */
export function passOver(before: Standing, seen: UnitSeen): Standing {
  return { ...before, life: seen.life ?? before.life, ran: before.ran || seen.verdict === "runs", notRunning: undefined };
}

function observe(before: Standing, seen: UnitSeen, now: number, { restartsMax, windowMs }: JudgeRules): Standing {
  const restarted = seen.life !== undefined && before.life !== undefined && seen.life !== before.life;
  const recent = before.restarts.filter((at) => now - at < windowMs);
  return {
    ...before,
    life: seen.life ?? before.life,
    ran: before.ran || seen.verdict === "runs",
    restarts: restarted ? [...recent, now].slice(-restartsMax) : recent,
    notRunning: notRunning(before, seen.verdict, now),
  };
}

function notRunning(before: Standing, verdict: UnitSeen["verdict"], now: number): Standing["notRunning"] {
  if (verdict !== "stopped" && verdict !== "failed") return undefined;
  return before.notRunning?.verdict === verdict ? before.notRunning : { verdict, since: now };
}

type Condition = { is: "up" | "stopped" | "failed" | "open"; dueAt?: number };

function condition(
  { notRunning: gone, ran }: Standing,
  { verdict, returns = false }: UnitSeen,
  { now, named, rules }: { now: number; named: boolean; rules: JudgeRules },
): Condition {
  if (verdict === "runs") return { is: "up" };
  if (verdict === "changing") return { is: "open" };
  if (verdict === "stopped" && (rules.downWhen === "failed" || !(named || ran || returns))) return { is: returns ? "open" : "up" };
  const dueAt = (gone?.since ?? now) + (verdict === "failed" ? failedMsMin : rules.forMs);
  return dueAt <= now ? { is: verdict } : { is: "open", dueAt };
}

function word({ told, restarts }: Standing, is: Condition["is"], rules: JudgeRules): Word {
  if (is === "failed") return "down";
  const recent = restarts.length;
  if (told === "flapping") {
    // Half as many end it: else it would come and go with each restart.
    if (recent > calmRestarts(rules) || is === "open") return "flapping";
    return is === "stopped" ? "down" : "up";
  }
  if (recent >= rules.restartsMax && told === "up") return "flapping";
  if (is === "stopped") return "down";
  if (is === "open" || told === "up") return told;
  return recent >= rules.restartsMax ? "flapping" : "up";
}

function calmRestarts({ restartsMax }: JudgeRules): number {
  return Math.floor(restartsMax / 2);
}

/** When one that flaps will have had few enough restarts, if there are no more. */
function calmAt({ told, restarts }: Standing, rules: JudgeRules): number | undefined {
  if (told !== "flapping") return undefined;
  const last = restarts.at(-calmRestarts(rules) - 1);
  return last === undefined ? undefined : last + rules.windowMs;
}
