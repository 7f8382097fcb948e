/** `needfire do`: an action on many hosts, by hand. */
import type { Command } from "commander";
import { actions, isActionName } from "@needfire/shared/action";
import { isOwnActionName } from "@needfire/shared/own-action-name";
import { argumentsOf } from "../hand/arguments.ts";
import { carryOut, orderOptions, type OrderOptions } from "../hand/order.ts";
import { jsonObject } from "../options.ts";
import { commandLine } from "@needfire/shared/command-line";
import { examples, type Session } from "../session.ts";

export function register(command: Command, session: Session): void {
  orderOptions(command)
    .description(
      "Do an action on the hosts that a target means, and show what each of them said. Values are read as the action's arguments want them (needfire actions show ACTION): a list by giving its key again, or as JSON.",
    )
    .argument(
      "<target>",
      "a glob on agents' ids ('web*'), some of them (web1,web2), or CEL ('agent.labels.role == \"web\"'); or master, for what is done there and is about no host",
    )
    .argument("<action>", "what is done there, such as service.restart; what runs on the master is done once for each host")
    .argument("[key=value...]", "its arguments")
    .option("--args <json>", "arguments as a JSON object; key=value adds to them", jsonObject)
    .addHelpText(
      "after",
      examples(
        ["needfire do 'web*' service.reload name=nginx --batch 2", "two hosts at a time"],
        ["needfire do web1 package.upgrade packages=openssl packages=libssl3 --dry-run", "a list; and only say what would be done"],
        ["needfire do web1 local.restart-app instance=blue", "an action of your own"],
        ["needfire do master master.scale count=3 --dry-run", "one of the master's"],
        ['needfire do web1 file.write --args \'{"path": "/etc/motd", "content": "hello\\n"}\'', "arguments as JSON"],
      ),
    )
    .action(
      session.run(
        async (
          target: string,
          action: string,
          words: string[],
          { args: given, ...options }: OrderOptions & { args?: Record<string, unknown> },
        ) => {
          const shown = [action, ...(given === undefined ? [] : [JSON.stringify(given)]), commandLine(words)].join(" ").trimEnd();
          const schema = await schemaOf(session, action);
          return carryOut(session, { target, action, args: argumentsOf(words, schema, given), shown, options });
        },
      ),
    );
}

/** What is not known here the master refuses, and says why. */
async function schemaOf({ master }: Session, action: string): Promise<object | undefined> {
  if (isActionName(action)) return actions[action].args;
  if (!isOwnActionName(action)) return undefined;
  const known = await master.actions();
  return known.actions.find((each) => each.action === action)?.args;
}
