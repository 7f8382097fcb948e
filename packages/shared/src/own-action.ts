/**
 * Actions of the user's own: one YAML file each, `local.NAME` or `master.NAME` in NAME.yaml. It names a program and says which arguments it takes.
 * A `local` one runs on the host that has the file, and the master has a copy, so that reactors are checked when they are read; a `master` one runs
 * on the master. A value is a whole argument of the program or none: there is no
 * shell, and nothing that could be injected. Pure.
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { durationPattern } from "./duration.ts";
import { ownActionPattern, ownActionPrefixes, type OwnActionName } from "./own-action-name.ts";
import { type Checked, checker, untypedChecker } from "./schema.ts";
import { checkDocument, parseYaml, type Path, type Problem, type YamlDocument } from "./yaml-file.ts";

const argv = {
  type: "array",
  items: { type: "string", maxLength: 4_096 },
  minItems: 1,
  maxItems: 200,
} as const;
const codes = { type: "array", items: { type: "integer", minimum: 0, maximum: 255 }, maxItems: 256 } as const;

export const ownActionSchema = {
  type: "object",
  properties: {
    name: {
      type: "string",
      title: "local.NAME or master.NAME",
      pattern: ownActionPattern,
      description: "local.NAME runs on a host, master.NAME on the master; the file is called NAME.yaml",
    },
    description: { type: "string", minLength: 1, maxLength: 1_000, description: "what it does, in a sentence" },
    args: { type: "object", default: {}, description: "the JSON Schema of its arguments: an object with `properties`" },
    result: { type: "object", description: "the JSON Schema of what it prints: a JSON object, which becomes `output` of the result" },
    argv: { ...argv, description: "the program and its arguments; one that is `${{ args.NAME }}` as a whole is that argument's value" },
    dry_run: { ...argv, description: "what is run instead in a dry run: it must change nothing; without it nothing is run" },
    timeout: {
      type: "string",
      title: "a duration such as 30s",
      pattern: durationPattern,
      default: "1m",
      description: "how long it may take",
    },
    changed_codes: { ...codes, default: [0], description: "exit codes that say that it worked, and something is different now" },
    unchanged_codes: { ...codes, default: [], description: "exit codes that say that everything was as it should be" },
  },
  required: ["name", "description", "argv"],
  additionalProperties: false,
} as const satisfies JSONSchema;
type Source = FromSchema<typeof ownActionSchema>;

export interface OwnAction extends Omit<Source, "name" | "args"> {
  name: OwnActionName;
  args: ArgsSchema;
  checkArgs(value: unknown): Checked<unknown>;
  /** Undefined: nothing is said of what it prints. */
  checkOutput: ((value: unknown) => Checked<unknown>) | undefined;
}

interface ArgsSchema {
  readonly [keyword: string]: unknown;
  properties?: Readonly<Record<string, { type?: unknown; default?: unknown }>>;
  required?: readonly string[];
}

const check = checker(ownActionSchema);
const wholeValue = /^\$\{\{\s*args\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}$/;
const plainTypes: readonly unknown[] = ["string", "integer", "number", "boolean"];

export function loadOwnAction(file: string, text: string): { ok: true; action: OwnAction } | { ok: false; problems: Problem[] } {
  const parsed = parseYaml(file, text);
  if (!parsed.ok) return parsed;
  const [document, second] = parsed.documents;
  if (document === undefined) return { ok: false, problems: [{ file, line: 1, column: 1, message: "there is no action in this file" }] };
  if (second !== undefined) return { ok: false, problems: [second.problemAt([], "a file holds one action, this is a second one")] };
  const checked = checkDocument(document, check);
  if (!checked.ok) return checked;
  const found = compile(file, document, checked.value);
  return found.problems.length > 0 ? { ok: false, problems: found.problems } : { ok: true, action: found.action };
}

function compile(file: string, document: YamlDocument, source: Source): { action: OwnAction; problems: Problem[] } {
  const problems: Problem[] = [];
  const problem = (path: Path, message: string) => void problems.push(document.problemAt(path, message));
  const args: ArgsSchema = { type: "object", additionalProperties: false, ...source.args };
  const schema = (path: "args" | "result", written: object) => {
    const checkValue = untypedChecker(written);
    try {
      checkValue({});
    } catch (error) {
      problem([path], `this is no JSON Schema: ${error instanceof Error ? error.message : String(error)}`);
    }
    return checkValue;
  };
  const stem = /([^/]*)\.ya?ml$/.exec(file)?.[1] ?? "";
  const wanted = ownActionPrefixes.map((prefix) => `${prefix}.${stem}`);
  if (!wanted.includes(source.name))
    problem(["name"], `this file is for ${wanted.join(" or ")}: name the action after its file, or the file after it`);
  if (source.args["type"] !== undefined && source.args["type"] !== "object") problem(["args", "type"], "arguments are an object");
  for (const key of ["argv", "dry_run"] as const)
    for (const [index, word] of (source[key] ?? []).entries()) {
      const message = wordProblem(word, args);
      if (message !== undefined) problem([key, index], message);
    }
  if (source.argv[0] !== undefined && wholeValue.test(source.argv[0])) problem(["argv", 0], "the program itself is none of the arguments");
  const twice = source.unchanged_codes.find((code) => source.changed_codes.includes(code));
  if (twice !== undefined) problem(["unchanged_codes"], `${twice} cannot mean both: it is in changed_codes, too`);
  const action: OwnAction = {
    ...source,
    name: source.name as OwnActionName,
    args,
    checkArgs: schema("args", args),
    checkOutput: source.result === undefined ? undefined : schema("result", { type: "object", ...source.result }),
  };
  return { action, problems };
}

/** A word is as it is written, or a whole argument that is always there and is one word. */
function wordProblem(word: string, { properties = {}, required = [] }: ArgsSchema): string | undefined {
  if (!word.includes("${{")) return undefined;
  const name = wholeValue.exec(word)?.[1];
  if (name === undefined) return "a value is a whole word: ${{ args.NAME }} and nothing beside it; there are no other expressions here";
  const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
  if (property === undefined) return `there is no argument "${name}" in args.properties`;
  if (!plainTypes.includes(property.type))
    return `the argument "${name}" must have the type string, integer, number or boolean, to be one word`;
  if (!required.includes(name) && property.default === undefined)
    return `the argument "${name}" may be missing: make it required, or give it a default`;
  return undefined;
}

/** The words with the values in place. The arguments were checked. */
export function ownArgv(words: readonly string[], args: Readonly<Record<string, unknown>>): string[] {
  return words.map((word) => {
    const name = wholeValue.exec(word)?.[1];
    return name === undefined ? word : String(args[name]);
  });
}
