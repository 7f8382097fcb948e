/** `needfire run`: a program on many hosts, by hand. */
import type { Command } from "commander";
import { carryOut, orderOptions, type OrderOptions } from "../hand/order.ts";
import { commandLine } from "@needfire/shared/command-line";
import { examples, type Session } from "../session.ts";

export function register(run: Command, session: Session): void {
  orderOptions(run)
    .usage("[options] <target> -- <program> [argument...]")
    .description(
      "Run a program on the hosts that a target means, and show what each of them said. Its arguments reach it as they are: no shell looks at them. A host whose policy does not allow the program refuses it.",
    )
    .argument("<target>", "a glob on agents' ids ('web*'), some of them (web1,web2), or CEL ('agent.labels.role == \"web\"')")
    .argument("<argv...>", "the program and its arguments, after --")
    .showHelpAfterError("(What belongs to the program stands after --: needfire run TARGET -- ls -l)")
    .addHelpText(
      "after",
      examples(
        ["needfire run 'web*' -- uptime", "on all of them at once"],
        ["needfire run 'agent.labels.role == \"web\"' --batch 10% -- systemctl reload nginx", "by label, a tenth of them at a time"],
        ["needfire run web1 -- sh -c 'df -h | grep srv'", "with a shell, where you want one"],
        ["needfire run '*' --json -- uname -r | jq -r 'select(.kind == \"host\") | [.agent, .result.stdout] | @tsv'", "in a script"],
      ),
    )
    .action(
      session.run((target: string, argv: string[], options: OrderOptions) => {
        // The program's own time is the host's: it is ended on the host, and not merely waited for no longer.
        const timeout = `${Math.ceil(options.timeout / 1_000)}s`;
        return carryOut(session, { target, action: "command.run", args: { argv, timeout }, shown: commandLine(argv), options });
      }),
    );
}
