/**
 * The two configuration files, with every default in its schema. Paths in them are relative to the file that they stand in.
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { durationPattern } from "./duration.ts";
import { agentIdPattern } from "./ids.ts";
import { commandPatternsSchema, policySchema } from "./policy.ts";
import { type Checked, checker, problemsText } from "./schema.ts";
import { checkDocument, parseYaml, type Problem } from "./yaml-file.ts";

const duration = { type: "string", pattern: durationPattern } as const;
const paths = { type: "array", items: { type: "string", minLength: 1 }, maxItems: 1_000 } as const;
const logLevel = { enum: ["trace", "debug", "info", "warn", "error"], default: "info" } as const;

const enrolments = ["manual", "token", "closed"] as const;

export const masterConfigSchema = {
  type: "object",
  properties: {
    state: { type: "string", default: "/var/lib/needfire/master", description: "the directory of keys, journal and store" },
    listen: {
      type: "string",
      pattern: "^tcp://",
      default: "tcp://*:4510",
      description: "where agents connect, such as tcp://*:4510; port * takes any free one",
    },
    advertise: {
      type: "string",
      pattern: "^[^/\\s]+:[0-9]+$",
      description: "host:port for join strings; default: the host's name and the port bound",
    },
    socket: { type: "string", default: "/run/needfire/master.sock", description: "the API's unix socket, mode 0660" },
    enrolment: {
      enum: enrolments,
      default: "manual",
      description:
        "what happens to unknown keys: wait for `needfire keys accept` (manual); need a token (token); are turned away unread (closed). A good token is taken in manual, too",
    },
    pending_max: { type: "integer", minimum: 0, maximum: 1_000_000, default: 1_000, description: "how many unknown keys may wait" },
    reactors: { ...paths, default: ["/etc/needfire/reactors"], description: "files, and directories whose *.yaml files are read" },
    router: {
      type: "string",
      minLength: 1,
      description: "the rules that give events their priority, owner and labels; default: the priority is the event's severity",
    },
    beacons: { ...paths, default: ["/etc/needfire/beacons"] },
    actions: {
      type: "string",
      minLength: 1,
      default: "/etc/needfire/actions",
      description: "the folder of actions of your own, one file each: those of the master, and copies of those of the hosts",
    },
    files: { type: "string", description: "the map of managed files" },
    files_root: { type: "string", default: "/etc/needfire/files", description: "the directory that holds their sources" },
    heartbeat: { ...duration, default: "5s", description: "how often agents say that they are there" },
    credit_events: {
      type: "integer",
      minimum: 1,
      maximum: 1_000_000,
      default: 2_000,
      description: "events of one agent that may be on their way unacknowledged",
    },
    commands_local: {
      ...commandPatternsSchema,
      description: "what `command.local` may run on this host: any; or patterns of command lines, as in an agent's policy",
    },
    commands_local_env: {
      type: "array",
      items: { type: "string", minLength: 1, maxLength: 256 },
      maxItems: 1_000,
      default: [],
      description: "variables that commands allowed by a pattern may be given",
    },
    execution_expires: { ...duration, default: "1h", description: "how long a command waits for its host, its turn and its result" },
    undo_guard: {
      ...duration,
      default: "5m",
      description:
        "while a remedy with `undo: { after: ... }` is tried, its host takes it back by itself when it has heard nothing for that `after`, and for at least so long (1s at the least): a restart of the master must not take longer",
    },
    commands_max: {
      type: "integer",
      minimum: 1,
      maximum: 1_000_000,
      default: 20_000,
      description: "commands that may be with all connected hosts at once; the others wait for their turn, but for the critical",
    },
    commands_per_agent_max: {
      type: "integer",
      minimum: 1,
      maximum: 10_000,
      default: 500,
      description:
        "commands that may be with one host at once, running or in its queue; the others wait for their turn, but for the critical",
    },
    rises_after: {
      ...duration,
      default: "5m",
      description:
        "what has waited for so long stands where something new of the next higher priority does (low, normal, high), for a command's turn and for a lock; only what is critical is always before it",
    },
    memory_max: {
      type: "integer",
      minimum: 134_217_728,
      description:
        "bytes of resident memory beyond which all connections are dropped, since a peer fills it; default: half of the machine's memory",
    },
    handshake_timeout: { ...duration, default: "5s", description: "a connection that has not shown a key by then is dropped" },
    journal_keep: {
      ...duration,
      default: "30d",
      description: "how long events are kept, counted from when they came; they go by the day, or by `journal_partition_events`",
    },
    journal_bytes_max: {
      type: "integer",
      minimum: 10_000_000,
      default: 50_000_000_000,
      description: "what the journal may take on the disk; beyond it the oldest events go before their time",
    },
    journal_partition_events: {
      type: "integer",
      minimum: 10,
      maximum: 1_000_000,
      default: 100_000,
      description: "events after which a part of the journal is closed, becomes a file with indexes of its own, and later goes as a whole",
    },
    synchronous: {
      enum: ["FULL", "NORMAL"],
      default: "FULL",
      description: "SQLite's durability: NORMAL may lose the last transactions at a power cut",
    },
    log_level: logLevel,
  },
  additionalProperties: false,
} as const satisfies JSONSchema;
export type MasterConfig = FromSchema<typeof masterConfigSchema>;

export const agentConfigSchema = {
  type: "object",
  properties: {
    id: {
      type: "string",
      pattern: agentIdPattern,
      description: "an agent id: lower-case letters, digits, . _ and -, at most 63; default: the host's name",
    },
    master: {
      type: "object",
      properties: {
        address: { type: "string", pattern: "^[^/\\s]+:[0-9]+$", description: "host:port of the master" },
        key: { type: "string", pattern: "^[A-Za-z0-9_-]{43}$", description: "the master's public key in base64url, as in the join string" },
      },
      required: ["address", "key"],
      additionalProperties: false,
    },
    state: { type: "string", default: "/var/lib/needfire/agent", description: "the directory of keys, spool and managed content" },
    labels: {
      type: "object",
      additionalProperties: { type: "string", maxLength: 1_000 },
      default: {},
      description: "labels of this host; those that the master's operator gives win",
    },
    beacons: { ...paths, default: ["/etc/needfire/agent-beacons"], description: "local beacon definitions, beside those from the master" },
    actions: {
      type: "string",
      minLength: 1,
      default: "/etc/needfire/actions",
      description: "the folder of actions of your own, one file each",
    },
    reconnect_min: { ...duration, default: "100ms" },
    reconnect_max: { ...duration, default: "30s" },
    spool_bytes_max: {
      type: "integer",
      minimum: 65_536,
      default: 268_435_456,
      description: "events waiting for the master may take this many bytes; beyond it the oldest of the lowest severity are shed",
    },
    spool_age_max: { ...duration, default: "7d", description: "events that waited for longer are shed" },
    cpu_budget_percent: {
      type: "number",
      exclusiveMinimum: 0,
      default: 10,
      description: "of one core: while the agent takes more, its beacons look less often, and `beacon.slowed` says so",
    },
    memory_budget_bytes: {
      type: "integer",
      minimum: 67_108_864,
      default: 268_435_456,
      description: "resident memory; beyond it the beacons look less often, too",
    },
    policy: { ...policySchema, default: {}, description: "what this host obeys; deny wins over allow; SIGHUP reads it again" },
    executions_max: { type: "integer", minimum: 1, maximum: 1_000, default: 8, description: "commands that run side by side" },
    synchronous: { enum: ["FULL", "NORMAL"], default: "FULL" },
    log_level: logLevel,
  },
  required: ["master"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type AgentConfig = FromSchema<typeof agentConfigSchema>;

const checkMaster = checker(masterConfigSchema);
const checkAgent = checker(agentConfigSchema);

export type Loaded<T> = { ok: true; config: T } | { ok: false; problems: Problem[] };

/** `resolve` makes a path of the file absolute; the caller knows where the file lies. */
export function loadMasterConfig(file: string, text: string, resolve: (path: string) => string): Loaded<MasterConfig> {
  const loaded = load(file, text, checkMaster);
  if (!loaded.ok) return loaded;
  const { config } = loaded;
  return {
    ok: true,
    config: {
      ...config,
      state: resolve(config.state),
      socket: resolve(config.socket),
      reactors: config.reactors.map(resolve),
      beacons: config.beacons.map(resolve),
      actions: resolve(config.actions),
      files_root: resolve(config.files_root),
      ...(config.router === undefined ? {} : { router: resolve(config.router) }),
      ...(config.files === undefined ? {} : { files: resolve(config.files) }),
    },
  };
}

export function loadAgentConfig(file: string, text: string, resolve: (path: string) => string): Loaded<AgentConfig> {
  const loaded = load(file, text, checkAgent);
  if (!loaded.ok) return loaded;
  const { config } = loaded;
  return {
    ok: true,
    config: { ...config, state: resolve(config.state), actions: resolve(config.actions), beacons: config.beacons.map(resolve) },
  };
}

function load<T>(file: string, text: string, check: (value: unknown) => Checked<T>): Loaded<T> {
  const parsed = parseYaml(file, text);
  if (!parsed.ok) return parsed;
  const [document, second] = parsed.documents;
  if (second !== undefined)
    return { ok: false, problems: [second.problemAt([], "a configuration is one YAML document, this is a second one")] };
  if (document === undefined) {
    const checked = check({});
    if (checked.ok) return { ok: true, config: checked.value };
    return { ok: false, problems: [{ file, line: 1, column: 1, message: problemsText(checked.problems) }] };
  }
  const checked = checkDocument(document, check);
  return checked.ok ? { ok: true, config: checked.value } : checked;
}
