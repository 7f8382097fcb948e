/** `needfire actions`: what can be done about something, with which arguments, and what is said of it. */
import { basename } from "node:path";
import { type Command, Option } from "commander";
import { actions as specs } from "@needfire/shared/action";
import type { ActionSpec } from "@needfire/shared/actions/spec";
import { NeedfireError } from "@needfire/shared/errors";
import { isOwnActionName, ownActionFile, type OwnActionName, ownActionSide } from "@needfire/shared/own-action-name";
import { problemText } from "@needfire/shared/yaml-file";
import { didYouMean } from "@needfire/shared/schema";
import type { Column, Output } from "../output.ts";
import { type OwnActions, ownActions } from "../own-actions.ts";
import { problemLines } from "../problems.ts";
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
    .description(
      "List the actions: what a reactor's `do` can name. Your own are those that the running master has in force; where none can be reached, those of /etc/needfire/actions. Which they are, and what is wrong with their files, is told on stderr.",
    )
    .addHelpText(
      "after",
      examples(
        ["needfire actions list", "all of them, with your own that the master knows"],
        ["needfire actions list --actions ./actions", "with those of a folder, whatever a master knows"],
        ["needfire actions list --json | jq -r .action", "their names"],
      ),
    )
    .addOption(folderOption())
    .action(session.run(async ({ actions: folder }: Wish) => list(session.out, await ownActions(session.master, folder), folder)));
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
    .action(session.run((name: string, wish: Wish) => show(session, name, wish)));
}

interface Wish {
  actions?: string;
}

function folderOption(): Option {
  return new Option("--actions <folder>", "your own actions as a folder has them, one file each, and not as the master does");
}

const all: Readonly<Record<string, ActionSpec>> = specs;

function list(out: Output, own: OwnActions, folder: string | undefined): void {
  const ours = Object.entries(all).map(([action, { runsOn, summary }]) => ({ action, runs_on: runsOn, summary }));
  const theirs = own.actions.map(({ action, runs_on, summary, file }) => ({ action, runs_on, summary, file }));
  out.list([...ours, ...theirs], { columns, row: ({ action, runs_on: side, summary }) => [action, side, summary], empty: "" });
  if (folder === undefined) out.notice(`Your own actions (${theirs.length}) are those of ${own.of}.`);
  for (const line of problemLines(out, own.problems)) out.notice(line);
}

async function show({ out, master }: Session, name: string, { actions: folder }: Wish): Promise<void> {
  const own = isOwnActionName(name) ? await ownActions(master, folder) : undefined;
  const spec = own !== undefined && isOwnActionName(name) ? ownSpecOf(name, own) : specOf(name);
  if (own?.isFallback === true) out.notice(`This is what it is by ${own.of}.`);
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

function ownSpecOf(name: OwnActionName, { actions, problems, of }: OwnActions): ActionSpec {
  const found = actions.find(({ action }) => action === name);
  if (found === undefined) {
    const wrong = problems.filter(({ file }) => basename(file) === ownActionFile(name)).map(problemText);
    const known = actions.map(({ action }) => action);
    const none = `there is no action "${name}" among your own, those of ${of}${didYouMean(name, known)}`;
    throw new NeedfireError("BAD_REQUEST", [none, ...wrong].join("\n"));
  }
  const { summary, args, result } = found;
  const output = result === undefined ? {} : { output: { ...result, description: "what it printed, as JSON" } };
  const { properties } = specs["command.run"].result;
  return { runsOn: ownActionSide(name), summary, args, result: { type: "object", properties: { ...properties, ...output } } };
}

function specOf(name: string): ActionSpec {
  const spec = Object.hasOwn(all, name) ? all[name] : undefined;
  if (spec === undefined)
    throw new NeedfireError("BAD_REQUEST", `there is no action "${name}"${didYouMean(name, Object.keys(all))} (needfire actions list)`);
  return spec;
}
