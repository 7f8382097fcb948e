/**
 * Beacons: what an agent watches. The loader of beacon YAML, which both ends use: the master for the definitions that it hands out, the
 * agent for its local ones.
 */
import type { FromSchema } from "json-schema-to-ts";
import { type BeaconSpec, commonContradiction, type Contradiction } from "./beacons/spec.ts";
import { type BeaconType, beaconTypes } from "./beacons/types.ts";
import { type Checked, didYouMean, problemsText, untypedChecker } from "./schema.ts";
import { compileTarget, type TargetTest } from "./target.ts";
import { checkDocument, parseYaml, type Problem, type YamlDocument } from "./yaml-file.ts";

/** A definition with every default of its type's schema. */
export type BeaconDefinition = { [T in BeaconType]: FromSchema<(typeof beaconTypes)[T]["options"]> }[BeaconType];

const checkers = Object.fromEntries(
  Object.entries<BeaconSpec>(beaconTypes).map(([type, { options }]) => [type, untypedChecker(options as object)]),
) as Record<BeaconType, (value: unknown) => Checked<BeaconDefinition>>;

/** A definition that was loaded on the master: what to send to whom. */
export interface LoadedBeacon {
  definition: BeaconDefinition;
  test: TargetTest;
  file: string;
}

/** Checks a definition that came over the wire or from the agent's own store. */
export function checkBeacon(value: unknown): { ok: true; definition: BeaconDefinition } | { ok: false; message: string } {
  const type = typeOf(value);
  if (type === undefined) return { ok: false, message: unknownType(value) };
  const checked = checkers[type](value);
  if (!checked.ok) return { ok: false, message: problemsText(checked.problems) };
  const problem = contradictionOf(checked.value);
  return problem === undefined ? { ok: true, definition: checked.value } : { ok: false, message: problem.message };
}

/** Loads the beacons of one file: a definition a document. All of them, or every problem: a file is taken as a whole. */
export function loadBeacons(file: string, text: string): { ok: true; beacons: LoadedBeacon[] } | { ok: false; problems: Problem[] } {
  const parsed = parseYaml(file, text);
  const beacons: LoadedBeacon[] = [];
  const problems: Problem[] = parsed.ok ? [] : [...parsed.problems];
  for (const document of parsed.documents) {
    const loaded = loadBeacon(file, document);
    if (!loaded.ok) problems.push(...loaded.problems);
    else if (beacons.some(({ definition }) => definition.name === loaded.beacon.definition.name)) {
      problems.push(document.problemAt(["name"], `a second beacon of the name "${loaded.beacon.definition.name}" in this file`));
    } else beacons.push(loaded.beacon);
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, beacons };
}

function loadBeacon(file: string, document: YamlDocument): { ok: true; beacon: LoadedBeacon } | { ok: false; problems: Problem[] } {
  const type = typeOf(document.value);
  if (type === undefined) return { ok: false, problems: [document.problemAt(["type"], unknownType(document.value))] };
  const checked = checkDocument<BeaconDefinition>(document, checkers[type]);
  if (!checked.ok) return checked;
  const definition = checked.value;
  const target = compileTarget(definition.targets);
  if (!target.ok) return { ok: false, problems: [document.problemAt(["targets"], target.message, { offset: target.offset })] };
  const problem = contradictionOf(definition);
  if (problem !== undefined) return { ok: false, problems: [document.problemAt(problem.path, problem.message)] };
  return { ok: true, beacon: { definition, test: target.test, file } };
}

/** What a schema cannot say. */
function contradictionOf(definition: BeaconDefinition): Contradiction | undefined {
  const spec: BeaconSpec = beaconTypes[definition.type];
  // The table pairs each type with its options; a lookup by a union loses that.
  const own = spec.contradiction as ((definition: BeaconDefinition) => Contradiction | undefined) | undefined;
  return commonContradiction(definition) ?? own?.(definition) ?? takenType(definition);
}

/** Types of events that an agent makes itself have data of their own, so nobody may give their names to lines of a log. */
function takenType(definition: BeaconDefinition): Contradiction | undefined {
  if (definition.type !== "log") return undefined;
  const named = [
    { path: ["event"], event: definition.event },
    ...definition.patterns.flatMap(({ event }, at) => (event === undefined ? [] : [{ path: ["patterns", at, "event"], event }])),
  ];
  const taken = named.find(({ event }) => event !== "log.matched" && isTaken(event));
  return taken && { path: taken.path, message: `"${taken.event}" is a type that agents make themselves: choose another` };
}

function isTaken(event: string): boolean {
  return /^(beacon|spool)\./.test(event) || Object.values<BeaconSpec>(beaconTypes).some(({ events }) => Object.hasOwn(events, event));
}

function typeOf(value: unknown): BeaconType | undefined {
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined;
  return typeof type === "string" && Object.hasOwn(beaconTypes, type) ? (type as BeaconType) : undefined;
}

function unknownType(value: unknown): string {
  const known = Object.keys(beaconTypes);
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined;
  if (type === undefined) return `a beacon needs a "type": ${known.join(", ")}`;
  return `there is no beacon type ${JSON.stringify(type)}${didYouMean(String(type), known) || ` (known: ${known.join(", ")})`}`;
}
