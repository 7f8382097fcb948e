/** `needfire actions`: what can be done about something, with which arguments, and what is said of it. Asks no master. */
import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Command, Option } from "commander";
import { actions as specs } from "@needfire/shared/action";
import type { ActionSpec } from "@needfire/shared/actions/spec";
import { errorText, NeedfireError, systemCode } from "@needfire/shared/errors";
import { loadOwnAction } from "@needfire/shared/own-action";
import { isOwnActionName, ownActionFile, type OwnActionName, ownActionSide } from "@needfire/shared/own-action-name";
import { problemText } from "@needfire/shared/yaml-file";
import { didYouMean } from "@needfire/shared/schema";
import type { Column, Output } from "../output.ts";
import { type FieldSchema, fieldsOf } from "../schema-fields.ts";
import { examples, type Session } from "../session.ts";

const columns: Column[] = [{ title: "ACTION" }, { title: "RUNS ON" }, { title: "DOES", shrinkTo: 30 }];
const argumentColumns: Column[] = [{ title: "ARGUMENT" }, { title: "DEFAULT", shrinkTo: 8 }, { title: "MEANS", shrinkTo: 24 }];
const resultColumns: Column[] = [{ title: "RESULT" }, { title: "MEANS", shrinkTo: 24 }];

export function register(actions: Command, session: Session): void {
  actions.addHelpText(
    "after",
    examples(["needfire actions list", "all of them"], ["needfire actions show file.line", "arguments and result of one"]),
  );
  actions
    .command("list")
    .summary("list what can be done")
    .description("List the actions: what a reactor's `do` can name.")
    .addHelpText(
      "after",
      examples(
        ["needfire actions list", "all of them, with your own of /etc/needfire/actions"],
        ["needfire actions list --json | jq -r .action", "their names"],
      ),
    )
    .addOption(folderOption())
    .action(session.run(async ({ actions: folder }: Wish) => list(session.out, await ownActions(folder))));
  actions
    .command("show")
    .summary("show one action: its arguments, its result, and what a policy judges of it")
    .description("Show one action: its arguments, its result, how it is verified, and what the policy of a host judges of it.")
    .argument("<name>", "one action, such as file.write")
    .addHelpText(
      "after",
      examples(
        ["needfire actions show file.write", "arguments and result"],
        ["needfire actions show file.write --json | jq .args", "its JSON Schema"],
      ),
    )
    .addOption(folderOption())
    .action(session.run(async (name: string, { actions: folder }: Wish) => show(session.out, name, folder)));
}

interface Wish {
  actions: string;
}

function folderOption(): Option {
  return new Option("--actions <folder>", "where your own actions are, one file each").default("/etc/needfire/actions");
}

/** What the files of a folder say. One with a problem is listed with it. */
async function ownActions(folder: string): Promise<{ action: string; runs_on: string; summary: string }[]> {
  let names: string[];
  try {
    names = (await readdir(folder)).filter((name) => /\.ya?ml$/.test(name) && !name.startsWith("."));
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw new NeedfireError("BAD_REQUEST", `the folder of your own actions cannot be read: ${errorText(error)}`);
  }
  return names.toSorted().map((name) => {
    const file = join(folder, name);
    const loaded = loadOwnAction(file, readFileSync(file, "utf8"));
    if (loaded.ok) return { action: loaded.action.name, runs_on: ownActionSide(loaded.action.name), summary: loaded.action.description };
    const summary = `cannot be used: ${loaded.problems.map(problemText).join("; ")}`;
    return { action: name, runs_on: "-", summary };
  });
}

const all: Readonly<Record<string, ActionSpec>> = specs;

function list(out: Output, own: { action: string; runs_on: string; summary: string }[]): void {
  const rows = [...Object.entries(all).map(([action, { runsOn, summary }]) => ({ action, runs_on: runsOn as string, summary })), ...own];
  out.list(rows, { columns, row: ({ action, runs_on: side, summary }) => [action, side, summary], empty: "" });
}

function show(out: Output, name: string, folder: string): void {
  const spec = isOwnActionName(name) ? ownSpecOf(name, folder) : specOf(name);
  const { runsOn, summary, args, result, verify } = spec;
  const policy = isOwnActionName(name) && runsOn === "master" ? "its command line (commands_local of master.yaml)" : judgedText(spec);
  if (out.json) return out.record({ action: name, runs_on: runsOn, summary, args, result, verify, policy });
  out.title(`${name}: ${summary}`);
  out.fields([
    ["runs on", `the ${runsOn}`],
    ["verified by", verify],
    ["policy judges", policy],
  ]);
  out.line();
  out.list(fieldsOf(args as FieldSchema), {
    columns: argumentColumns,
    row: ({ name: field, fallback, meaning }) => [field, fallback, meaning],
    empty: "",
  });
  out.line();
  out.list(fieldsOf(result as FieldSchema), { columns: resultColumns, row: ({ name: field, meaning }) => [field, meaning], empty: "" });
}

/** Of an action that runs on a host: which arguments, against which of the policy's lists. */
function judgedText({ runsOn, judged = {}, command }: ActionSpec): string | undefined {
  if (runsOn !== "agent") return undefined;
  const parts = Object.entries(judged).map(([argument, kind]) => `${argument} (${kind})`);
  return ["the action", ...parts, ...(command === undefined ? [] : ["what it starts (commands)"])].join(", ");
}

function ownSpecOf(name: OwnActionName, folder: string): ActionSpec {
  const file = join(folder, ownActionFile(name));
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new NeedfireError("BAD_REQUEST", `there is no action "${name}" here: ${errorText(error)} (--actions names another folder)`);
  }
  const loaded = loadOwnAction(file, text);
  if (!loaded.ok) throw new NeedfireError("BAD_REQUEST", loaded.problems.map(problemText).join("\n"));
  if (loaded.action.name !== name)
    throw new NeedfireError("BAD_REQUEST", `there is no action "${name}" here: ${file} says what ${loaded.action.name} is`);
  const { description, args, result } = loaded.action;
  const output = result === undefined ? {} : { output: { ...result, description: "what it printed, as JSON" } };
  const { properties } = specs["command.run"].result;
  return {
    runsOn: ownActionSide(name),
    summary: description,
    args: args as object,
    result: { type: "object", properties: { ...properties, ...output } },
  };
}

function specOf(name: string): ActionSpec {
  const spec = Object.hasOwn(all, name) ? all[name] : undefined;
  if (spec === undefined)
    throw new NeedfireError("BAD_REQUEST", `there is no action "${name}"${didYouMean(name, Object.keys(all))} (needfire actions list)`);
  return spec;
}
