/**
 * Reactors: the rules. The schema of their YAML, and the compiler that turns a file into reactors that are ready to be matched, or
 * into every problem in it with line and column. A file is taken as a whole or not at all.
 */
import { createHash } from "node:crypto";
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { actions, type ActionName, argsCheckers, isActionName } from "./action.ts";
import { compileCondition, type Expression } from "./cel.ts";
import { type Severity, severities } from "./event.ts";
import { globMatcher } from "./glob.ts";
import { namePattern } from "./ids.ts";
import { checker, didYouMean, type SchemaProblem } from "./schema.ts";
import { compileTemplate, expressionType, type Template } from "./value.ts";
import { checkDocument, parseYaml, type Path, type Problem, type YamlDocument } from "./yaml-file.ts";

const typeGlob = {
  type: "string",
  pattern: "^[a-z0-9_*?{},.-]+$",
  maxLength: 200,
  description: "an event type or a glob such as file.*",
} as const;

export const reactorSchema = {
  type: "object",
  properties: {
    name: { type: "string", pattern: namePattern, description: "a name of lower-case letters, digits, - and _" },
    description: { type: "string", maxLength: 2_000, default: "" },
    on: {
      anyOf: [typeGlob, { type: "array", items: typeGlob, minItems: 1, maxItems: 100 }],
      description: "an event type, a glob such as file.*, or a list of them",
    },
    when: { type: "string", minLength: 1, maxLength: 10_000, description: "a CEL condition over event and agent" },
    priority: { enum: severities, default: "normal" },
    do: {
      type: "array",
      minItems: 1,
      maxItems: 50,
      items: { type: "object", minProperties: 1, maxProperties: 1, additionalProperties: { type: ["object", "null"] } },
      description: "a list of actions, each as `- action.name: { argument: value }`",
    },
  },
  required: ["name", "on", "do"],
  additionalProperties: false,
} as const satisfies JSONSchema;
type ReactorSource = FromSchema<typeof reactorSchema>;

export interface ReactorStep {
  action: ActionName;
  args: Template;
}

/** A reactor, compiled. `version`: from its text's meaning, so that history can say which one decided. */
export interface Reactor {
  name: string;
  description: string;
  version: string;
  file: string;
  line: number;
  on: string[];
  matchesType(type: string): boolean;
  when: Expression | undefined;
  priority: Severity;
  steps: ReactorStep[];
}

export type LoadedReactors = { ok: true; reactors: Reactor[] } | { ok: false; problems: Problem[] };

const checkReactor = checker(reactorSchema);

export function loadReactors(file: string, text: string): LoadedReactors {
  const parsed = parseYaml(file, text);
  if (!parsed.ok) return parsed;
  const reactors: Reactor[] = [];
  const problems: Problem[] = [];
  for (const document of parsed.documents) {
    const checked = checkDocument(document, checkReactor);
    if (!checked.ok) {
      problems.push(...checked.problems);
      continue;
    }
    if (reactors.some(({ name }) => name === checked.value.name)) {
      problems.push(document.problemAt(["name"], `a second reactor of the name "${checked.value.name}" in this file`));
    }
    reactors.push(compileReactor(file, document, checked.value, problems));
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, reactors };
}

function compileReactor(file: string, document: YamlDocument, source: ReactorSource, problems: Problem[]): Reactor {
  const on = typeof source.on === "string" ? [source.on] : source.on;
  return {
    name: source.name,
    description: source.description,
    version: createHash("sha256").update(JSON.stringify(document.value)).digest("hex").slice(0, 12),
    file,
    line: document.problemAt(["name"], "").line,
    on,
    matchesType: globMatcher(on),
    when: source.when === undefined ? undefined : compileWhen(document, source.when, problems),
    priority: source.priority,
    steps: source.do.flatMap((step, index) => compileStep(document, index, step, problems) ?? []),
  };
}

