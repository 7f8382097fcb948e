/**
 * Services of OpenRC, of runit, and of scripts in /etc/init.d, by the programs that each init has for it. Whether it worked is read from
 * the service's own state afterwards. None of them knows masks, and what starts at boot is kept in ways that this leaves alone.
 */
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { lookAtService, servicesDirectory } from "../beacons/process/service-polled.ts";
import type { UnitState } from "../beacons/process/service-watch.ts";
import type { Init } from "../init.ts";
import { failed, refused, would } from "./action.ts";
import { type AskOptions, askProgram } from "./on-host.ts";
import type { ServiceEnding, ServiceWish, Verb } from "./service-wish.ts";

type Scripted = Exclude<Init, "systemd">;
type Running = "start" | "stop" | "restart" | "reload";

const programs: Record<Scripted, (verb: Running, at: { unit: string; path: string; seconds: number }) => [string, ...string[]]> = {
  openrc: (verb, { unit }) => ["rc-service", "--nocolor", unit, verb],
  // `reload` is a signal, which waits for nothing; the others wait so long, and say that it was in vain.
  runit: (verb, { path, seconds }) => (verb === "reload" ? ["sv", "reload", path] : ["sv", "-w", String(seconds), verb, path]),
  sysv: (verb, { path }) => [path, verb],
};

const runningVerbs: Partial<Record<Verb, Running>> = { start: "start", stop: "stop", restart: "restart", reload: "reload" };

/** How long after its program a service may need until it is what was asked for. */
const settleMsMax = 5_000;
const lookMs = 50;

export async function askScripts({ verb, unit, timeoutMs, host, context }: ServiceWish, init: Scripted): Promise<ServiceEnding> {
  const { signal, dryRun } = context;
  const running = runningVerbs[verb];
  if (running === undefined) return refused(`service.${verb} needs systemd; here services are run by ${init}`);
  const path = join(servicesDirectory(init, host.root), unit);
  const look = () => lookAtService(unit, { init, root: host.root, signal });
  const before = await look();
  if (before === undefined) return failed(`${unit} does not say whether it runs`);
  if (before.details.state === "not-found") return failed(`there is no service ${unit} on this host`);
  const runs = before.verdict === "runs";
  const unchanged = { unit, init, before: { state: before.details.state }, after: { state: before.details.state } };
  if ((running === "start" && runs) || (running === "stop" && before.verdict === "stopped" && before.returns !== true))
    return { outcome: "succeeded", changed: false, result: unchanged };
  if (running === "reload" && !runs) return { outcome: "failed", changed: false, message: `${unit} does not run`, result: unchanged };
  if (dryRun) return would(`${verb} ${unit}, which is ${before.details.state}`);
  const ask: AskOptions = { host, signal, timeoutMs: timeoutMs + 2_000 };
  if (init === "openrc" && before.details.state === "crashed") await forgetCrash(unit, ask);
  const seconds = Math.max(1, Math.ceil(timeoutMs / 1_000));
  const { problem } = await askProgram(programs[init](running, { unit, path, seconds }), ask);
  const until = problem === undefined ? performance.now() + Math.min(timeoutMs, settleMsMax) : 0;
  // `sv` takes a service that was started within the same second for one that it has restarted.
  const lifeBefore = init === "runit" && running === "restart" && runs ? before.life : undefined;
  const isAsWished = (state: UnitState | undefined) =>
    state === undefined || ((state.verdict === "runs") === (running !== "stop") && (lifeBefore === undefined || state.life !== lifeBefore));
  let after = await look();
  // An init may have taken the wish, and be about to fulfil it.
  while (!isAsWished(after) && performance.now() < until && !signal.aborted) {
    await wait(lookMs);
    after = await look();
  }
  const result = { unit, init, before: { state: before.details.state }, after: { state: after?.details.state ?? "unknown" } };
  if (problem !== undefined) return { outcome: "failed", changed: true, message: problem, result };
  if (isAsWished(after)) return { outcome: "succeeded", changed: true, result };
  return { outcome: "failed", changed: true, message: `${unit} was to ${running}, and is ${result.after.state}`, result };
}

/**
 * A service whose daemon has died is started for OpenRC, and is not started again. It is stopped, so that it tidies up; where that fails, since there
 * is nothing to be ended, only its record is taken back.
 */
async function forgetCrash(unit: string, ask: AskOptions): Promise<void> {
  const { problem } = await askProgram(["rc-service", "--nocolor", unit, "stop"], ask);
  if (problem !== undefined) await askProgram(["rc-service", "--nocolor", unit, "zap"], ask);
}
