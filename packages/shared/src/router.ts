/**
 * The router: what the operator says of events before reactors look at them. Rules in order, the first that holds decides; an event that
 * none is about keeps its own severity. Pure.
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { compileCondition, type Expression } from "./cel.ts";
import { type Event, severities, type Severity } from "./event.ts";
import type { Route } from "./rules/types.ts";
import { checker } from "./schema.ts";
import type { AgentView } from "./target.ts";
import { checkDocument, parseYaml, type Path, type Problem, type YamlDocument } from "./yaml-file.ts";

const grades = ["high", "medium", "low"] as const;
type Grade = (typeof grades)[number];

export const routerSchema = {
  type: "object",
  properties: {
    rules: {
      type: "array",
      maxItems: 1_000,
      items: {
        type: "object",
        properties: {
          name: { type: "string", maxLength: 200, description: "for people" },
          when: {
            type: "string",
            minLength: 1,
            maxLength: 10_000,
            description: "a CEL condition over event and agent; without it, every event",
          },
          priority: { enum: severities, description: "the priority; default: the event's severity" },
          impact: { enum: grades, description: "with `urgency`, instead of `priority`: how much it hurts" },
          urgency: { enum: grades, description: "with `impact`: how soon it must end" },
          owner: { type: "string", minLength: 1, maxLength: 200, description: "who answers for it" },
          labels: {
            type: "object",
            additionalProperties: { type: "string", maxLength: 1_000, description: "a text" },
            maxProperties: 50,
            default: {},
            description: "texts by name, for route.labels in CEL",
          },
        },
        additionalProperties: false,
        description: "a rule: { when, priority, owner, labels }",
      },
      description: "in order; the first whose condition holds decides",
    },
  },
  required: ["rules"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type RouterSource = FromSchema<typeof routerSchema>;
type RuleSource = RouterSource["rules"][number];

/** Priority from impact and urgency. */
export const priorityMatrix: Record<Grade, Record<Grade, Severity>> = {
  high: { high: "critical", medium: "high", low: "normal" },
  medium: { high: "high", medium: "normal", low: "low" },
  low: { high: "normal", medium: "low", low: "low" },
};

export type RouteOf = (event: Event, agent: AgentView) => Route;
export type LoadedRouter = { ok: true; route: RouteOf } | { ok: false; problems: Problem[] };

const checkRouter = checker(routerSchema);

interface Rule {
  when: Expression | undefined;
  priority: Severity | undefined;
  owner: string | undefined;
  labels: Readonly<Record<string, string>>;
}

/** An empty file has no rules. */
export function loadRouter(file: string, text: string): LoadedRouter {
  const parsed = parseYaml(file, text);
  if (!parsed.ok) return parsed;
  const [document, second] = parsed.documents;
  if (second !== undefined) return { ok: false, problems: [second.problemAt([], "a second document: one list of rules is wanted")] };
  if (document === undefined) return { ok: true, route: routeBy([]) };
  const checked = checkDocument(document, checkRouter);
  if (!checked.ok) return checked;
  return compileRouter(document, [], checked.value);
}

/** One that has been checked against its schema. `path`: where in the document it stands. */
export function compileRouter(document: YamlDocument, path: Path, source: RouterSource): LoadedRouter {
  const problems: Problem[] = [];
  const rules = source.rules.map((rule, index) => compileRule(document, [...path, "rules", index], rule, problems));
  const last = source.rules.findIndex(({ when }) => when === undefined);
  if (last >= 0 && last < rules.length - 1)
    problems.push(document.problemAt([...path, "rules", last + 1], `never reached: rule ${last + 1} has no "when" and takes every event`));
  return problems.length > 0
    ? { ok: false, problems: problems.toSorted((a, b) => a.line - b.line || a.column - b.column) }
    : { ok: true, route: routeBy(rules) };
}

/** Without a router: an event's priority is its severity. */
export const plainRoute: RouteOf = (event) => ({ priority: event.severity, owner: undefined, labels: {} });

function routeBy(rules: readonly Rule[]): RouteOf {
  return (event, agent) => {
    const rule = rules.find(({ when }) => when === undefined || holds(when, { event, agent }));
    if (rule === undefined) return plainRoute(event, agent);
    return { priority: rule.priority ?? event.severity, owner: rule.owner, labels: rule.labels };
  };
}

/** A missing field makes it false. */
function holds(when: Expression, scope: { event: Event; agent: AgentView }): boolean {
  const result = when.evaluate(scope);
  return result.ok && result.value === true;
}

function compileRule(document: YamlDocument, path: Path, source: RuleSource, problems: Problem[]): Rule {
  const { owner, labels } = source;
  return {
    when: compileWhen(document, path, source.when, problems),
    priority: priorityOf(document, path, source, problems),
    owner,
    labels,
  };
}

function compileWhen(document: YamlDocument, path: Path, when: string | undefined, problems: Problem[]): Expression | undefined {
  if (when === undefined) return undefined;
  const compiled = compileCondition(when, "plain");
  if (compiled.ok) return compiled.expression;
  problems.push(document.problemAt([...path, "when"], `in the condition: ${compiled.message}`, { offset: compiled.offset }));
  return undefined;
}

function priorityOf(
  document: YamlDocument,
  path: Path,
  { priority, impact, urgency }: RuleSource,
  problems: Problem[],
): Severity | undefined {
  const wrong = (key: string, message: string) => void problems.push(document.problemAt([...path, key], message, { key: true }));
  if (priority !== undefined) {
    if (impact !== undefined) wrong("impact", '"priority" is given already: "impact" and "urgency" would work out another');
    else if (urgency !== undefined) wrong("urgency", '"priority" is given already: "impact" and "urgency" would work out another');
    return priority;
  }
  if (impact !== undefined && urgency === undefined) wrong("impact", '"impact" needs "urgency" beside it: high, medium or low');
  if (urgency !== undefined && impact === undefined) wrong("urgency", '"urgency" needs "impact" beside it: high, medium or low');
  return impact === undefined || urgency === undefined ? undefined : priorityMatrix[impact][urgency];
}
