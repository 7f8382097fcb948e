/**
 * The agent's configuration file: where it is, and how it is read.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type AgentConfig, loadAgentConfig } from "@needfire/shared/config";
import { NeedfireError, systemCode } from "@needfire/shared/errors";
import { problemText } from "@needfire/shared/yaml-file";

export const defaultConfigFile = "/etc/needfire/agent.yaml";

/** Throws `CONFIG_INVALID` with every problem and its place. */
export function readConfig(configFile: string): AgentConfig {
  try {
    return parseConfig(configFile, readFileSync(configFile, "utf8"));
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
    throw new NeedfireError(
      "CONFIG_INVALID",
      `there is no ${configFile}: make one with \`needfire agent join JOIN-STRING\`, or name another with --config`,
    );
  }
}

/** Paths in it are relative to its own folder. */
export function parseConfig(configFile: string, text: string): AgentConfig {
  const folder = dirname(resolve(configFile));
  const loaded = loadAgentConfig(configFile, text, (path) => resolve(folder, path));
  if (!loaded.ok) throw new NeedfireError("CONFIG_INVALID", loaded.problems.map(problemText).join("\n"));
  return loaded.config;
}
