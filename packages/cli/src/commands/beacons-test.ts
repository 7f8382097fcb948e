/** `needfire beacons test`: runs one beacon here and now, and prints what it sees. */
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import { type BeaconDefinition, loadBeacons } from "@needfire/shared/beacon";
import { isoTime } from "@needfire/shared/clock";
import { NeedfireError } from "@needfire/shared/errors";
import type { EventDraft } from "@needfire/shared/event";
import { parseYaml, type Problem } from "@needfire/shared/yaml-file";
import { duration } from "../options.ts";
import type { Output } from "../output.ts";
import { unreadable } from "../problems.ts";
import { valueLines } from "../render.ts";
import { examples, exit, type Session } from "../session.ts";
import { visible } from "../text.ts";
import { loadAgent } from "./daemons.ts";
import { showFinding } from "./reactors-check.ts";

interface TestOptions {
  options?: string;
  file?: string;
  name?: string;
  for?: number;
}

/** What Node's timers take; more would be over at once. */
const longestMs = 2 ** 31 - 1;
/** As problems name the text of `--options`. */
const optionsFile = "--options";

export function registerTest(beacons: Command, session: Session): void {
  beacons
    .command("test")
    .summary("run one beacon here and now, and print what it sees")
    .description(
      "Run one beacon on this host, without a master or an agent, and print what it sees until Ctrl-C (exit code 0). Nothing is sent, and nothing is remembered: what is wrong right now is told at once.",
    )
    .argument("[type]", "its type, such as disk")
    .option("-o, --options <yaml>", "its options: YAML, so JSON too, such as '{above: 80, for: 0s}'")
    .option("-f, --file <file>", "a definition from a file instead")
    .option("--name <name>", "which one of the file")
    .option("--for <duration>", "end after so long, such as 30s", duration)
    .addHelpText(
      "after",
      examples(
        ["needfire beacons test disk --options '{above: 10, for: 0s}'", "which disks are more than a tenth full"],
        ["needfire beacons test file --options '{paths: [/etc]}'", "what changes in /etc"],
        ["needfire beacons test --file beacons/disk.yaml --for 30s --json", "a definition of a file, for half a minute"],
      ),
    )
    .action(session.run((type: string | undefined, options: TestOptions) => test(session, type, options)));
}

async function test({ out }: Session, type: string | undefined, options: TestOptions): Promise<number> {
  const { file, text } = await textOf(type, options);
  const loaded = loadBeacons(file, text);
  if (!loaded.ok) {
    for (const problem of loaded.problems) showFinding(out, { ...problem, level: "error" }, new Map([[file, text]]));
    return exit.failed;
  }
  const { tryBeacon } = await loadAgent();
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  const definition = chosen(
    loaded.beacons.map((each) => each.definition),
    options.name,
  );
  const trial = await tryBeacon(definition, (event) => tell(out, event));
  if (trial.failed === undefined) out.notice(`${visible(definition.name)} (${definition.type}) watches; Ctrl-C ends it`);
  if (trial.failed === undefined)
    await delay(Math.min(options.for ?? longestMs, longestMs), undefined, { signal: stop.signal }).catch(() => undefined);
  await trial.stop();
  return trial.failed === undefined ? exit.done : exit.failed;
}

/** The YAML of the definition, and what to call it. Throws `BAD_REQUEST`, `NOT_FOUND`. */
async function textOf(type: string | undefined, { options, file }: TestOptions): Promise<{ file: string; text: string }> {
  if (file !== undefined) {
    if (type !== undefined || options !== undefined)
      throw new NeedfireError("BAD_REQUEST", "--file brings type and options with it: give either a file, or a type and --options");
    const problem = (error: unknown): Problem => unreadable(file, error);
    return {
      file,
      text: await readFile(file, "utf8").catch((error: unknown) => {
        throw new NeedfireError("NOT_FOUND", `${file}: ${problem(error).message}`, { cause: error });
      }),
    };
  }
  if (type === undefined)
    throw new NeedfireError("BAD_REQUEST", "which type? `needfire beacons types` lists them; or give a definition with --file");
  return { file: optionsFile, text: withType(options ?? "{}", type) };
}

/** As it would stand in a file: type and name come last, so that places in what was typed stay what they are. */
function withType(options: string, type: string): string {
  const parsed = parseYaml(optionsFile, options);
  const value = parsed.ok ? parsed.documents[0]?.value : undefined;
  // What is no map, or no YAML, is told as it stands.
  if (typeof value !== "object" || value === null || Array.isArray(value)) return options;
  const added = { ...("name" in value ? {} : { name: "try" }), type };
  const lines = Object.entries(added).map(([key, word]) => `${key}: ${JSON.stringify(word)}`);
  const text = options.trimEnd();
  if (!text.endsWith("}")) return `${text}\n${lines.join("\n")}\n`;
  const before = text.slice(0, -1).trimEnd();
  return `${before}${/[{,]$/.test(before) ? "" : ", "}${lines.join(", ")}}`;
}

function chosen(definitions: BeaconDefinition[], name: string | undefined): BeaconDefinition {
  const names = definitions.map((each) => each.name);
  const found = name === undefined ? definitions : definitions.filter((each) => each.name === name);
  if (found.length === 1) return found[0]!;
  if (name !== undefined) throw new NeedfireError("NOT_FOUND", `there is no beacon "${name}" in the file (it has: ${names.join(", ")})`);
  throw new NeedfireError("BAD_REQUEST", names.length === 0 ? "the file has no beacon" : `which one? --name ${names.join(", --name ")}`);
}

function tell(out: Output, { time, type, subject, severity, data, cause }: EventDraft): void {
  const told = {
    time: isoTime(time),
    type,
    severity,
    ...(subject === undefined ? {} : { subject }),
    ...(cause === undefined ? {} : { cause }),
    data,
  };
  if (out.json) return out.record(told);
  out.line(`${out.time(told.time)}  ${out.paint("bold", visible(type))}  ${visible(subject ?? "")}`.trimEnd());
  for (const line of valueLines(out, data)) out.line(`    ${line}`);
}
