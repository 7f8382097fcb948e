/**
 * The `exec` beacon: runs a program every `interval`, one run at a time, and tells the state that its exit code means when that changes, or each
 * JSON object that it prints. It never reads a meaning into the text.
 */
import type { CheckData, CheckState } from "@needfire/shared/beacons/exec";
import { durationMs } from "@needfire/shared/duration";
import { environment, type Ran, runProgram } from "@needfire/shared/host/program";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { jsonLines } from "./exec-lines.ts";
import { cut, parsePlugin, type PluginOutput, stateOf } from "./exec-plugin.ts";
import { type CheckLevel, stepCheck } from "./exec-state.ts";
import { type Look, polled } from "../polled.ts";

const subjectCharactersMax = 1_000;

type Definition = DefinitionOf<"exec">;
type Ended = Extract<Ran, { kind: "ended" }>;

export function start(definition: Definition, context: BeaconContext): RunningBeacon {
  const judge = definition.output === "plugin" ? new Check(definition, context) : new Lines(definition, context);
  const running = polled(
    context,
    // A command of any kind may have mended or broken what is checked: then it is run again at once, and the command is the cause.
    { interval: definition.interval, topic: "check", ...("restate" in judge ? { restate: () => judge.restate() } : {}) },
    async (look) => {
      const ran = await run(definition, context);
      if (!context.signal.aborted) judge.take(ran, look);
    },
  );
  // A run may take an hour, and nobody should wait for the first.
  return { ...running, ready: Promise.resolve() };
}

function run({ argv, env, cwd, user, timeout, output_bytes_max }: Definition, { managed, signal }: BeaconContext): Promise<Ran> {
  const account = user === undefined ? undefined : managed.accounts.account(user);
  if (user !== undefined && account === undefined) throw new Error(`there is no user "${user}" on this host`);
  if (account !== undefined && process.getuid?.() !== 0 && account.uid !== process.getuid?.())
    throw new Error(`cannot run ${argv[0]} as ${user}: the agent does not run as root`);
  const as = account === undefined || account.uid === process.getuid?.() ? {} : { as: { uid: account.uid, gid: account.gid } };
  const limits = { timeoutMs: durationMs(timeout), outputBytesMax: output_bytes_max };
  return runProgram({ argv, cwd, env: environment(env, account?.home), ...limits, signal, ...as });
}

class Check {
  readonly #definition: Definition;
  readonly #context: BeaconContext;
  #level: CheckLevel;
  #again = false;

  constructor(definition: Definition, context: BeaconContext) {
    this.#definition = definition;
    this.#context = context;
    const told = context.memory.take().get("told") as CheckState | undefined;
    this.#level = { told, wrong: told === undefined || told === "ok" ? 0 : definition.attempts };
  }

  take(ran: Ran, look: Look): void {
    const { name, attempts, severities } = this.#definition;
    const isSound = ran.kind === "ended" && !ran.timedOut && ran.exitCode !== null;
    const state = isSound ? stateOf(ran.exitCode) : "unknown";
    const before = this.#level;
    const { level, tell } = stepCheck(before, state, attempts);
    this.#level = level;
    const again = this.#again && level.told !== "ok";
    this.#again = false;
    if (tell || again) {
      const data = { ...this.#data(ran, level), state, before: before.told ?? null } satisfies CheckData;
      const severity = severities[state];
      const event = { type: `check.${state}`, subject: name, ...(severity === undefined ? {} : { severity }), ...look.cause(name) };
      this.#context.emit({ ...event, data });
    }
    if (level.told !== before.told) this.#context.memory.set("told", level.told);
  }

  /** What is wrong is told again with the next run. */
  restate(): void {
    this.#again = this.#level.told !== undefined && this.#level.told !== "ok";
  }

  #data(ran: Ran, { wrong }: CheckLevel): Omit<CheckData, "state" | "before"> {
    if (ran.kind === "not_started")
      return { ...{ exit_code: null, attempts: wrong, duration_ms: 0 }, output: ran.message, performance: {} };
    return {
      ...{ exit_code: ran.exitCode, attempts: wrong, duration_ms: Math.round(ran.durationMs * 10) / 10 },
      ...this.#said(ran),
    };
  }

  /** What it says itself; why it could not, when it was ended; and what it complains of when it prints nothing. */
  #said(ran: Ended): PluginOutput {
    const said = parsePlugin(ran.stdout.text);
    const trouble = troubleOf(ran, this.#definition.timeout);
    if (trouble !== undefined) return { ...said, output: trouble, ...(said.output === "" ? {} : { long_output: said.output }) };
    return said.output === "" ? { ...said, output: parsePlugin(ran.stderr.text.replaceAll("|", " ")).output } : said;
  }
}

class Lines {
  readonly #definition: Definition;
  readonly #context: BeaconContext;

  constructor(definition: Definition, context: BeaconContext) {
    this.#definition = definition;
    this.#context = context;
  }

  take(ran: Ran, look: Look): void {
    const { name, event, subject, timeout } = this.#definition;
    const { objects, problem } = ran.kind === "ended" ? jsonLines(ran.stdout) : { objects: [], problem: ran.message };
    for (const data of objects) {
      const about = subject === undefined ? name : (data[subject] ?? name);
      const text = typeof about === "object" ? name : cut(String(about), subjectCharactersMax);
      this.#context.emit({ type: event, subject: text, ...look.cause(name), data });
    }
    const trouble = ran.kind === "ended" ? (troubleOf(ran, timeout) ?? failureOf(ran)) : undefined;
    this.#context.degraded(trouble ?? problem);
  }
}

/** Why a program did not end by itself. */
function troubleOf({ timedOut, endedBy, exitCode }: Ended, timeout: string): string | undefined {
  const how = endedBy === null ? `exited with ${exitCode}` : `was ended by ${endedBy}`;
  if (timedOut) return `took longer than ${timeout} and ${how}`;
  return exitCode === null ? how : undefined;
}

function failureOf({ exitCode, stderr }: Ended): string | undefined {
  if (exitCode === 0) return undefined;
  const said = parsePlugin(stderr.text.replaceAll("|", " ")).output;
  return `exited with ${exitCode}${said === "" ? "" : `: ${said}`}`;
}
