/** `needfire master`: is the master's process. */
import type { Command } from "commander";
import { examples, type Session } from "../session.ts";
import { loadMaster } from "./daemons.ts";

export function register(master: Command, session: Session): void {
  master
    .description("Run a master in the foreground. SIGTERM stops it, SIGHUP makes it read its reactors, beacons and files again.")
    .option("-c, --config <file>", "its configuration (default: /etc/needfire/master.yaml)")
    .addHelpText(
      "after",
      examples(
        ["needfire master", "with /etc/needfire/master.yaml"],
        ["needfire master --config ./master.yaml", "with another configuration"],
      ),
    )
    .action(
      session.run(async ({ config }: { config?: string }) => {
        const { runMaster } = await loadMaster();
        return runMaster(config === undefined ? {} : { configFile: config });
      }),
    );
}
