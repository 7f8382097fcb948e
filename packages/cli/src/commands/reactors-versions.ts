/** `needfire reactors show, versions, rollback`: what a reactor was, and the way back. */
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import type { ReactorVersionView, ReactorView, RollbackView } from "@needfire/shared/api";
import { type Column, type Output, styleOf } from "../output.ts";
import { diffLines } from "../render.ts";
import { examples, exit, type Session } from "../session.ts";
import { visible, visibleLine } from "../text.ts";
import { userName } from "../user.ts";

const columns: Column[] = [
  { title: "" },
  { title: "SINCE" },
  { title: "VERSION" },
  { title: "OF THE FILE" },
  { title: "FILE", shrinkTo: 12 },
];
/** So many characters of a file's version tell it from others. */
const digestShown = 12;

export function registerVersions(reactors: Command, session: Session): void {
  reactors
    .command("show")
    .summary("show one reactor and its file")
    .description("Show one reactor: what it did, and the text of its file, as it is in force or as it was.")
    .argument("<name>", "the reactor's name")
    .option("--version <version>", "as it was: a version that `needfire reactors versions` prints, or its beginning")
    .addHelpText(
      "after",
      examples(
        ["needfire reactors show restore", "as it is in force"],
        ["needfire reactors show restore --version 5d1e0a9c", "as it was"],
        ["needfire reactors show restore --json | jq -r .text", "the file alone"],
      ),
    )
    .action(session.run((name: string, { version }: { version?: string }) => show(session, name, version)));
  reactors
    .command("versions")
    .summary("list the versions of a reactor's file")
    .description("List every version of a reactor's file that came into force, newest first; `>` marks the one that is.")
    .argument("<name>", "the reactor's name")
    .addHelpText("after", examples(["needfire reactors versions restore", "what it was, and since when"]))
    .action(session.run((name: string) => versions(session, name)));
  reactors
    .command("rollback")
    .summary("put an earlier version of a reactor's file back")
    .description(
      "Put an earlier version of a reactor's file back: the whole file, and it is in force at once. Shows what changes and asks first. Refused when the file has changed on disk and is not in force.",
    )
    .argument("<name>", "the reactor's name")
    .option("--to <version>", "to this version, or its beginning (default: the one before)")
    .option("-y, --yes", "do not ask")
    .addHelpText(
      "after",
      examples(
        ["needfire reactors rollback restore", "to the version before"],
        ["needfire reactors rollback restore --to 5d1e0a9c --yes", "to this one, unasked"],
      ),
    )
    .action(session.run((name: string, options: { to?: string; yes?: boolean }) => rollBack(session, name, options)));
}

async function show({ out, master }: Session, name: string, wanted: string | undefined): Promise<void> {
  const shown = await master.reactor(name, wanted);
  if (out.json) return out.record(shown);
  const { reactor, version, text } = shown;
  out.title(name);
  const now = version.in_force ? reactor : undefined;
  out.fields([
    ["description", now?.description === "" ? undefined : now?.description],
    ["version", version.version ?? "none: the file had no such reactor"],
    ["file", `${version.file} (version ${version.file_version.slice(0, digestShown)})`],
    ["since", out.timeInFull(version.since)],
    ["in force", version.in_force ? "yes" : "no", version.in_force ? styleOf("resolved") : styleOf("running")],
    ...(now === undefined ? [] : facts(out, now)),
  ]);
  out.line();
  for (const line of text.replace(/\n$/, "").split("\n")) out.line(visibleLine(line));
}

function facts(out: Output, reactor: ReactorView): Parameters<Output["fields"]>[0] {
  return [
    ["mode", reactor.mode],
    [
      "set aside",
      reactor.set_aside === true ? "judging it went on failing: needfire events list --type reactor.set_aside" : undefined,
      "red",
    ],
    ["priority", reactor.priority, styleOf(reactor.priority)],
    ["owner", reactor.owner],
    ["runbook", reactor.runbook],
    ["fired", `${reactor.firings}${reactor.last_firing === undefined ? "" : `, last ${out.ago(reactor.last_firing)}`}`],
    ["throttled", String(reactor.throttled)],
    ["not recorded", reactor.unrecorded === 0 ? undefined : `${reactor.unrecorded} decisions: too many at once`],
  ];
}

async function versions({ out, master }: Session, name: string): Promise<void> {
  const { versions: kept } = await master.reactorVersions(name);
  out.list(kept, {
    columns,
    row: ({ in_force: inForce, since, version, file_version: digest, file }) => [
      inForce ? ">" : " ",
      out.time(since),
      version ?? "-",
      digest.slice(0, digestShown),
      file,
    ],
    empty: "No version was kept.",
  });
}

async function rollBack({ out, master }: Session, name: string, { to, yes = false }: { to?: string; yes?: boolean }): Promise<number> {
  const by = userName();
  if (out.json) {
    out.record(await master.rollBack(name, { to, by }));
    return exit.done;
  }
  const plan = await master.rollBack(name, { to, by, dry_run: true });
  for (const line of diffLines(out, await diffOf(plan))) out.line(line);
  if (!yes && !(await agrees(out, `Put ${visible(plan.file)} back to ${versionText(plan.to)}?`))) {
    out.notice("Nothing was changed; --yes goes ahead without asking.");
    return exit.failed;
  }
  // What was shown is what happens.
  await master.rollBack(name, { to: plan.to.file_version, from: plan.from.file_version, by });
  out.line(`${visible(plan.file)} is back at ${versionText(plan.to)}, and in force.`);
  return exit.done;
}

function versionText({ version, file_version: digest }: ReactorVersionView): string {
  return `version ${version ?? digest.slice(0, digestShown)}`;
}

async function diffOf({ file, from, to, text_before: before, text_after: after }: RollbackView): Promise<string> {
  // Only this command needs it.
  const { createTwoFilesPatch, FILE_HEADERS_ONLY } = await import("diff");
  const headers = [versionText(from), versionText(to)] as const;
  return createTwoFilesPatch(file, file, before, after, ...headers, { headerOptions: FILE_HEADERS_ONLY });
}

/** Nobody can be asked: no. */
async function agrees(out: Output, question: string): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await asking.question(out.paint("bold", `${question} [y/N] `))).trim());
  } finally {
    asking.close();
  }
}
