/**
 * What an agent obeys, whatever its master says: which actions, on which paths, units, packages and users, and which commands. Pure.
 * What is not allowed is refused; what is denied is refused although it is allowed. Every refusal names the rule that it comes from (P5).
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { actions as specs, isActionName } from "./action.ts";
import type { BeaconDefinition } from "./beacon.ts";
import type { ActionSpec } from "./actions/spec.ts";
import { globMatcher } from "./glob.ts";
import { commandFits, commandText, type CommandPattern, commandPatternSchema, wildcardFits } from "./policy-command.ts";

const names = { type: "array", items: { type: "string", minLength: 1, maxLength: 4096 }, maxItems: 1_000 } as const;
const paths = { ...names, items: { ...names.items, title: "a glob of an absolute path", pattern: "^(/|\\*\\*)" } } as const;
const commands = { type: "array", items: commandPatternSchema, maxItems: 1_000 } as const;

/** Which commands are allowed. */
export const commandPatternsSchema = {
  anyOf: [{ const: "any" }, commands],
  title: "any, or a list of command lines",
  default: [],
} as const;

export const policySchema = {
  type: "object",
  properties: {
    allow: {
      type: "object",
      properties: {
        actions: { ...names, default: ["*"], description: "globs of actions, such as file.*" },
        paths: { ...paths, default: ["/**"], description: "globs of paths that actions may change" },
        commands: {
          ...commandPatternsSchema,
          description:
            'any; or patterns, word for word: * stands for what is in a word (and for no option), ** at the end for any further words; "sha256:DIGEST **" for a script',
        },
        env: { ...names, default: [], description: "variables that commands allowed by a pattern may be given" },
        users: { ...names, default: ["*"], description: "users that actions may change" },
        units: { ...names, default: ["*"], description: "services that actions may change" },
        packages: { ...names, default: ["*"], description: "packages that actions may change" },
      },
      default: {},
      additionalProperties: false,
    },
    deny: {
      type: "object",
      properties: {
        actions: { ...names, default: [] },
        paths: { ...paths, default: [], description: "with all that lies below" },
        commands: { ...commands, default: [], description: "a program without a slash is denied wherever it lies" },
        users: { ...names, default: [] },
        units: { ...names, default: [] },
        packages: { ...names, default: [] },
      },
      default: {},
      additionalProperties: false,
    },
    only: {
      type: "object",
      maxProperties: 100,
      additionalProperties: paths,
      default: {},
      description: "for the actions that a glob names, the only paths, of those allowed: disk.clean: [/var/tmp/**]",
    },
  },
  additionalProperties: false,
} as const satisfies JSONSchema;
export type Policy = FromSchema<typeof policySchema>;

/** Why an action with these arguments is refused; undefined: it is not. Its arguments were checked against its schema. */
export function refusal(policy: Policy, action: string, args: Readonly<Record<string, unknown>>): string | undefined {
  const spec: ActionSpec | undefined = isActionName(action) ? specs[action] : undefined;
  const reasons = [
    refusesAction(policy, action),
    ...Object.entries(spec?.judged ?? {}).flatMap(([name, list]) =>
      textsOf(args[name]).map((text) => (list === "paths" ? refusesPath(policy, action, text) : refusesName(policy, list, text))),
    ),
    spec?.command === undefined ? undefined : refusesCommand(policy, action, spec.command(args)),
  ];
  return reasons.find((reason) => reason !== undefined);
}

/** The same for a path that an action comes upon, by its true name: no link on the way, and no `..`. */
export function refusesPath({ allow, deny, only }: Policy, action: string, path: string): string | undefined {
  if (!isPlain(path)) return `policy: ${path} is not a plain absolute path`;
  const denied = deny.paths.find((glob) => globMatcher([glob, `${glob}/**`])(path));
  if (denied !== undefined) return `policy: deny.paths ${quoted(denied)} forbids ${path}`;
  if (!globMatcher(allow.paths)(path)) return `policy: allow.paths does not name ${path}`;
  const narrow = Object.entries(only).find(([glob, globs]) => globMatcher(glob)(action) && !globMatcher(globs)(path));
  return narrow && `policy: only ${quoted(narrow[0])} does not name ${path}`;
}

