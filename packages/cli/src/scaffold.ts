/**
 * The beginning of a reactor, with its test: from an event that was recorded, or from the example of a type. What is written here passes
 * `reactors check` and `reactors test`. Data of hosts is written as YAML values and CEL texts, never as part of either.
 */
import { exampleOf } from "@needfire/shared/event-types";
import { compileCel } from "@needfire/shared/cel";
import { customTypePattern } from "@needfire/shared/event";
import { loadReactors } from "@needfire/shared/reactor";
import { loadTestFile } from "@needfire/shared/reactor-test/load";
import { runSuite } from "@needfire/shared/reactor-test/suite";
import { problemText } from "@needfire/shared/yaml-file";
import { yamlText } from "@needfire/shared/yaml-edit";

/** What the first test's event is made from. */
export interface ModelEvent {
  type: string;
  agent?: string;
  subject?: string | undefined;
  severity?: string;
  beacon?: string | undefined;
  data?: Record<string, unknown>;
}

export interface Scaffold {
  reactor: string;
  tests: string;
}

/** An event of a type: what the catalogue shows, or, of people's own types, nearly nothing. */
export function modelOf(type: string): ModelEvent {
  const example = exampleOf(type);
  return example === undefined ? { type, subject: "example" } : { type, subject: example.subject };
}

/** `recorded`: nothing is filled into the event, since it is as it was. */
export function scaffold(name: string, event: ModelEvent, { recorded }: { recorded: boolean }): Scaffold {
  const condition = conditionOf(event);
  const made = { reactor: reactorText(name, event, condition), tests: testsText(name, event, { condition, recorded }) };
  confirm(name, made);
  return made;
}

interface Condition {
  when: string;
  /** The same event, of which it does not hold. */
  other: ModelEvent;
}

/** What tells this event from others of its type: its subject, or the first plain value of its data. */
function conditionOf(event: ModelEvent): Condition | undefined {
  const { subject, data = {} } = event;
  const field = Object.entries(data).find(([name, value]) => /^[a-z_][a-z0-9_]*$/i.test(name) && isPlain(value));
  const found: Condition | undefined =
    subject !== undefined
      ? { when: `event.subject == ${JSON.stringify(subject)}`, other: { ...event, subject: `${subject}.other` } }
      : field && {
          when: `event.data.${field[0]} == ${JSON.stringify(field[1])}`,
          other: { ...event, data: { ...data, [field[0]]: otherThan(field[1]) } },
        };
  // A text may hold what CEL has no way to write: then the type alone decides.
  return found !== undefined && holds(found.when, event) && !holds(found.when, found.other) ? found : undefined;
}

function isPlain(value: unknown): value is string | number | boolean {
  return ["string", "number", "boolean"].includes(typeof value);
}

function otherThan(value: unknown): unknown {
  if (typeof value === "boolean") return !value;
  return typeof value === "number" ? value + 1 : `${String(value)}.other`;
}

function holds(when: string, event: ModelEvent): boolean {
  const compiled = compileCel(when, "event");
  const outcome = compiled.ok ? compiled.expression.evaluate({ event }) : undefined;
  return outcome?.ok === true && outcome.value === true;
}

function reactorText(name: string, { type, subject }: ModelEvent, condition: Condition | undefined): string {
  return [
    yamlText({ name, description: `What it is for, in a sentence.` }),
    "# shadow: decisions are recorded, and nothing is done. When they are what you want, take this line out.\n",
    yamlText({ mode: "shadow", on: type, ...(condition === undefined ? {} : { when: condition.when }) }),
    "do:\n",
    "  # An event that another reactor can answer. In its place may stand any action: docs/reference/actions.md.\n",
    indented(yamlText([{ "event.emit": emitOf(name, subject !== undefined) }])),
  ].join("");
}

function emitOf(name: string, hasSubject: boolean): Record<string, string> {
  return { type: emittedType(name), ...(hasSubject ? { subject: "${{ event.subject }}" } : {}) };
}

function emittedType(name: string): string {
  const type = `${name}.noticed`;
  return new RegExp(customTypePattern).test(type) ? type : `noticed.${name}`;
}

function testsText(
  name: string,
  event: ModelEvent,
  { condition, recorded }: { condition: Condition | undefined; recorded: boolean },
): string {
  const whole = (one: ModelEvent) => ({ ...one, ...(recorded ? { whole: true } : {}) });
  const emit = { type: emittedType(name), ...(event.subject === undefined ? {} : { subject: event.subject }) };
  const fires = {
    name: "fires on such an event",
    reactor: name,
    timeline: [
      { at: "0s", event: whole(event) },
      { at: "0s", expect: [{ reactor: name, do: [{ "event.emit": emit }] }] },
    ],
  };
  const not = condition && {
    name: "leaves others alone",
    reactor: name,
    timeline: [
      { at: "0s", event: whole(condition.other) },
      { at: "0s", expect: "nothing" },
    ],
  };
  return yamlText({ tests: not === undefined ? [fires] : [fires, not] });
}

function indented(text: string): string {
  return text.replace(/^(?=.)/gm, "  ");
}

/** What would not pass is not written: then the mistake is ours, and is said. */
function confirm(name: string, { reactor, tests }: Scaffold): void {
  const loaded = loadReactors(`${name}.yaml`, reactor);
  const tested = loadTestFile(`${name}.test.yaml`, tests);
  const problems = [...(loaded.ok ? [] : loaded.problems), ...(tested.ok ? [] : tested.problems)];
  if (loaded.ok && tested.ok) {
    const { files, problems: missing } = runSuite([{ file: `${name}.yaml`, reactors: loaded.reactors, tests: tested.tests }]);
    problems.push(...missing);
    if (problems.length === 0 && files.every(({ results }) => results.every(({ unmet }) => unmet.length === 0))) return;
  }
  throw new Error(`what was scaffolded does not pass: ${problems.map(problemText).join("; ") || "its test fails"}`);
}
