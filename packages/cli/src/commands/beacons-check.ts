/** `needfire beacons check`: what is wrong in files of beacons, before they are in force. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { loadBeacons } from "@needfire/shared/beacon";
import type { Problem } from "@needfire/shared/yaml-file";
import { unreadable } from "../problems.ts";
import { examples, exit, type Session } from "../session.ts";
import { counted } from "../text.ts";
import { showFinding } from "./reactors-check.ts";

export function registerCheck(beacons: Command, session: Session): void {
  beacons
    .command("check")
    .summary("check beacon files, without a master")
    .description("Check beacon files without a master: every problem with its place (exit code 1 when there is one).")
    .argument("[path...]", "files, and directories whose *.yaml files are read (default: ./beacons)")
    .addHelpText(
      "after",
      examples(
        ["needfire beacons check", "everything in ./beacons"],
        ["needfire beacons check /etc/needfire/agent-beacons", "those of this host"],
        ["needfire beacons check --json web.yaml", "problems, one a line"],
      ),
    )
    .action(session.run((paths: string[]) => check(session, paths.length === 0 ? ["beacons"] : paths)));
}

async function check({ out }: Session, paths: string[]): Promise<number> {
  const problems: Problem[] = [];
  const texts = new Map<string, string>();
  for (const path of paths) for (const file of await filesOf(path, problems)) await read(file, { texts, problems });
  const placeOf = new Map<string, string>();
  let count = 0;
  for (const [file, text] of texts) {
    const loaded = loadBeacons(file, text);
    if (!loaded.ok) problems.push(...loaded.problems);
    for (const { definition } of loaded.ok ? loaded.beacons : []) {
      count += 1;
      const first = placeOf.get(definition.name);
      if (first === undefined) placeOf.set(definition.name, file);
      else
        problems.push({ file, line: 1, column: 1, message: `a second beacon of the name "${definition.name}": the first is in ${first}` });
    }
  }
  for (const problem of problems) showFinding(out, { ...problem, level: "error" }, texts);
  const checked = `${counted(count, "beacon")} in ${counted(texts.size, "file")}`;
  const verdict =
    problems.length === 0
      ? `${out.paint("green", "ok")}: ${checked}`
      : `${out.paint("red", counted(problems.length, "problem"))}; without problems: ${checked}`;
  if (!out.json) out.line(verdict);
  return problems.length === 0 ? exit.done : exit.failed;
}

/** Directories as master and agent read them: their own *.yaml and *.yml files, in order of name. */
async function filesOf(path: string, problems: Problem[]): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const names = (await readdir(path)).filter((name) => /\.ya?ml$/.test(name) && !name.startsWith("."));
    return names.toSorted().map((name) => join(path, name));
  } catch (error) {
    problems.push(unreadable(path, error));
    return [];
  }
}

async function read(file: string, { texts, problems }: { texts: Map<string, string>; problems: Problem[] }): Promise<void> {
  try {
    texts.set(file, await readFile(file, "utf8"));
  } catch (error) {
    problems.push(unreadable(file, error));
  }
}
