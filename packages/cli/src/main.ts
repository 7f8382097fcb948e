/**
 * The `needfire` program: its commands, its exit codes and how its errors look. Loads the one command file that is asked for, and
 * nothing heavy before that, so that it starts at once.
 */
import { Command, CommanderError } from "commander";
import { errorText, NeedfireError, systemCode } from "@needfire/shared/errors";
import manifest from "../package.json" with { type: "json" };
import { exit, type ExitCode, type Register, Session } from "./session.ts";
import { visible } from "./text.ts";

interface Group {
  summary: string;
  load: () => Promise<{ register: Register }>;
}

const groups: Record<string, Group> = {
  master: { summary: "run a master", load: () => import("./commands/master.ts") },
  agent: { summary: "run an agent, or join this host to a master", load: () => import("./commands/agent.ts") },
  status: { summary: "show how the master is doing", load: () => import("./commands/status.ts") },
  keys: { summary: "decide which agents may speak: list, accept, reject, revoke, tokens", load: () => import("./commands/keys.ts") },
  agents: { summary: "the hosts: list, show, maintenance", load: () => import("./commands/agents.ts") },
  events: { summary: "what happened: list, watch, show, send", load: () => import("./commands/events.ts") },
  beacons: { summary: "what is watched: types, list, check, test, tail", load: () => import("./commands/beacons.ts") },
  reactors: { summary: "the rules: list, show, explain, new, check, test, replay, rollback", load: () => import("./commands/reactors.ts") },
  actions: { summary: "what can be done about it: list, show", load: () => import("./commands/actions.ts") },
  silence: { summary: "hold firings back for a while: add, list, remove", load: () => import("./commands/silence.ts") },
  breakers: { summary: "remedies that are not tried any more: list, reset", load: () => import("./commands/breakers.ts") },
  run: { summary: "run a program on many hosts, by hand", load: () => import("./commands/run.ts") },
  do: { summary: "do an action on many hosts, by hand", load: () => import("./commands/do.ts") },
  tasks: {
    summary: "what was done about it: list, show, watch, cancel, keep, retry, comment, approve, deny",
    load: () => import("./commands/tasks.ts"),
  },
  rollouts: { summary: "what goes to many hosts: list, show, pause, resume, cancel, retry", load: () => import("./commands/rollouts.ts") },
  reload: { summary: "make the master read its reactors, beacons and files again", load: () => import("./commands/reload.ts") },
};

const footer = `
Start here:
  $ needfire status                  # how the master is doing
  $ needfire events watch            # follow what happens
  $ needfire events list --since 1h  # what happened in the last hour
  $ needfire help events             # what else there is; every --help has examples

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the master cannot be reached.
NEEDFIRE_MASTER names the master's socket; NO_COLOR turns colours off.
Times are local; in --json they are UTC.
`;

export async function main(words: readonly string[]): Promise<void> {
  process.stdout.on("error", endOnClosedPipe);
  process.stderr.on("error", endOnClosedPipe);
  process.exitCode = await run(words);
}

async function run(words: readonly string[]): Promise<number> {
  const wanted = words[0] === "help" ? [...words.slice(1), "--help"] : [...words];
  const asked = newProgram(false).parseOptions(wanted).operands[0];
  // Commands may have a --version of their own, of something else.
  const program = newProgram(asked === undefined);
  const session = new Session(program);
  try {
    await registerGroups(program, session, asked);
    await program.parseAsync(wanted, { from: "user" });
    return session.exitCode;
  } catch (error) {
    return explain(error);
  }
}

function newProgram(tellsVersion: boolean): Command {
  const program = new Command("needfire");
  if (tellsVersion) program.version(manifest.version, "-V, --version", "print the version");
  return program
    .description("Needfire: agents light a beacon when something changes on a host, and the master answers with a remedy.")
    .option("--json", "print JSON: lists as one object a line")
    .option("--master <socket>", "the unix socket of the master's API")
    .helpOption("-h, --help", "print help, with examples")
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true, visibleGlobalOptions: () => program.options.filter(({ long }) => long !== "--version") })
    .addHelpText("after", footer.trimEnd())
    .exitOverride();
}

/** Only the asked group is loaded; the others stand there with name and summary, for the help and for suggestions. */
async function registerGroups(program: Command, session: Session, asked: string | undefined): Promise<void> {
  for (const [name, { summary, load }] of Object.entries(groups)) {
    const group = program
      .command(name)
      .description(`${summary[0]!.toUpperCase()}${summary.slice(1)}.`)
      .summary(summary)
      .helpCommand(false);
    if (name === asked) (await load()).register(group, session);
  }
}

function explain(error: unknown): ExitCode {
  // Commander has said what is wrong; help that was asked for and the version are no failures.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exit.done : exit.usage;
  const lines = errorText(error instanceof NeedfireError ? error.message : error).split("\n");
  process.stderr.write(`error: ${lines.map(visible).join("\n")}\n`);
  if (process.env["NEEDFIRE_DEBUG"] === "1" && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return error instanceof NeedfireError ? (exitCodes[error.code] ?? exit.failed) : exit.failed;
}

const exitCodes: Partial<Record<NeedfireError["code"], ExitCode>> = {
  MASTER_UNREACHABLE: exit.unreachable,
  BAD_REQUEST: exit.usage,
  EXPRESSION_INVALID: exit.usage,
  JOIN_STRING_INVALID: exit.usage,
};

/** `| head` has read enough: that is an end like any other. */
function endOnClosedPipe(error: Error): void {
  if (systemCode(error) === "EPIPE") process.exit();
  throw error;
}
