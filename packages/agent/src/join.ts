/**
 * Joining: writes the configuration of a new agent, makes its keys, and greets the master once, so that the operator sees at once how
 * it stands. Watches nothing and runs nothing: that begins when the agent is started.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import pino from "pino";
import { systemClock } from "@needfire/shared/clock";
import type { AgentConfig } from "@needfire/shared/config";
import { durationMs } from "@needfire/shared/duration";
import { fingerprint, type KeyPair, parseJoinString, rawKey, z85Encode } from "@needfire/shared/identity";
import type { Policy } from "@needfire/shared/policy";
import { setYamlKeys } from "@needfire/shared/yaml-edit";
import { agentId, agentKeys } from "./agent.ts";
import { defaultConfigFile, parseConfig } from "./config-file.ts";
import { readJoinToken, removeJoinToken, writeJoinToken } from "./join-token.ts";
import { Link, type LinkState } from "./link.ts";
import { Spool } from "./spool.ts";

export interface JoinRequest {
  joinString: string;
  configFile?: string | undefined;
  id?: string | undefined;
  labels?: Record<string, string> | undefined;
  state?: string | undefined;
  /** The commands that the host's policy is to allow. */
  allowCommands?: Policy["allow"]["commands"] | undefined;
  /** How long to wait for the master's answer. */
  waitMs?: number | undefined;
}

export interface JoinAnswer {
  state: "accepted" | "pending" | "refused" | "unreachable";
  agent: string;
  fingerprint: string;
  masterFingerprint: string;
  configFile: string;
  message?: string;
}

/** An existing configuration keeps everything but the master that it names, and what is given here. Throws `JOIN_STRING_INVALID`, `CONFIG_INVALID`. */
export async function joinAgent(request: JoinRequest): Promise<JoinAnswer> {
  const { configFile = defaultConfigFile, waitMs = 10_000 } = request;
  const { address, masterKey, token } = parseJoinString(request.joinString);
  const settings = {
    master: { address, key: rawKey(masterKey).toString("base64url") },
    ...(request.id === undefined ? {} : { id: request.id }),
    ...(request.labels === undefined ? {} : { labels: request.labels }),
    ...(request.state === undefined ? {} : { state: resolve(request.state) }),
    ...(request.allowCommands === undefined ? {} : { "policy.allow.commands": request.allowCommands }),
  };
  const before = existsSync(configFile) ? readFileSync(configFile, "utf8") : "";
  mkdirSync(dirname(resolve(configFile)), { recursive: true });
  const text = setYamlKeys(before, settings);
  const config = parseConfig(configFile, text);
  agentId(config);
  writeFileSync(configFile, text, { mode: 0o644 });
  const keys = agentKeys(config);
  if (token !== undefined) writeJoinToken(config.state, token);
  const answer = await greet(config, keys, waitMs);
  return {
    agent: agentId(config),
    fingerprint: fingerprint(keys.publicKey),
    masterFingerprint: fingerprint(masterKey),
    configFile,
    ...answer,
  };
}

async function greet(config: AgentConfig, keys: KeyPair, waitMs: number): Promise<Pick<JoinAnswer, "state" | "message">> {
  const answered = Promise.withResolvers<Pick<JoinAnswer, "state" | "message">>();
  let lastReason = "no answer";
  const onState = (state: LinkState) => {
    if (state.state === "joined") answered.resolve({ state: "accepted" });
    if (state.state === "pending") answered.resolve({ state: "pending" });
    if (state.state === "refused") answered.resolve({ state: "refused", message: state.reason });
    if (state.state === "down") lastReason = state.reason;
  };
  const spool = Spool.open({
    file: join(config.state, "spool.db"),
    synchronous: config.synchronous,
    bytesMax: config.spool_bytes_max,
    ageMaxMs: durationMs(config.spool_age_max),
    clock: systemClock(),
  });
  const link = new Link({
    address: config.master.address,
    masterKey: z85Encode(Buffer.from(config.master.key, "base64url")),
    keys,
    agent: agentId(config),
    epoch: () => spool.epoch,
    token: readJoinToken(config.state),
    reconnectMinMs: 100,
    reconnectMaxMs: 1_000,
    log: pino({ level: "silent" }),
    onState,
    onMessage: () => {},
  });
  const stop = new AbortController();
  const running = link.run(stop.signal);
  const timer = setTimeout(() => answered.resolve({ state: "unreachable", message: lastReason }), waitMs);
  try {
    const answer = await answered.promise;
    if (answer.state === "accepted") removeJoinToken(config.state);
    return answer;
  } finally {
    clearTimeout(timer);
    stop.abort();
    await running;
    spool.close();
  }
}
