/**
 * The pages of the reference about beacons: one for each type, made of its schemas, and the list of them. A type without a section in the
 * guide, or without a ready definition, has no page: that is said, and nothing is written.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { loadBeacons } from "@needfire/shared/beacon";
import { type BeaconSpec, common } from "@needfire/shared/beacons/spec";
import { type BeaconType, beaconTypes } from "@needfire/shared/beacons/types";
import { exampleOf } from "@needfire/shared/event-types";
import { eventSections } from "./events.ts";
import { fields, page, type Schema, table } from "./page.ts";

const root = dirname(dirname(import.meta.dirname));
const guide = "guide/beacons.md";

export function beaconPages(): Record<string, string> {
  const [sections, ready] = [guideSections(), readyFiles()];
  const types = Object.entries<BeaconSpec>(beaconTypes).map(([type, spec]) => ({
    ...{ type, spec },
    section: known(sections.get(type), `docs/${guide} has no section on the beacon type "${type}" (a heading with \`${type}\` in it)`),
    files: known(ready.get(type), `there is no ready definition of the beacon type "${type}" in beacons/`),
  }));
  return {
    "beacons.md": listPage(types),
    ...Object.fromEntries(types.map((each) => [`beacons/${each.type}.md`, typePage(each)])),
  };
}

interface TypeOnPage {
  type: string;
  spec: BeaconSpec;
  /** The anchor of its section in the guide. */
  section: string;
  /** The ready definitions of it, by their files in `beacons/`. */
  files: string[];
}

function listPage(types: TypeOnPage[]): string {
  const row = ({ type, spec, section }: TypeOnPage) => [
    `[\`${type}\`](beacons/${type}.md)`,
    spec.summary,
    Object.keys(spec.events)
      .map((name) => `[\`${name}\`](beacons/${type}.md#${slug(name)})`)
      .join(", "),
    `[guide](../${guide}#${section})`,
  ];
  return page("Beacons", [
    "A beacon watches something on a host and makes events of it. Definitions are YAML documents, one beacon each, in `beacons/*.yaml` on the master (for the hosts that `targets` names) or on the agent (for itself). Editors check them against [beacon.schema.json](beacon.schema.json). How they are used, and what all of them have in common, is in the [guide](../guide/beacons.md).",
    "## Types",
    table(["type", "watches", "events", "more"], types.map(row)),
    "## Options of every type",
    fields({ properties: common as unknown as NonNullable<Schema["properties"]>, required: ["name"] }),
  ]);
}

function typePage({ type, spec, section, files }: TypeOnPage): string {
  const links = files.map((file) => `[${file}](../../../beacons/${file})`);
  return page(`The \`${type}\` beacon`, [
    spec.summary,
    `How it sees, and its limits: [guide](../../${guide}#${section}). Ready to use: ${links.join(", ")}.`,
    "## Options",
    `Beside those of [every type](../beacons.md#options-of-every-type):`,
    fields(ownOptions(spec)),
    "## Events",
    ...eventSections(spec.events, (name) => [exampleText(name)]),
  ]);
}

/** Without those that every type has; one that a type has made its own stays. */
function ownOptions({ options }: BeaconSpec): Schema {
  const schema = options as Schema;
  const own = Object.entries(schema.properties ?? {}).filter(([name, field]) => (common as Record<string, unknown>)[name] !== field);
  return { ...schema, properties: Object.fromEntries(own) };
}

function exampleText(type: string): string {
  return `\`\`\`json\n${JSON.stringify(exampleOf(type), undefined, 2)}\n\`\`\``;
}

/** By type, the anchor of the section whose heading names it. */
function guideSections(): Map<string, string> {
  const headings = readFileSync(join(root, "docs", guide), "utf8").matchAll(/^## (.*`.*)$/gm);
  return new Map(
    [...headings].flatMap(([, heading = ""]) => [...heading.matchAll(/`([a-z]+)`/g)].map(([, type = ""]) => [type, slug(heading)])),
  );
}

function readyFiles(): Map<string, string[]> {
  const found = new Map<BeaconType, Set<string>>();
  for (const file of readdirSync(join(root, "beacons"))
    .filter((name) => name.endsWith(".yaml"))
    .toSorted()) {
    const loaded = loadBeacons(file, readFileSync(join(root, "beacons", file), "utf8"));
    if (!loaded.ok) throw new Error(`beacons/${file} is not sound: needfire beacons check beacons/${file}`);
    for (const { definition } of loaded.beacons) found.set(definition.type, (found.get(definition.type) ?? new Set()).add(file));
  }
  return new Map([...found].map(([type, files]) => [type, [...files]]));
}

/** The anchor that a heading gets. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
    .replaceAll(" ", "-");
}

function known<T>(value: T | undefined, otherwise: string): T {
  if (value === undefined) throw new Error(otherwise);
  return value;
}