/** Why a beacon of the master's is refused: one that runs a program is a command like any other. */
export function refusesBeacon(policy: Policy, beacon: BeaconDefinition): string | undefined {
  return beacon.type === "exec"
    ? refusesCommand(policy, "a beacon of type exec", { argv: beacon.argv, env: Object.keys(beacon.env) })
    : undefined;
}

/** Whether commands are refused that nobody has allowed by name. */
export function refusesSomeCommands({ allow, deny }: Policy): boolean {
  return allow.commands !== "any" || deny.commands.length > 0;
}

function refusesAction({ allow, deny }: Policy, action: string): string | undefined {
  const denied = deny.actions.find((glob) => globMatcher(glob)(action));
  if (denied !== undefined) return `policy: deny.actions ${quoted(denied)} forbids ${action}`;
  return globMatcher(allow.actions)(action) ? undefined : `policy: allow.actions does not name ${action}`;
}

type Named = "users" | "units" | "packages";

/** One thing has several names: what is judged is the shortest. */
const shortest: Record<Named, (name: string) => string> = {
  users: (name) => name,
  units: (name) => name.replace(/\.service$/, ""),
  packages: (name) => name.replace(/[:=/].*$/s, ""),
};

/** The same for a user, a service or a package that an action comes upon. */
export function refusesName({ allow, deny }: Policy, list: Named, name: string): string | undefined {
  const fits = (pattern: string) => wildcardFits(shortest[list](pattern), shortest[list](name));
  const denied = deny[list].find(fits);
  if (denied !== undefined) return `policy: deny.${list} ${quoted(denied)} forbids ${name}`;
  return allow[list].some(fits) ? undefined : `policy: allow.${list} does not name ${name}`;
}

function refusesCommand(
  { allow, deny }: Policy,
  action: string,
  { argv, env }: ReturnType<NonNullable<ActionSpec["command"]>>,
): string | undefined {
  const denied = deny.commands.find((pattern) => commandFits(pattern, argv, "deny"));
  if (denied !== undefined) return `policy: deny.commands ${quoted(denied)} forbids ${commandText(argv)}`;
  const { commands, env: variables } = allow;
  return notAllowed(
    { action, argv, env },
    { commands, env: variables, at: { file: "this host's agent.yaml", commands: "allow.commands", env: "allow.env" } },
  );
}

export interface AllowedCommands {
  commands: "any" | readonly CommandPattern[];
  env: readonly string[];
  /** Where that is written. */
  at: { file: string; commands: string; env: string };
}

/** Why a command line is not among those that are allowed. */
export function notAllowed(
  { action, argv, env }: { action: string; argv: readonly string[]; env: readonly string[] },
  { commands: allowed, env: variables, at }: AllowedCommands,
): string | undefined {
  if (allowed === "any") return undefined;
  if (allowed.length === 0) return `policy: ${action} needs ${at.commands} in ${at.file}: a pattern that fits, or any`;
  if (!allowed.some((pattern) => commandFits(pattern, argv, "allow")))
    return `policy: no pattern of ${at.commands} fits ${commandText(argv)}`;
  const given = env.find((name) => !variables.some((pattern) => wildcardFits(pattern, name)));
  return given === undefined ? undefined : `policy: ${at.env} does not name ${given}`;
}

function isPlain(path: string): boolean {
  if (!path.startsWith("/") || path.includes("\0")) return false;
  return (
    path === "/" ||
    path
      .split("/")
      .slice(1)
      .every((part) => part !== "" && part !== "." && part !== "..")
  );
}

function textsOf(value: unknown): string[] {
  return [value].flat().filter((each): each is string => typeof each === "string");
}

function quoted(rule: CommandPattern): string {
  return JSON.stringify(rule);
}
