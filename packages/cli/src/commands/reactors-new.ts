/** `needfire reactors new`: writes the beginning of a reactor and its test. Never overwrites a file. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import type { EventView } from "@needfire/shared/api";
import { NeedfireError, systemCode } from "@needfire/shared/errors";
import { eventTypePattern, namePattern } from "@needfire/shared/ids";
import { fitting } from "../options.ts";
import { examples, exit, type Session } from "../session.ts";
import { visible } from "../text.ts";

interface NewOptions {
  from?: string;
  on?: string;
  dir: string;
}

export function registerNew(reactors: Command, session: Session): void {
  const command = reactors
    .command("new")
    .summary("begin a reactor, with its test")
    .description(
      "Write NAME.yaml and NAME.test.yaml, which pass check and test as they are: from an event that was recorded (--from, asks the master), or from the example of a type (--on, needs none). The reactor is in mode shadow until you say otherwise. Files are never overwritten.",
    )
    .argument("<name>", "lower-case letters, digits, - and _", fitting(namePattern, "a name of lower-case letters, digits, - and _"))
    .option("--from <event>", "the id of a recorded event, as `needfire events list` prints it")
    .option("--on <type>", "an event type such as file.changed", fitting(eventTypePattern, "an event type such as file.changed"))
    .option("--dir <directory>", "where to write", "reactors")
    .addHelpText(
      "after",
      examples(
        ["needfire reactors new sshd-config --on file.changed", "from a type's example"],
        ["needfire reactors new sshd-config --from web1:mi4k2x:42", "from what happened"],
        ["needfire reactors test reactors/sshd-config.yaml --watch", "then go on from there"],
      ),
    );
  command.action(
    session.run(async (name: string, options: NewOptions) => {
      if ((options.from === undefined) === (options.on === undefined))
        command.error("error: expected one of --from EVENT and --on TYPE: what is it about?", { exitCode: exit.usage });
      await begin(session, name, options);
    }),
  );
}

async function begin(session: Session, name: string, { from, on, dir }: NewOptions): Promise<void> {
  const { out } = session;
  const files = { reactor: join(dir, `${name}.yaml`), tests: join(dir, `${name}.test.yaml`) };
  for (const file of Object.values(files)) refuseExisting(file);
  await refuseName(name, dir);
  const { modelOf, scaffold } = await import("../scaffold.ts");
  const model = from === undefined ? modelOf(on!) : modelFrom((await session.master.chain(from)).event);
  const made = scaffold(name, model, { recorded: from !== undefined });
  write(dir, [
    [files.tests, made.tests],
    [files.reactor, made.reactor],
  ]);
  if (out.json) return out.record(files);
  out.line(`${visible(files.reactor)}\n${visible(files.tests)}`);
  out.notice(`Next: needfire reactors test ${visible(files.reactor)} --watch`);
}

function modelFrom({ type, agent, subject, severity, beacon, data }: EventView) {
  return {
    type,
    agent,
    ...(subject === undefined ? {} : { subject }),
    severity,
    ...(beacon === undefined ? {} : { beacon }),
    data: data as Record<string, unknown>,
  };
}

function refuseExisting(file: string): void {
  if (existsSync(file)) throw new NeedfireError("CONFLICT", `${file} is there already; nothing was written.`);
}

/** Of two reactors of one name a master takes one. */
async function refuseName(name: string, dir: string): Promise<void> {
  if (!existsSync(dir)) return;
  const { readReactorFiles } = await import("../reactor-files.ts");
  const { files } = await readReactorFiles([dir]);
  const other = files.flatMap(({ reactors }) => reactors).find((reactor) => reactor.name === name);
  if (other !== undefined)
    throw new NeedfireError("CONFLICT", `${other.file}:${other.line} has a reactor of that name; nothing was written.`);
}

/** Both or none. */
function write(dir: string, files: readonly (readonly [file: string, text: string])[]): void {
  const written: string[] = [];
  try {
    mkdirSync(dir, { recursive: true });
    for (const [file, text] of files) {
      writeFileSync(file, text, { flag: "wx" });
      written.push(file);
    }
  } catch (error) {
    for (const file of written) rmSync(file);
    const why = systemCode(error) === "EEXIST" ? "a file came to be there meanwhile" : `it cannot be written to ${dir}`;
    throw new NeedfireError("PATH_REFUSED", `Nothing was written: ${why}.`, { cause: error });
  }
}