function compileWhen(document: YamlDocument, source: string, problems: Problem[]): Expression | undefined {
  const compiled = compileCondition(source, "event");
  if (compiled.ok) return compiled.expression;
  problems.push(document.problemAt(["when"], `in the condition: ${compiled.message}`, { offset: compiled.offset }));
  return undefined;
}

function compileStep(document: YamlDocument, index: number, step: Record<string, unknown>, problems: Problem[]): ReactorStep | undefined {
  const [action, rawArgs] = Object.entries(step)[0]!;
  const path: Path = ["do", index, action];
  if (!isActionName(action)) {
    const known = Object.keys(actions);
    const hint = didYouMean(action, known) || ` (known: ${known.join(", ")})`;
    problems.push(document.problemAt(path, `there is no action "${action}"${hint}`, { key: true }));
    return undefined;
  }
  const { template, problems: wrong } = compileTemplate(rawArgs ?? {}, path);
  problems.push(...wrong.map((problem) => document.problemAt(problem.path, problem.message, { offset: problem.offset })));
  // What a broken expression would have given is not known, so its text is not judged as if it were the value.
  const broken = new Set(wrong.map((problem) => JSON.stringify(problem.path)));
  const spliced = action === "command.run" ? shellSplice(rawArgs, template) : undefined;
  if (spliced !== undefined)
    problems.push(
      document.problemAt(
        [...path, ...spliced],
        "an expression may not become part of a shell script: write $1 in the script and give the value as the next of argv",
      ),
    );
  for (const problem of argumentProblems(action, rawArgs ?? {}, template)) {
    const place = [...path, ...problem.path];
    if (!broken.has(JSON.stringify(place)))
      problems.push(document.problemAt(place, `${action}: ${problem.message}`, { key: problem.atKey }));
  }
  return { action, args: template };
}

/** Where an expression would be spliced into a shell's script, or undefined: with a shell, argv[0] must be known when the file is read. */
function shellSplice(rawArgs: unknown, template: Template): Path | undefined {
  const { shell } = (rawArgs ?? {}) as { shell?: unknown };
  const withShell = (shell !== undefined && shell !== false) || expressionType(template, ["shell"]) !== undefined;
  const whole = expressionType(template, ["argv"]) !== undefined;
  if (!withShell) return undefined;
  if (whole) return ["argv"];
  return expressionType(template, ["argv", 0]) === undefined ? undefined : ["argv", 0];
}

/**
 * Checks arguments at load as far as they are known then. An expression stands for a value of its static type; where that is `dyn`,
 * the value is checked again when it is known, as everything is.
 */
function argumentProblems(action: ActionName, rawArgs: unknown, template: Template): SchemaProblem[] {
  const checked = argsCheckers[action](structuredClone(rawArgs));
  if (checked.ok && template.literal) return [];
  const fromSchema = (checked.ok ? [] : checked.problems).filter(
    ({ path, atKey }) => atKey || expressionType(template, path) === undefined,
  );
  return [...fromSchema, ...staticTypeProblems(action, template, rawArgs)];
}

const jsonTypes: Record<string, string[]> = {
  string: ["string"],
  int: ["integer", "number"],
  uint: ["integer", "number"],
  double: ["number", "integer"],
  bool: ["boolean"],
  list: ["array"],
  map: ["object"],
};

function staticTypeProblems(action: ActionName, template: Template, rawArgs: unknown): SchemaProblem[] {
  const properties = (actions[action].args as { properties: Record<string, { type?: string | readonly string[] }> }).properties;
  return Object.keys((rawArgs ?? {}) as object).flatMap((key): SchemaProblem[] => {
    const celType = expressionType(template, [key])?.replace(/<.*/, "");
    const possible = celType === undefined ? undefined : jsonTypes[celType];
    const wanted = properties[key]?.type;
    if (possible === undefined || wanted === undefined) return [];
    const allowed = typeof wanted === "string" ? [wanted] : wanted;
    if (allowed.some((type) => possible.includes(type))) return [];
    return [{ path: [key], atKey: false, message: `expected ${allowed.join(" or ")}, this expression gives ${celType}` }];
  });
}
