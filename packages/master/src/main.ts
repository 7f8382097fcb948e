/**
 * The master as a process: configuration, log, signals. SIGTERM and SIGINT stop it cleanly, SIGHUP reads its definitions again.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import pino from "pino";
import { loadMasterConfig, type MasterConfig } from "@needfire/shared/config";
import { errorText, NeedfireError, systemCode } from "@needfire/shared/errors";
import { problemText } from "@needfire/shared/yaml-file";
import { startMaster } from "./master.ts";

const defaultConfigFile = "/etc/needfire/master.yaml";

/** Runs until a signal stops it; resolves with the exit code. Throws `CONFIG_INVALID`, `ADDRESS_IN_USE`, `STATE_LOCKED`, `STATE_UNSAFE`. */
export async function runMaster({ configFile = defaultConfigFile }: { configFile?: string | undefined }): Promise<number> {
  const config = readConfig(configFile);
  let mask = (line: string) => line;
  const log = pino(
    { name: "needfire-master", level: config.log_level, hooks: { streamWrite: (line) => mask(line) } },
    pino.destination({ dest: 2, sync: true }),
  );
  const ending = Promise.withResolvers<number>();
  const master = await startMaster(config, log, (error) => {
    log.fatal({ error: errorText(error) }, "the master cannot go on");
    ending.resolve(1);
  });
  mask = (line) => `${master.maskShown(line.trimEnd())}\n`;
  const end = (signal: NodeJS.Signals) => {
    log.info({ signal }, "the master stops");
    ending.resolve(0);
  };
  const reload = () => {
    master.reload().catch((error: unknown) => log.error({ error: errorText(error) }, "the reload failed"));
  };
  // Not once: a second signal must not cut a clean stop short.
  process.on("SIGTERM", end).on("SIGINT", end).on("SIGHUP", reload);
  const code = await ending.promise;
  process.off("SIGHUP", reload);
  await master.stop();
  return code;
}

function readConfig(configFile: string): MasterConfig {
  let text: string;
  try {
    text = readFileSync(configFile, "utf8");
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
    throw new NeedfireError(
      "CONFIG_INVALID",
      `there is no ${configFile}: write one (docs/reference/config.md), or name another with --config`,
    );
  }
  const folder = dirname(resolve(configFile));
  const loaded = loadMasterConfig(configFile, text, (path) => resolve(folder, path));
  if (!loaded.ok) throw new NeedfireError("CONFIG_INVALID", loaded.problems.map(problemText).join("\n"));
  return loaded.config;
}
