/** `needfire beacons types`: what can be watched, with which options, and what is said of it. */
import type { Command } from "commander";
import type { BeaconSpec } from "@needfire/shared/beacons/spec";
import { beaconTypes } from "@needfire/shared/beacons/types";
import { NeedfireError } from "@needfire/shared/errors";
import { didYouMean } from "@needfire/shared/schema";
import type { Column, Output } from "../output.ts";
import { type FieldSchema, fieldsOf } from "../schema-fields.ts";
import { examples, type Session } from "../session.ts";

const columns: Column[] = [{ title: "TYPE" }, { title: "WATCHES", shrinkTo: 30 }];
const optionColumns: Column[] = [{ title: "OPTION" }, { title: "DEFAULT", shrinkTo: 8 }, { title: "MEANS", shrinkTo: 24 }];
const eventColumns: Column[] = [{ title: "EVENT" }, { title: "MEANS", shrinkTo: 24 }];

export function registerTypes(beacons: Command, session: Session): void {
  beacons
    .command("types")
    .summary("list what can be watched; or show one type with its options and events")
    .description("List the types of beacons; or show one type: its options, and the events that it emits.")
    .argument("[type]", "one type, such as disk")
    .addHelpText(
      "after",
      examples(
        ["needfire beacons types", "all of them"],
        ["needfire beacons types disk", "options and events of one"],
        ["needfire beacons types disk --json | jq .options", "its JSON Schema"],
      ),
    )
    .action(session.run(async (type?: string) => (type === undefined ? listTypes(session.out) : showType(session.out, type))));
}

function listTypes(out: Output): void {
  const all = Object.entries<BeaconSpec>(beaconTypes).map(([type, { summary, events }]) => ({
    type,
    summary,
    events: Object.keys(events),
  }));
  out.list(all, { columns, row: ({ type, summary }) => [type, summary], empty: "" });
}

function showType(out: Output, type: string): void {
  const spec = specOf(type);
  const { summary, options, events } = spec;
  if (out.json) return out.record({ type, summary, options, events });
  out.title(`${type}: ${summary}`);
  out.line();
  const fields = fieldsOf(options as FieldSchema).filter(({ name }) => name !== "type");
  out.list(fields, { columns: optionColumns, row: ({ name, fallback, meaning }) => [name, fallback, meaning], empty: "" });
  out.line();
  out.list(Object.entries(events), { columns: eventColumns, row: ([name, { description }]) => [name, description], empty: "" });
}

function specOf(type: string): BeaconSpec {
  const all: Record<string, BeaconSpec> = beaconTypes;
  const spec = Object.hasOwn(all, type) ? all[type] : undefined;
  if (spec === undefined)
    throw new NeedfireError(
      "BAD_REQUEST",
      `there is no beacon type "${type}"${didYouMean(type, Object.keys(all))} (needfire beacons types)`,
    );
  return spec;
}
