/** `needfire agent`: is the agent's process. `needfire agent join`: makes this host known to a master. */
import type { Command } from "commander";
import { agentIdPattern } from "@needfire/shared/ids";
import { duration, fitting, label } from "../options.ts";
import { examples, exit, type Session } from "../session.ts";
import { visible } from "../text.ts";
import { type JoinOutcome, loadAgent } from "./daemons.ts";

interface JoinOptions {
  id?: string;
  label?: Record<string, string>;
  config?: string;
  state?: string;
  allowCommands?: string[];
  wait?: number;
}

export function register(agent: Command, session: Session): void {
  agent
    .description(
      "Run an agent in the foreground, or join this host to a master. SIGTERM stops an agent, SIGHUP makes it read its policy and its local beacons again.",
    )
    .option("-c, --config <file>", "its configuration (default: /etc/needfire/agent.yaml)")
    .enablePositionalOptions()
    .allowExcessArguments()
    .addHelpText(
      "after",
      examples(
        ["needfire agent join 'needfire://...'", "once on a new host"],
        ["needfire agent", "run it, with /etc/needfire/agent.yaml"],
        ["needfire agent --config ./agent.yaml", "with another configuration"],
      ),
    )
    .action(
      session.run(async ({ config }: { config?: string }) => {
        const [excess] = agent.args;
        if (excess !== undefined) return agent.error(`error: unknown command '${visible(excess)}' (known: join)`);
        const { runAgent } = await loadAgent();
        return runAgent(config === undefined ? {} : { configFile: config });
      }),
    );
  agent
    .command("join")
    .summary("make this host known to a master, and write the agent's configuration")
    .description("Make this host known to a master: make its key pair, write its configuration, and ask to be accepted.")
    .argument("<join string>", "as `needfire keys token create` or `needfire status` prints it on the master; quote it")
    .option(
      "--id <id>",
      "the agent's id (default: the host's name)",
      fitting(agentIdPattern, "an agent id: lower-case letters, digits, . _ and -, at most 63"),
    )
    .option("--label <key=value>", "a label of this host; may be repeated", label)
    .option("-c, --config <file>", "the configuration to write (default: /etc/needfire/agent.yaml)")
    .option("--state <directory>", "where the agent keeps its keys and its spool")
    .option("--allow-commands <any|pattern...>", "the commands that this host obeys: any, or patterns such as 'systemctl reload *'")
    .option("--wait <duration>", "how long to wait for the master's answer, such as 30s", duration)
    .addHelpText(
      "after",
      examples(
        ["needfire agent join 'needfire://fire.example.org:4510/KEY?token=TOKEN'", "with a token: accepted at once"],
        ["needfire agent join 'needfire://fire.example.org:4510/KEY' --id web1", "without: somebody has to accept it"],
        ["needfire agent join 'needfire://...' --label role=web --label env=test", "with labels"],
        [
          "needfire agent join 'needfire://...' --allow-commands 'systemctl reload *' 'nginx -t'",
          "with commands that it may be told to run",
        ],
      ),
    )
    .action(
      session.run(async (joinString: string, { id, label: labels, config, state, allowCommands, wait }: JoinOptions) => {
        const configFile = config ?? agent.opts<{ config?: string }>().config;
        const { joinAgent } = await loadAgent();
        const outcome = await joinAgent({
          joinString,
          ...(configFile === undefined ? {} : { configFile }),
          ...(id === undefined ? {} : { id }),
          ...(labels === undefined ? {} : { labels }),
          ...(wait === undefined ? {} : { waitMs: wait }),
          ...(state === undefined ? {} : { state }),
          ...(allowCommands === undefined ? {} : { allowCommands: allowCommands.join(" ") === "any" ? "any" : allowCommands }),
        });
        tell(session, outcome);
        return joinExits[outcome.state];
      }),
    );
}

const joinExits = { accepted: exit.done, pending: exit.done, refused: exit.failed, unreachable: exit.unreachable } as const;

function tell({ out }: Session, outcome: JoinOutcome): void {
  if (out.json) return out.record(outcome);
  const { state, agent, fingerprint, masterFingerprint, configFile, message } = outcome;
  out.title(headlines[state](agent));
  out.fields([
    ["reason", message],
    ["this agent", fingerprint],
    ["its master", masterFingerprint],
    ["configuration", configFile],
  ]);
  out.line();
  for (const line of nextSteps[state](visible(agent), visible(configFile))) out.line(line);
}

const headlines: Record<JoinOutcome["state"], (agent: string) => string> = {
  accepted: (agent) => `${agent} is accepted.`,
  pending: (agent) => `${agent} waits for the master's operator.`,
  refused: (agent) => `The master refused ${agent}.`,
  unreachable: () => "The master does not answer.",
};

const nextSteps: Record<JoinOutcome["state"], (agent: string, configFile: string) => string[]> = {
  accepted: (_agent, configFile) => [
    "Compare the fingerprints with what `needfire keys list` shows on the master; then start the agent:",
    `  needfire agent --config ${configFile}    (installed as a service: systemctl enable --now needfire-agent)`,
  ],
  pending: (agent, configFile) => [
    "On the master: compare the fingerprints, then accept the key:",
    "  needfire keys list",
    `  needfire keys accept ${agent}`,
    "The agent may be started now; it goes on by itself when it is accepted:",
    `  needfire agent --config ${configFile}    (installed as a service: systemctl enable --now needfire-agent)`,
  ],
  refused: (agent) => [
    "A token is used up or expired, the key was rejected, the name is taken, or the master takes no new agents.",
    `On the master: \`needfire keys list\` shows what it knows of ${agent}, \`needfire keys token create\` makes a new join string.`,
  ],
  unreachable: () => [
    "Is the address in the join string right, is the master running, and does a firewall let its port through? Then join again.",
  ],
};
