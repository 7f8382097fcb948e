/**
 * The agent as a process: configuration, log, signals. SIGTERM and SIGINT stop it cleanly, SIGHUP reads the policy and local beacons again.
 */
import pino from "pino";
import { errorText } from "@needfire/shared/errors";
import { type RunningAgent, startAgent } from "./agent.ts";
import { defaultConfigFile, readConfig } from "./config-file.ts";

export { joinAgent } from "./join.ts";
export { tryBeacon } from "./try-beacon.ts";

/** Runs until a signal stops it; resolves with the exit code. Throws `CONFIG_INVALID`, `STATE_LOCKED`, `STATE_UNSAFE`. */
export async function runAgent({ configFile = defaultConfigFile }: { configFile?: string | undefined }): Promise<number> {
  const config = readConfig(configFile);
  const log = pino({ name: "needfire-agent", level: config.log_level }, pino.destination({ dest: 2, sync: true }));
  const agent = await startAgent(config, log);
  const reload = () => {
    reread(configFile, agent).catch((error: unknown) =>
      log.error({ error: errorText(error) }, "the reload failed: what was in force stays"),
    );
  };
  process.on("SIGHUP", reload);
  process.on("uncaughtException", (error) => {
    // A beacon's error is that beacon's failure; any other ends the process, as it would without this.
    if (agent.takeUncaught(error)) return;
    log.fatal({ err: error }, "an error that nobody caught");
    process.exit(1);
  });
  const signal = await stopSignal();
  log.info({ signal }, "the agent stops");
  process.off("SIGHUP", reload);
  await agent.stop();
  return 0;
}

async function reread(configFile: string, agent: RunningAgent): Promise<void> {
  await agent.reload(readConfig(configFile).policy);
}

function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((done) => {
    // Not once: a second signal must not cut a clean stop short.
    process.on("SIGTERM", done);
    process.on("SIGINT", done);
  });
}
