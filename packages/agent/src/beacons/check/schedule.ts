/**
 * The `schedule` beacon: tells when a cron expression is due. It waits by the time of day, which may be stepped and which stands still for a
 * machine that sleeps, so it looks at it again at least twice a minute.
 */
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { ScheduleDueData } from "@needfire/shared/beacons/schedule";
import { compileCron } from "@needfire/shared/cron";
import { durationMs } from "@needfire/shared/duration";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { judgeSchedule, type Schedule } from "./schedule-judge.ts";

const lookMsMax = 30_000;

/** What was dealt with last, and by which expression: another one has missed nothing. */
interface Kept {
  cron: string;
  zone: string;
  last: number;
}

export function start(definition: DefinitionOf<"schedule">, { clock, emit, fail, memory }: BeaconContext): RunningBeacon {
  const { name, cron: pattern, missed, jitter } = definition;
  const zone = definition.zone === "local" ? Intl.DateTimeFormat().resolvedOptions().timeZone : definition.zone;
  const compiled = compileCron(pattern, zone);
  if (!compiled.ok) throw new Error(compiled.message);
  const { cron } = compiled;
  const schedule: Schedule = { cron, missed, delayMs: (due) => share(`${hostname()}\0${name}\0${due}`) * durationMs(jitter) };
  let last = 0;
  let timer: NodeJS.Timeout | undefined;
  const deal = (handled: number) => {
    last = handled;
    memory.set("last", { cron: pattern, zone, last } satisfies Kept);
  };
  const tell = (due: number, missedBefore: number) => {
    const next = cron.next(Math.max(due, clock.now())) ?? null;
    const late = Math.max(0, Math.round(clock.now() - due));
    const data: ScheduleDueData = { cron: pattern, zone, due, late_ms: late, missed: missedBefore, next };
    emit({ type: "schedule.due", subject: name, data });
    deal(due);
  };
  const look = () => {
    try {
      for (;;) {
        const judged = judgeSchedule(schedule, last, clock.now());
        if (judged.kind === "tell") tell(judged.due, judged.missed);
        else if (judged.kind === "pass") deal(judged.last);
        else {
          const waitMs = judged.until === undefined ? lookMsMax : Math.min(lookMsMax, judged.until - clock.now());
          timer = setTimeout(look, Math.max(1, waitMs));
          return;
        }
      }
    } catch (error) {
      fail(error);
    }
  };
  const kept = memory.take().get("last") as Kept | undefined;
  if (kept?.cron === pattern && kept.zone === zone) last = kept.last;
  else deal(clock.now());
  look();
  return {
    ready: Promise.resolve(),
    stop: () => {
      clearTimeout(timer);
      return Promise.resolve();
    },
  };
}

/** From 0 to 1, the same for the same text: after a restart a due time is told when it would have been without. */
function share(text: string): number {
  return createHash("sha256").update(text).digest().readUInt32BE() / 2 ** 32;
}
